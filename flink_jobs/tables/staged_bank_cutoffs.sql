-- Owner: flink_jobs (stage), read by snowflake_loader. Grain: one row per word about one bank's cutoff; files are finished once they can be seen.
CREATE TEMPORARY TABLE staged_bank_cutoffs (
    cutoff_id STRING,
    bank STRING,
    business_date DATE,
    cutoff STRING,
    cutoffs_in_day INT,
    status STRING,
    due_at TIMESTAMP(3),
    `at` TIMESTAMP(3),
    files_expected INT,
    files_received INT,
    late BOOLEAN,
    last_file STRING,
    _op STRING,
    _version BIGINT,
    _position BIGINT
) WITH (
    'path' = '{{ stage_uri }}/bank_cutoffs',
    {{ stage_files }}
)
