-- Owner: flink_jobs (stage). Grain: one row per version of one payment's or settlement's result.
INSERT INTO staged_recon_results
SELECT
    recon_key,
    `level`,
    match_key,
    outcome,
    reason,
    gateway,
    bank,
    merchant_id,
    business_date,
    expected_amount,
    found_amount,
    difference,
    system_rows,
    gateway_rows,
    bank_rows,
    gross,
    fee,
    tax,
    refunds,
    adjustments,
    rules_version,
    op,
    version,
    `position`
FROM result_log
