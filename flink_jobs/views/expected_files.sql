-- Owner: flink_jobs. Grain: one row per cutoff a bank owes files for, the newest word about it.
-- Its stage only grows, whatever the order of words: 1 to come, 2 late, 3 in, 4 taken back (settlement/cutoffs.py).
-- Of several files for one cutoff some are not all: PARTIAL is not in, and past its grace it is late.
-- Deleted ones stay, with op 'd': what was taken back still counts into the version of what was made of it.
-- By version alone: position says nothing new within one key, and ordered by two columns Flink 2.3 takes the newest
-- row for one that never changes, and takes nothing back (tests/unit/test_flink_jobs_files.py).
CREATE TEMPORARY VIEW expected_files AS
SELECT
    cutoff_id,
    bank,
    business_date,
    cutoffs_in_day,
    CASE
        WHEN op = 'd' THEN 4
        WHEN status IN ('RECEIVED', 'DUPLICATE', 'SUPERSEDED') THEN 3
        WHEN status IN ('LATE', 'MISSED') OR late THEN 2
        ELSE 1
    END AS stage
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY cutoff_id ORDER BY version DESC) AS newest
    FROM cutoff_log
)
WHERE newest = 1
