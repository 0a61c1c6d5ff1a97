-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per version of one line of a bank file; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_bank_records (
    record_id STRING,
    bank STRING,
    file_id STRING,
    file_name STRING,
    sha256 STRING,
    business_date DATE,
    revision INT,
    line_no INT,
    utr STRING,
    utr_raw STRING,
    settlement_ref STRING,
    direction STRING,
    amount DECIMAL(18, 2),
    currency STRING,
    value_date DATE,
    account STRING,
    narration STRING,
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/bank_records',
    {{ stage_files }}
)
