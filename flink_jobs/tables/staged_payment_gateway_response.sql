-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per change of one gateway's answer; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_payment_gateway_response (
    response_id BIGINT,
    transaction_id STRING,
    gateway STRING,
    gateway_txn_id STRING,
    response_code STRING,
    response_message STRING,
    bank_ref STRING,
    received_at TIMESTAMP(6),
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/payment_gateway_response',
    {{ stage_files }}
)
