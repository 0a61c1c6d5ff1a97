-- Owner: flink_jobs. Grain: one row per line of a gateway's settlement report, the newest word about it.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW gateway_settlement_lines AS
SELECT record_id, gateway, line_type, amount, fee, tax, net, settlement_id, utr, settled_on, bank, op, version
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY record_id ORDER BY version DESC) AS newest
    FROM gateway_record_log
    WHERE entity_type = 'SETTLEMENT_LINE'
)
WHERE newest = 1
