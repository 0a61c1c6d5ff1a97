-- Owner: flink_jobs (stage). Grain: one row per word about what a bank owes for one cutoff.
INSERT INTO staged_bank_cutoffs
SELECT
    cutoff_id,
    bank,
    business_date,
    cutoff,
    cutoffs_in_day,
    status,
    due_at,
    `at`,
    files_expected,
    files_received,
    late,
    last_file,
    op,
    version,
    `position`
FROM cutoff_log
