-- Owner: flink_jobs (reconcile). Grain: one row per UTR or settlement id. The first line that holds decides;
-- docs/reconciliation.md has the same table in words, settlement/outcomes.py in Python.
CREATE TEMPORARY VIEW settlement_outcomes AS
SELECT
    *,
    CASE
        WHEN line_count = 0 AND bank_rows = 0 THEN
            'WITHDRAWN' || {{ separator }} || 'neither side has anything to say'
        WHEN line_count = 0 THEN
            'MISSING_IN_GATEWAY' || {{ separator }}
            || 'the bank shows a movement that no gateway settlement explains'
        WHEN bank_rows = 0 AND files_owed > 0 AND files_received >= files_owed THEN
            'MISSING_IN_BANK' || {{ separator }}
            || 'all ' || CAST(files_owed AS STRING) || ' files of the date are in, without a credit'
        WHEN bank_rows = 0 AND files_late > 0 THEN
            'BANK_FILE_LATE' || {{ separator }} || 'no credit yet, and a file of the date is overdue'
        WHEN bank_rows = 0 THEN
            'AWAITING_BANK_FILE' || {{ separator }} || 'no credit yet, and more files of the date are to come'
        WHEN ABS(found - net) > GREATEST(
            COALESCE({{ bank_amounts }}[bank], {{ default_bank_amount }}),
            ABS(net) * COALESCE({{ bank_percents }}[bank], {{ default_bank_percent }}) / 100
        ) THEN
            CASE
                WHEN credits > 1 THEN
                    'DUPLICATE_IN_BANK' || {{ separator }} || CAST(credits AS STRING) || ' credits, '
                    || CAST(found - net AS STRING) || ' beside the settlement'
                ELSE
                    'AMOUNT_MISMATCH' || {{ separator }}
                    || 'the bank''s credit differs by ' || CAST(found - net AS STRING)
            END
        WHEN
            ABS(TIMESTAMPDIFF(DAY, settled_on, value_date))
            > COALESCE({{ bank_days }}[bank], {{ default_bank_days }})
            THEN
            'DATE_MISMATCH' || {{ separator }}
            || 'the gateway paid out on ' || CAST(settled_on AS STRING) || ', the bank''s value date is '
            || CAST(value_date AS STRING)
        ELSE
            'MATCHED' || {{ separator }} || 'both sides agree'
    END AS decision
FROM payouts_in_time
