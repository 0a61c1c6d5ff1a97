-- Owner: flink_jobs (stage). Grain: one row per version of one enriched transaction.
INSERT INTO staged_enriched_transactions
SELECT
    transaction_id,
    merchant_id,
    merchant_name,
    settlement_cycle,
    order_ref,
    gateway,
    `method`,
    amount,
    currency,
    status,
    refunded_amount,
    paid_at,
    gateway_txn_id,
    response_code,
    bank_ref,
    op,
    version,
    `position`
FROM enriched_log
