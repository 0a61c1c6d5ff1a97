-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per revision of one bank file; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_bank_files (
    file_id STRING,
    bank STRING,
    business_date DATE,
    cutoff STRING,
    file_name STRING,
    revision INT,
    sha256 STRING,
    size_bytes BIGINT,
    record_count INT,
    credit_count INT,
    credit_total DECIMAL(18, 2),
    debit_count INT,
    debit_total DECIMAL(18, 2),
    raw_key STRING,
    supersedes STRING,
    received_at TIMESTAMP(3),
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/bank_files',
    {{ stage_files }}
)
