-- Owner: flink_jobs (enrich). Grain: one row per version of one enriched transaction.
CREATE TEMPORARY TABLE enriched_log (
    transaction_id STRING NOT NULL,
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
    op STRING NOT NULL,
    version BIGINT NOT NULL,
    `position` BIGINT NOT NULL
) WITH (
    'topic' = 'enriched.transactions',
    'key.format' = 'raw',
    'key.fields' = 'transaction_id',
    'value.fields-include' = 'ALL',
    'value.avro-confluent.schema' = '{{ schema_of_enriched_log }}',
    'sink.transactional-id-prefix' = '{{ transactional_prefix }}enriched.transactions',
    {{ kafka_log }}
)
