-- Owner: connectors (Debezium). Grain: one row per change of one merchant.
CREATE TEMPORARY TABLE merchant_changes (
    `before` ROW<merchant_id STRING>,
    `after` ROW<
        merchant_id STRING,
        merchant_name STRING,
        settlement_cycle INT,
        status STRING,
        account_number STRING,
        updated_at STRING
    >,
    `source` ROW<lsn BIGINT, snapshot STRING>,
    op STRING,
    headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
    'topic' = 'sabpaisa.public.merchant_data',
    {{ kafka_source }}
)
