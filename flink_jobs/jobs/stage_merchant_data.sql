-- Owner: flink_jobs (stage). Grain: one row per change of one merchant.
INSERT INTO staged_merchant_data
SELECT
    merchant_id,
    merchant_name,
    settlement_cycle,
    status,
    account_number,
    updated_at,
    op,
    version,
    `position`
FROM merchant_versions
