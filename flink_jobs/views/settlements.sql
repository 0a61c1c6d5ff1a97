-- Owner: flink_jobs (reconcile). Grain: one row per gateway and settlement; what is loose has no UTR of its own.
CREATE TEMPORARY VIEW settlements AS
SELECT
    gateway,
    settlement,
    SUM(version) AS version,
    MAX(CASE WHEN line_count > 0 THEN utr END) AS utr,
    SUM(CASE WHEN utr IS NULL THEN line_count ELSE 0 END) AS loose_line_count,
    SUM(CASE WHEN utr IS NULL THEN gross ELSE {{ zero }} END) AS loose_gross,
    SUM(CASE WHEN utr IS NULL THEN fee ELSE {{ zero }} END) AS loose_fee,
    SUM(CASE WHEN utr IS NULL THEN tax ELSE {{ zero }} END) AS loose_tax,
    SUM(CASE WHEN utr IS NULL THEN refunds ELSE {{ zero }} END) AS loose_refunds,
    SUM(CASE WHEN utr IS NULL THEN adjustments ELSE {{ zero }} END) AS loose_adjustments,
    SUM(CASE WHEN utr IS NULL THEN net ELSE {{ zero }} END) AS loose_net,
    MAX(paid_out) AS paid_out
FROM settlement_lines
GROUP BY gateway, settlement
