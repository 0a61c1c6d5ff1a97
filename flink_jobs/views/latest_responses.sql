-- Owner: flink_jobs. Grain: one row per gateway's answer, the newest word about it.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW latest_responses AS
SELECT response_id, transaction_id, gateway_txn_id, response_code, bank_ref, op, version
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY response_id ORDER BY version DESC) AS newest
    FROM response_versions
)
WHERE newest = 1
