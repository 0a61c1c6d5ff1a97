-- Owner: flink_jobs (reconcile). Grain: one row per transaction of ours and per payment of a gateway.
-- Both stories as contributions to one sum per transaction; texts travel packed into one field, so that one MAX
-- carries them. A deleted row contributes its version and nothing else.
CREATE TEMPORARY VIEW payment_evidence AS
SELECT
    transaction_id AS match_key,
    version,
    CASE WHEN op <> 'd' THEN 1 ELSE 0 END AS ours_rows,
    CASE WHEN op <> 'd' THEN amount ELSE {{ zero }} END AS ours_amount,
    CASE WHEN op <> 'd' THEN refunded_amount ELSE {{ zero }} END AS ours_refunded,
    CASE
        WHEN op <> 'd' THEN
            status || {{ separator }}
            || CAST(CAST(paid_at + INTERVAL '05:30' HOUR TO MINUTE AS DATE) AS STRING) || {{ separator }}
            || gateway || {{ separator }}
            || merchant_id
    END AS ours,
    0 AS theirs_rows,
    0 AS captured_rows,
    {{ zero }} AS captured_amount,
    {{ zero }} AS captured_refunded,
    CAST(NULL AS STRING) AS told
FROM latest_transactions
UNION ALL
SELECT
    -- A payment in which the gateway does not name our transaction stands alone, and is found missing here.
    COALESCE(transaction_id, record_id) AS match_key,
    version,
    0 AS ours_rows,
    {{ zero }} AS ours_amount,
    {{ zero }} AS ours_refunded,
    CAST(NULL AS STRING) AS ours,
    CASE WHEN op <> 'd' THEN 1 ELSE 0 END AS theirs_rows,
    CASE WHEN op <> 'd' AND status IN ('CAPTURED', 'REFUNDED') THEN 1 ELSE 0 END AS captured_rows,
    CASE WHEN op <> 'd' AND status IN ('CAPTURED', 'REFUNDED') THEN amount ELSE {{ zero }} END AS captured_amount,
    CASE
        WHEN op <> 'd' AND status IN ('CAPTURED', 'REFUNDED') THEN refunded_amount
        ELSE {{ zero }}
    END AS captured_refunded,
    CASE
        WHEN op <> 'd' THEN
            -- Of several attempts the one that came furthest speaks: its place comes first in the text.
            CASE status
                WHEN 'CAPTURED' THEN '5'
                WHEN 'REFUNDED' THEN '5'
                WHEN 'AUTHORIZED' THEN '4'
                WHEN 'PENDING' THEN '3'
                WHEN 'CREATED' THEN '2'
                WHEN 'FAILED' THEN '1'
                ELSE '0'
            END || {{ separator }}
            || status || {{ separator }}
            || COALESCE(CAST(paid_on AS STRING), '') || {{ separator }}
            || gateway || {{ separator }}
            || COALESCE(merchant_id, '')
    END AS told
FROM gateway_payments
