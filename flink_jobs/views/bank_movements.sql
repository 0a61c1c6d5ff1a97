-- Owner: flink_jobs. Grain: one row per line of a bank's statement that names a UTR or a settlement, the newest word about it.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW bank_movements AS
SELECT record_id, bank, utr, settlement_ref, direction, amount, value_date, op, version
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY record_id ORDER BY version DESC) AS newest
    FROM bank_record_log
    WHERE utr IS NOT NULL OR settlement_ref IS NOT NULL
)
WHERE newest = 1
