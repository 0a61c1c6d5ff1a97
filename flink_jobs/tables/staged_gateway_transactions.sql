-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per version of one gateway record; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_gateway_transactions (
    record_id STRING,
    gateway STRING,
    entity_type STRING,
    entity_id STRING,
    line_type STRING,
    transaction_id STRING,
    order_ref STRING,
    merchant_id STRING,
    status STRING,
    `method` STRING,
    currency STRING,
    amount DECIMAL(18, 2),
    fee DECIMAL(18, 2),
    tax DECIMAL(18, 2),
    net DECIMAL(18, 2),
    refunded_amount DECIMAL(18, 2),
    settlement_id STRING,
    utr STRING,
    utr_raw STRING,
    settled_on DATE,
    bank STRING,
    occurred_at TIMESTAMP(3),
    paid_on DATE,
    origin STRING,
    raw_sha256 STRING,
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/gateway_transactions',
    {{ stage_files }}
)
