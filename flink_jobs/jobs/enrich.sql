-- Owner: flink_jobs (enrich). Grain: one row per version of one enriched transaction.
-- Only new states are written. What a changing row leaves behind (UPDATE_BEFORE, and the DELETE with which a
-- join takes its old row back) says nothing new: a transaction never vanishes, a deleted one is a row with op 'd'.
INSERT INTO enriched_log
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
FROM TO_CHANGELOG(
    input => TABLE enriched_now,
    op => DESCRIPTOR(change),
    op_mapping => MAP['INSERT, UPDATE_AFTER', 'state']
)
