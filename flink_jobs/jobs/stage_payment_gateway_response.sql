-- Owner: flink_jobs (stage). Grain: one row per change of one gateway's answer.
INSERT INTO staged_payment_gateway_response
SELECT
    response_id,
    transaction_id,
    gateway,
    gateway_txn_id,
    response_code,
    response_message,
    bank_ref,
    received_at,
    op,
    version,
    `position`
FROM response_versions
