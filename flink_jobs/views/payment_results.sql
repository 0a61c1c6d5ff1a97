-- Owner: flink_jobs (reconcile). Grain: one row per transaction id, as finance reads it.
CREATE TEMPORARY VIEW payment_results AS
SELECT
    'PAYMENT:' || match_key AS recon_key,
    'PAYMENT' AS `level`,
    match_key,
    decision,
    gateway,
    CAST(NULL AS STRING) AS bank,
    COALESCE(ours_merchant_id, told_merchant_id) AS merchant_id,
    COALESCE(ours_paid_on, told_paid_on) AS business_date,
    CASE WHEN ours_status = 'FAILED' THEN {{ zero }} ELSE ours_amount - ours_refunded END AS expected_amount,
    captured_amount - captured_refunded AS found_amount,
    ours_rows AS system_rows,
    theirs_rows AS gateway_rows,
    0 AS bank_rows,
    {{ no_amount }} AS gross,
    {{ no_amount }} AS fee,
    {{ no_amount }} AS tax,
    {{ no_amount }} AS refunds,
    {{ no_amount }} AS adjustments,
    CASE WHEN ours_rows = 0 AND captured_rows = 0 THEN 'd' ELSE 'u' END AS op,
    100 * (version + {{ rules_version }}) + CASE WHEN day_closed THEN 1 ELSE 0 END AS version,
    waiting
FROM payment_outcomes
