-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per change of one transaction; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_transactions_to_settle (
    transaction_id STRING,
    merchant_id STRING,
    order_ref STRING,
    gateway STRING,
    `method` STRING,
    amount DECIMAL(18, 2),
    currency STRING,
    status STRING,
    refunded_amount DECIMAL(18, 2),
    paid_at TIMESTAMP(6),
    updated_at TIMESTAMP(6),
    note STRING,
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/transactions_to_settle',
    {{ stage_files }}
)
