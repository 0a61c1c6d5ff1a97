-- Owner: flink_jobs (stage). Grain: one row per change of one transaction.
INSERT INTO staged_transactions_to_settle
SELECT
    transaction_id,
    merchant_id,
    order_ref,
    gateway,
    `method`,
    amount,
    currency,
    status,
    refunded_amount,
    paid_at,
    updated_at,
    note,
    op,
    version,
    `position`
FROM transaction_versions
