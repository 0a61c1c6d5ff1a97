-- Owner: flink_jobs (reconcile). Grain: one row per UTR or settlement id, as finance reads it.
CREATE TEMPORARY VIEW settlement_results AS
SELECT
    'SETTLEMENT:' || match_key AS recon_key,
    'SETTLEMENT' AS `level`,
    match_key,
    decision,
    gateway,
    bank,
    CAST(NULL AS STRING) AS merchant_id,
    COALESCE(settled_on, value_date) AS business_date,
    net AS expected_amount,
    found AS found_amount,
    0 AS system_rows,
    line_count AS gateway_rows,
    bank_rows,
    gross,
    fee,
    tax,
    refunds,
    adjustments,
    CASE WHEN line_count = 0 AND bank_rows = 0 THEN 'd' ELSE 'u' END AS op,
    100 * (version + {{ rules_version }}) + LEAST(files_version, CAST(99 AS BIGINT)) AS version,
    waiting
FROM settlement_outcomes
