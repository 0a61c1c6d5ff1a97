-- Owner: flink_jobs (reconcile). Grain: one row per UTR or settlement id, with what is known of the files of those
-- that wait.
CREATE TEMPORARY VIEW payouts_in_time AS
SELECT
    p.*,
    COALESCE(d.files_owed, 0) AS files_owed,
    COALESCE(d.files_received, 0) AS files_received,
    COALESCE(d.files_late, 0) AS files_late,
    COALESCE(d.version, CAST(0 AS BIGINT)) AS files_version
FROM payouts AS p
LEFT JOIN bank_days AS d ON p.bank = d.bank AND p.settled_on = d.business_date
WHERE p.waiting
UNION ALL
SELECT
    p.*,
    0 AS files_owed,
    0 AS files_received,
    0 AS files_late,
    CAST(0 AS BIGINT) AS files_version
FROM payouts AS p
WHERE NOT p.waiting
