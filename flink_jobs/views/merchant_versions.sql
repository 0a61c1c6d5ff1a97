-- Owner: flink_jobs. Grain: one row per change of one merchant, as a version of its row.
-- A row of an initial snapshot is older than every change of its epoch: a transaction that was open while
-- the slot was made commits later and may still carry a log position below the snapshot's.
CREATE TEMPORARY VIEW merchant_versions AS
SELECT
    CASE WHEN op = 'd' THEN `before`.merchant_id ELSE `after`.merchant_id END AS merchant_id,
    `after`.merchant_name,
    `after`.settlement_cycle,
    `after`.status,
    `after`.account_number,
    CAST(REPLACE(REPLACE(`after`.updated_at, 'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS updated_at,
    CASE WHEN op = 'd' THEN 'd' ELSE 'u' END AS op,
    COALESCE(CAST(DECODE(headers['settle.epoch'], 'UTF-8') AS BIGINT), 1) * 1000000000000000
        + CASE
            WHEN `source`.snapshot IN ('true', 'first', 'first_in_data_collection', 'last_in_data_collection', 'last')
                THEN 1
            ELSE `source`.lsn
        END AS version,
    CAST(0 AS BIGINT) AS `position`
FROM merchant_changes
-- A truncate and a logical message name no row.
WHERE op IN ('r', 'c', 'u', 'd')
