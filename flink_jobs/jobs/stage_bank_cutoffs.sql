-- Owner: flink_jobs (stage). Grain: one row per word about one expected bank file.
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
    op,
    version,
    `position`
FROM cutoff_log
