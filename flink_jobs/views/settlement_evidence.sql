-- Owner: flink_jobs (reconcile). Grain: one row per settlement and UTR, per settlement, and per bank movement.
-- Contributions to one sum per UTR, or per settlement id where no UTR is known. A settlement's version goes to
-- every key that any of its lines ever named, and to its own id: what moves between them raises both, so the key
-- it leaves gets a newer row too.
CREATE TEMPORARY VIEW settlement_evidence AS
SELECT
    p.utr AS match_key,
    p.version + s.version AS version,
    p.gateway,
    -- What the UTR's own lines say; where they say nothing, what the settlement's others do.
    COALESCE(p.paid_out, s.paid_out) AS paid_out,
    p.line_count + CASE WHEN p.utr = s.utr THEN s.loose_line_count ELSE 0 END AS line_count,
    p.gross + CASE WHEN p.utr = s.utr THEN s.loose_gross ELSE {{ zero }} END AS gross,
    p.fee + CASE WHEN p.utr = s.utr THEN s.loose_fee ELSE {{ zero }} END AS fee,
    p.tax + CASE WHEN p.utr = s.utr THEN s.loose_tax ELSE {{ zero }} END AS tax,
    p.refunds + CASE WHEN p.utr = s.utr THEN s.loose_refunds ELSE {{ zero }} END AS refunds,
    p.adjustments + CASE WHEN p.utr = s.utr THEN s.loose_adjustments ELSE {{ zero }} END AS adjustments,
    p.net + CASE WHEN p.utr = s.utr THEN s.loose_net ELSE {{ zero }} END AS net,
    CAST(NULL AS STRING) AS bank,
    0 AS bank_rows,
    0 AS credits,
    {{ zero }} AS found,
    CAST(NULL AS DATE) AS credited_on,
    CAST(NULL AS DATE) AS moved_on
FROM settlement_parts AS p
INNER JOIN settlements AS s ON p.gateway = s.gateway AND p.settlement = s.settlement
UNION ALL
SELECT
    settlement AS match_key,
    version,
    gateway,
    CASE WHEN utr IS NULL THEN paid_out END AS paid_out,
    CASE WHEN utr IS NULL THEN loose_line_count ELSE 0 END AS line_count,
    CASE WHEN utr IS NULL THEN loose_gross ELSE {{ zero }} END AS gross,
    CASE WHEN utr IS NULL THEN loose_fee ELSE {{ zero }} END AS fee,
    CASE WHEN utr IS NULL THEN loose_tax ELSE {{ zero }} END AS tax,
    CASE WHEN utr IS NULL THEN loose_refunds ELSE {{ zero }} END AS refunds,
    CASE WHEN utr IS NULL THEN loose_adjustments ELSE {{ zero }} END AS adjustments,
    CASE WHEN utr IS NULL THEN loose_net ELSE {{ zero }} END AS net,
    CAST(NULL AS STRING) AS bank,
    0 AS bank_rows,
    0 AS credits,
    {{ zero }} AS found,
    CAST(NULL AS DATE) AS credited_on,
    CAST(NULL AS DATE) AS moved_on
FROM settlements
UNION ALL
SELECT
    COALESCE(utr, settlement_ref) AS match_key,
    version,
    CAST(NULL AS STRING) AS gateway,
    CAST(NULL AS STRING) AS paid_out,
    0 AS line_count,
    {{ zero }} AS gross,
    {{ zero }} AS fee,
    {{ zero }} AS tax,
    {{ zero }} AS refunds,
    {{ zero }} AS adjustments,
    {{ zero }} AS net,
    CASE WHEN op <> 'd' THEN bank END AS bank,
    CASE WHEN op <> 'd' THEN 1 ELSE 0 END AS bank_rows,
    CASE WHEN op <> 'd' AND direction = 'CR' THEN 1 ELSE 0 END AS credits,
    CASE
        WHEN op = 'd' THEN {{ zero }}
        WHEN direction = 'CR' THEN amount
        ELSE {{ zero }} - amount
    END AS found,
    CASE WHEN op <> 'd' AND direction = 'CR' THEN value_date END AS credited_on,
    CASE WHEN op <> 'd' THEN value_date END AS moved_on
FROM bank_movements
