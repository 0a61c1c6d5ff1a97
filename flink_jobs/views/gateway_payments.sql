-- Owner: flink_jobs. Grain: one row per gateway's payment, the newest word about it.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW gateway_payments AS
SELECT record_id, transaction_id, gateway, merchant_id, status, amount, refunded_amount, paid_on, op, version
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY record_id ORDER BY version DESC) AS newest
    FROM gateway_record_log
    WHERE entity_type = 'PAYMENT'
)
WHERE newest = 1
