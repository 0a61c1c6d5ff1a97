-- Owner: flink_jobs. Grain: one row per change of one transaction, as a version of its row.
-- A row of an initial snapshot is older than every change of its epoch: a transaction that was open while
-- the slot was made commits later and may still carry a log position below the snapshot's.
CREATE TEMPORARY VIEW transaction_versions AS
SELECT
    CASE WHEN op = 'd' THEN `before`.transaction_id ELSE `after`.transaction_id END AS transaction_id,
    `after`.merchant_id,
    `after`.order_ref,
    `after`.gateway,
    `after`.`method`,
    `after`.amount,
    `after`.currency,
    `after`.status,
    `after`.refunded_amount,
    CAST(REPLACE(REPLACE(`after`.paid_at, 'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS paid_at,
    CAST(REPLACE(REPLACE(`after`.updated_at, 'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS updated_at,
    `after`.note,
    CASE WHEN op = 'd' THEN 'd' ELSE 'u' END AS op,
    COALESCE(CAST(DECODE(headers['settle.epoch'], 'UTF-8') AS BIGINT), 1) * 1000000000000000
        + CASE
            WHEN `source`.snapshot IN ('true', 'first', 'first_in_data_collection', 'last_in_data_collection', 'last')
                THEN 1
            ELSE `source`.lsn
        END AS version,
    CAST(0 AS BIGINT) AS `position`
FROM transaction_changes
-- A truncate and a logical message name no row.
WHERE op IN ('r', 'c', 'u', 'd')
