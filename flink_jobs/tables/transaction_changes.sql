-- Owner: connectors (Debezium). Grain: one row per change of one transaction, in the order of its partition.
CREATE TEMPORARY TABLE transaction_changes (
    `before` ROW<transaction_id STRING>,
    `after` ROW<
        transaction_id STRING,
        merchant_id STRING,
        order_ref STRING,
        gateway STRING,
        `method` STRING,
        amount DECIMAL(18, 2),
        currency STRING,
        status STRING,
        refunded_amount DECIMAL(18, 2),
        paid_at STRING,
        updated_at STRING,
        note STRING
    >,
    `source` ROW<lsn BIGINT, snapshot STRING>,
    op STRING,
    headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
    'topic' = 'sabpaisa.public.transactions_to_settle',
    {{ kafka_source }}
)
