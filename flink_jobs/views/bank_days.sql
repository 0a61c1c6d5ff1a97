-- Owner: flink_jobs (reconcile). Grain: one row per bank and business date with any file owed.
-- Its version is the sum of the stages, not of the words' own versions: those grow with every arrival, and a result
-- has room for 99 only (settlement/versions.py).
CREATE TEMPORARY VIEW bank_days AS
SELECT
    bank,
    business_date,
    MAX(cutoffs_in_day) AS files_owed,
    SUM(CASE WHEN stage = 3 THEN 1 ELSE 0 END) AS files_received,
    SUM(CASE WHEN stage = 2 THEN 1 ELSE 0 END) AS files_late,
    SUM(CAST(stage AS BIGINT)) AS version
FROM expected_files
GROUP BY bank, business_date
