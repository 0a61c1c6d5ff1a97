-- Owner: flink_jobs (reconcile). Grain: one row per UTR or settlement id that gateway or bank has ever named.
CREATE TEMPORARY VIEW payouts AS
SELECT
    match_key,
    version,
    gateway,
    CAST(SPLIT_INDEX(paid_out, {{ separator }}, 0) AS DATE) AS settled_on,
    COALESCE(NULLIF(SPLIT_INDEX(paid_out, {{ separator }}, 1), ''), bank) AS bank,
    line_count,
    gross,
    fee,
    tax,
    refunds,
    adjustments,
    net,
    bank_rows,
    credits,
    found,
    COALESCE(credited_on, moved_on) AS value_date,
    -- Only these ask for the bank's files: paid out, and no movement at the bank. Through SIGN: told that it is 0, the
    -- planner drops columns from one branch, and then sums everything once for each (payouts_in_time.sql).
    line_count > 0 AND SIGN(bank_rows) = 0 AS waiting
FROM (
    SELECT
        match_key,
        SUM(version) AS version,
        MAX(gateway) AS gateway,
        MAX(paid_out) AS paid_out,
        SUM(line_count) AS line_count,
        SUM(gross) AS gross,
        SUM(fee) AS fee,
        SUM(tax) AS tax,
        SUM(refunds) AS refunds,
        SUM(adjustments) AS adjustments,
        SUM(net) AS net,
        MAX(bank) AS bank,
        SUM(bank_rows) AS bank_rows,
        SUM(credits) AS credits,
        SUM(found) AS found,
        MIN(credited_on) AS credited_on,
        MIN(moved_on) AS moved_on
    FROM settlement_evidence
    GROUP BY match_key
)
