-- Owner: flink_jobs (stage). Grain: one row per revision of one bank file.
INSERT INTO staged_bank_files
SELECT
    file_id,
    bank,
    business_date,
    cutoff,
    file_name,
    revision,
    sha256,
    size_bytes,
    record_count,
    credit_count,
    credit_total,
    debit_count,
    debit_total,
    raw_key,
    supersedes,
    received_at,
    op,
    version,
    `position`
FROM bank_file_log
