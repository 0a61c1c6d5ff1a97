-- Owner: flink_jobs. Grain: one row per transaction, the newest word about it.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW latest_transactions AS
SELECT transaction_id, merchant_id, order_ref, gateway, `method`, amount, currency, status, refunded_amount, paid_at, op, version
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY transaction_id ORDER BY version DESC) AS newest
    FROM transaction_versions
)
WHERE newest = 1
