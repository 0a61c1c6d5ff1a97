-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per change of one merchant; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_merchant_data (
    merchant_id STRING,
    merchant_name STRING,
    settlement_cycle INT,
    status STRING,
    account_number STRING,
    updated_at TIMESTAMP(6),
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/merchant_data',
    {{ stage_files }}
)
