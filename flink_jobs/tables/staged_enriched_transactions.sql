-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per version of one enriched transaction; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_enriched_transactions (
    transaction_id STRING,
    merchant_id STRING,
    merchant_name STRING,
    settlement_cycle INT,
    order_ref STRING,
    gateway STRING,
    `method` STRING,
    amount DECIMAL(18, 2),
    currency STRING,
    status STRING,
    refunded_amount DECIMAL(18, 2),
    paid_at TIMESTAMP(3),
    gateway_txn_id STRING,
    response_code STRING,
    bank_ref STRING,
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/enriched_transactions',
    {{ stage_files }}
)
