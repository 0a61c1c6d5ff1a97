-- Owner: flink_jobs (stage). Grain: one row per version of one line of a bank file.
INSERT INTO staged_bank_records
SELECT
    record_id,
    bank,
    file_id,
    file_name,
    sha256,
    business_date,
    revision,
    line_no,
    utr,
    utr_raw,
    settlement_ref,
    direction,
    amount,
    currency,
    value_date,
    account,
    narration,
    op,
    version,
    `position`
FROM bank_record_log
