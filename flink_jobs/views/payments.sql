-- Owner: flink_jobs (reconcile). Grain: one row per transaction id that either side has ever named.
CREATE TEMPORARY VIEW payments AS
SELECT
    match_key,
    version,
    ours_rows,
    ours_amount,
    ours_refunded,
    SPLIT_INDEX(ours, {{ separator }}, 0) AS ours_status,
    CAST(SPLIT_INDEX(ours, {{ separator }}, 1) AS DATE) AS ours_paid_on,
    COALESCE(SPLIT_INDEX(ours, {{ separator }}, 2), SPLIT_INDEX(told, {{ separator }}, 3)) AS gateway,
    SPLIT_INDEX(ours, {{ separator }}, 3) AS ours_merchant_id,
    theirs_rows,
    captured_rows,
    captured_amount,
    captured_refunded,
    SPLIT_INDEX(told, {{ separator }}, 1) AS told_status,
    CAST(NULLIF(SPLIT_INDEX(told, {{ separator }}, 2), '') AS DATE) AS told_paid_on,
    NULLIF(SPLIT_INDEX(told, {{ separator }}, 4), '') AS told_merchant_id,
    -- Only these ask the calendar: ours is owed, and the gateway has said nothing.
    ours_rows > 0 AND theirs_rows = 0 AND SPLIT_INDEX(ours, {{ separator }}, 0) <> 'FAILED' AS waiting
FROM payment_sums
