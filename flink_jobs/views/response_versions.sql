-- Owner: flink_jobs. Grain: one row per change of one gateway's answer, as a version of its row.
-- A row of an initial snapshot is older than every change of its epoch: a transaction that was open while
-- the slot was made commits later and may still carry a log position below the snapshot's.
CREATE TEMPORARY VIEW response_versions AS
SELECT
    CASE WHEN op = 'd' THEN `before`.response_id ELSE `after`.response_id END AS response_id,
    CASE WHEN op = 'd' THEN `before`.transaction_id ELSE `after`.transaction_id END AS transaction_id,
    `after`.gateway,
    `after`.gateway_txn_id,
    `after`.response_code,
    `after`.response_message,
    `after`.bank_ref,
    CAST(REPLACE(REPLACE(`after`.received_at, 'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS received_at,
    CASE WHEN op = 'd' THEN 'd' ELSE 'u' END AS op,
    COALESCE(CAST(DECODE(headers['settle.epoch'], 'UTF-8') AS BIGINT), 1) * 1000000000000000
        + CASE
            WHEN `source`.snapshot IN ('true', 'first', 'first_in_data_collection', 'last_in_data_collection', 'last')
                THEN 1
            ELSE `source`.lsn
        END AS version,
    CAST(0 AS BIGINT) AS `position`
FROM response_changes
-- A truncate and a logical message name no row.
WHERE op IN ('r', 'c', 'u', 'd')
