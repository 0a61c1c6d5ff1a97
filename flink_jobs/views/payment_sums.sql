-- Owner: flink_jobs (reconcile). Grain: one row per transaction id that either side has ever named.
CREATE TEMPORARY VIEW payment_sums AS
SELECT
    match_key,
    SUM(version) AS version,
    SUM(ours_rows) AS ours_rows,
    SUM(ours_amount) AS ours_amount,
    SUM(ours_refunded) AS ours_refunded,
    MAX(ours) AS ours,
    SUM(theirs_rows) AS theirs_rows,
    SUM(captured_rows) AS captured_rows,
    SUM(captured_amount) AS captured_amount,
    SUM(captured_refunded) AS captured_refunded,
    MAX(told) AS told
FROM payment_evidence
GROUP BY match_key
