-- Owner: webhook_intake. Grain: one row per version of one gateway record.
CREATE TEMPORARY TABLE gateway_record_log (
    record_id STRING NOT NULL,
    gateway STRING NOT NULL,
    entity_type STRING NOT NULL,
    entity_id STRING NOT NULL,
    line_type STRING,
    transaction_id STRING,
    order_ref STRING,
    merchant_id STRING,
    status STRING NOT NULL,
    `method` STRING,
    currency STRING NOT NULL,
    amount DECIMAL(18, 2) NOT NULL,
    fee DECIMAL(18, 2) NOT NULL,
    tax DECIMAL(18, 2) NOT NULL,
    net DECIMAL(18, 2) NOT NULL,
    refunded_amount DECIMAL(18, 2) NOT NULL,
    settlement_id STRING,
    utr STRING,
    utr_raw STRING,
    settled_on DATE,
    bank STRING,
    occurred_at TIMESTAMP(3) NOT NULL,
    paid_on DATE,
    origin STRING NOT NULL,
    raw_sha256 STRING NOT NULL,
    op STRING NOT NULL,
    version BIGINT NOT NULL,
    `position` BIGINT NOT NULL
) WITH (
    'topic' = 'pg.transactions',
    {{ kafka_source }}
)
