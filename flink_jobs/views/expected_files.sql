-- Owner: flink_jobs. Grain: one row per file a bank owes, the newest word about it.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW expected_files AS
SELECT cutoff_id, bank, business_date, cutoffs_in_day, status, op, version
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY cutoff_id ORDER BY version DESC) AS newest
    FROM cutoff_log
)
WHERE newest = 1
