-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per version of one payment's or settlement's result; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_recon_results (
    recon_key STRING,
    `level` STRING,
    match_key STRING,
    outcome STRING,
    reason STRING,
    gateway STRING,
    bank STRING,
    merchant_id STRING,
    business_date DATE,
    expected_amount DECIMAL(18, 2),
    found_amount DECIMAL(18, 2),
    difference DECIMAL(18, 2),
    system_rows INT,
    gateway_rows INT,
    bank_rows INT,
    gross DECIMAL(18, 2),
    fee DECIMAL(18, 2),
    tax DECIMAL(18, 2),
    refunds DECIMAL(18, 2),
    adjustments DECIMAL(18, 2),
    rules_version INT,
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/recon_results',
    {{ stage_files }}
)
