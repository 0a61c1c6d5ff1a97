-- Owner: flink_jobs (reconcile). Grain: one row per transaction id, with what the calendar says of those that wait.
CREATE TEMPORARY VIEW payments_in_time AS
SELECT
    p.*,
    d.business_date IS NOT NULL AS day_closed
FROM payments AS p
LEFT JOIN closed_days AS d
    ON p.ours_paid_on = d.business_date AND MOD(ABS(HASH_CODE(p.match_key)), 8) = d.bucket
WHERE p.waiting
UNION ALL
SELECT
    p.*,
    FALSE AS day_closed
FROM payments AS p
WHERE p.waiting IS NOT TRUE
