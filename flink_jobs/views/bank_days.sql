-- Owner: flink_jobs (reconcile). Grain: one row per bank and business date with any file owed.
CREATE TEMPORARY VIEW bank_days AS
SELECT
    bank,
    business_date,
    MAX(cutoffs_in_day) AS files_owed,
    SUM(CASE WHEN op <> 'd' AND status = 'RECEIVED' THEN 1 ELSE 0 END) AS files_received,
    SUM(CASE WHEN op <> 'd' AND status = 'LATE' THEN 1 ELSE 0 END) AS files_late,
    SUM(version) AS version
FROM expected_files
GROUP BY bank, business_date
