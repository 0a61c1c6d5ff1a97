-- Owner: flink_jobs (enrich). Grain: one row per transaction, deleted ones too.
-- Everything joined in adds its own version to the position, so whatever changed makes a newer row.
CREATE TEMPORARY VIEW enriched_now AS
SELECT
    t.transaction_id,
    t.merchant_id,
    CASE WHEN m.op <> 'd' THEN m.merchant_name END AS merchant_name,
    CASE WHEN m.op <> 'd' THEN m.settlement_cycle END AS settlement_cycle,
    t.order_ref,
    t.gateway,
    t.`method`,
    t.amount,
    t.currency,
    t.status,
    t.refunded_amount,
    CAST(t.paid_at AS TIMESTAMP(3)) AS paid_at,
    r.gateway_txn_id,
    r.response_code,
    r.bank_ref,
    t.op,
    t.version,
    COALESCE(m.version, CAST(0 AS BIGINT)) + COALESCE(r.version, CAST(0 AS BIGINT)) AS `position`
FROM latest_transactions AS t
LEFT JOIN latest_merchants AS m ON t.merchant_id = m.merchant_id
LEFT JOIN responses_by_transaction AS r ON t.transaction_id = r.transaction_id
