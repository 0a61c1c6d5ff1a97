-- Owner: flink_jobs (reconcile). Grain: one row per gateway, settlement and UTR; UTR is null for lines without one.
CREATE TEMPORARY VIEW settlement_parts AS
SELECT
    gateway,
    settlement,
    utr,
    SUM(version) AS version,
    SUM(live) AS line_count,
    SUM(CASE WHEN live = 1 AND line_type = 'PAYMENT' THEN amount ELSE {{ zero }} END) AS gross,
    SUM(CASE WHEN live = 1 THEN fee ELSE {{ zero }} END) AS fee,
    SUM(CASE WHEN live = 1 THEN tax ELSE {{ zero }} END) AS tax,
    SUM(CASE WHEN live = 1 AND line_type = 'REFUND' THEN amount ELSE {{ zero }} END) AS refunds,
    -- Before their fee and tax, which are in those columns: gross − fee − tax − refunds + adjustments = net.
    SUM(
        CASE WHEN live = 1 AND line_type = 'ADJUSTMENT' THEN net + fee + tax ELSE {{ zero }} END
    ) AS adjustments,
    SUM(CASE WHEN live = 1 THEN net ELSE {{ zero }} END) AS net,
    MAX(
        CASE
            WHEN live = 1 AND settled_on IS NOT NULL
                THEN CAST(settled_on AS STRING) || {{ separator }} || COALESCE(bank, '')
        END
    ) AS paid_out
FROM (
    SELECT
        *,
        CASE WHEN op <> 'd' THEN 1 ELSE 0 END AS live,
        COALESCE(settlement_id, utr, record_id) AS settlement
    FROM gateway_settlement_lines
)
GROUP BY gateway, settlement, utr
