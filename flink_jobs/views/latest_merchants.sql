-- Owner: flink_jobs. Grain: one row per merchant, the newest word about it.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW latest_merchants AS
SELECT merchant_id, merchant_name, settlement_cycle, op, version
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY merchant_id ORDER BY version DESC) AS newest
    FROM merchant_versions
)
WHERE newest = 1
