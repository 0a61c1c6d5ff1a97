-- Owner: flink_jobs (reconcile). Grain: one row per version of one payment's or settlement's result.
-- New states are written, and what vanished as a delete of the version it had. What a row leaves behind when it
-- changes is dropped: UPDATE_BEFORE everywhere, and among those that wait the DELETE with which the join takes its
-- old row back.
INSERT INTO result_log
SELECT
    recon_key,
    `level`,
    match_key,
    SPLIT_INDEX(decision, {{ separator }}, 0) AS outcome,
    SPLIT_INDEX(decision, {{ separator }}, 1) AS reason,
    gateway,
    bank,
    merchant_id,
    business_date,
    CAST(expected_amount AS DECIMAL(18, 2)) AS expected_amount,
    CAST(found_amount AS DECIMAL(18, 2)) AS found_amount,
    CAST(found_amount - expected_amount AS DECIMAL(18, 2)) AS difference,
    system_rows,
    gateway_rows,
    bank_rows,
    CAST(gross AS DECIMAL(18, 2)) AS gross,
    CAST(fee AS DECIMAL(18, 2)) AS fee,
    CAST(tax AS DECIMAL(18, 2)) AS tax,
    CAST(refunds AS DECIMAL(18, 2)) AS refunds,
    CAST(adjustments AS DECIMAL(18, 2)) AS adjustments,
    {{ rules_version }} AS rules_version,
    CASE WHEN change = 'gone' THEN 'd' ELSE op END AS op,
    version,
    CASE WHEN change = 'gone' THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS `position`
FROM TO_CHANGELOG(
    input => TABLE results_now,
    op => DESCRIPTOR(change),
    op_mapping => MAP['INSERT, UPDATE_AFTER', 'state', 'DELETE', 'gone']
)
WHERE change = 'state' OR waiting IS NOT TRUE
