-- Owner: flink_jobs (reconcile). Grain: one row per gateway, settlement and UTR that any line of it names.
CREATE TEMPORARY VIEW settlement_parts AS
SELECT
    gateway,
    settlement,
    utr,
    SUM(version) AS version,
    SUM(line_count) AS line_count,
    SUM(gross) AS gross,
    SUM(fee) AS fee,
    SUM(tax) AS tax,
    SUM(refunds) AS refunds,
    SUM(adjustments) AS adjustments,
    SUM(net) AS net,
    MAX(paid_out) AS paid_out
FROM settlement_lines
WHERE utr IS NOT NULL
GROUP BY gateway, settlement, utr
