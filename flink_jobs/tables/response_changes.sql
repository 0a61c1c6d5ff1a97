-- Owner: connectors (Debezium). Grain: one row per change of one gateway's answer.
-- A delete says which transaction it belonged to, since the table replicates its whole old row.
CREATE TEMPORARY TABLE response_changes (
    `before` ROW<response_id BIGINT, transaction_id STRING>,
    `after` ROW<
        response_id BIGINT,
        transaction_id STRING,
        gateway STRING,
        gateway_txn_id STRING,
        response_code STRING,
        response_message STRING,
        bank_ref STRING,
        received_at STRING
    >,
    `source` ROW<lsn BIGINT, snapshot STRING>,
    op STRING,
    headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
    'topic' = 'sabpaisa.public.payment_gateway_response',
    {{ kafka_source }}
)
