-- Owner: flink_jobs (reconcile). Grain: one row per line of a gateway's report, as its contribution to every sum.
-- A deleted line contributes its version and nothing else.
CREATE TEMPORARY VIEW settlement_lines AS
SELECT
    gateway,
    COALESCE(settlement_id, utr, record_id) AS settlement,
    utr,
    version,
    CASE WHEN op <> 'd' THEN 1 ELSE 0 END AS line_count,
    CASE WHEN op <> 'd' AND line_type = 'PAYMENT' THEN amount ELSE {{ zero }} END AS gross,
    CASE WHEN op <> 'd' THEN fee ELSE {{ zero }} END AS fee,
    CASE WHEN op <> 'd' THEN tax ELSE {{ zero }} END AS tax,
    CASE WHEN op <> 'd' AND line_type = 'REFUND' THEN amount ELSE {{ zero }} END AS refunds,
    -- Before their fee and tax, which are in those columns: gross − fee − tax − refunds + adjustments = net.
    CASE WHEN op <> 'd' AND line_type = 'ADJUSTMENT' THEN net + fee + tax ELSE {{ zero }} END AS adjustments,
    CASE WHEN op <> 'd' THEN net ELSE {{ zero }} END AS net,
    CASE
        WHEN op <> 'd' AND settled_on IS NOT NULL
            THEN CAST(settled_on AS STRING) || {{ separator }} || COALESCE(bank, '')
    END AS paid_out
FROM gateway_settlement_lines
