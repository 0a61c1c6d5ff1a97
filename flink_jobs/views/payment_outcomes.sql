-- Owner: flink_jobs (reconcile). Grain: one row per transaction id. The first line that holds decides;
-- docs/reconciliation.md has the same table in words, settlement/outcomes.py in Python.
-- Outcome and reason are decided in one expression, as one text: the planner writes an expression out wherever it is
-- used, and twice is all it can bear.
CREATE TEMPORARY VIEW payment_outcomes AS
SELECT
    *,
    CASE
        WHEN ours_rows = 0 AND captured_rows > 0 THEN
            'MISSING_IN_SYSTEM' || {{ separator }}
            || 'the gateway captured ' || CAST(captured_amount - captured_refunded AS STRING)
            || ' for a transaction that we do not have'
        WHEN ours_rows = 0 THEN
            'WITHDRAWN' || {{ separator }} || 'neither side has anything to say'
        WHEN captured_rows > 1 THEN
            'DUPLICATE_IN_GATEWAY' || {{ separator }}
            || 'the gateway captured ' || CAST(captured_rows AS STRING) || ' payments for one transaction'
        WHEN theirs_rows = 0 AND ours_status = 'FAILED' THEN
            'MATCHED' || {{ separator }} || 'failed on our side, unknown to the gateway: nothing is owed'
        WHEN theirs_rows = 0 AND day_closed THEN
            'MISSING_IN_GATEWAY' || {{ separator }}
            || 'the gateway has no payment, and the payment''s day has closed'
        WHEN theirs_rows = 0 THEN
            'AWAITING_GATEWAY' || {{ separator }} || 'the gateway has said nothing yet'
        WHEN told_merchant_id <> ours_merchant_id THEN
            'MERCHANT_MISMATCH' || {{ separator }}
            || 'ours is of merchant ' || ours_merchant_id || ', the gateway''s of ' || told_merchant_id
        WHEN
            (ours_status = 'SUCCESS' AND captured_rows = 0)
            OR (ours_status = 'FAILED' AND captured_rows > 0)
            OR (ours_status = 'PENDING' AND (captured_rows > 0 OR told_status = 'FAILED'))
            THEN
            'STATUS_MISMATCH' || {{ separator }} || 'ours is ' || ours_status || ', the gateway''s ' || told_status
        WHEN ours_status = 'PENDING' THEN
            'AWAITING_GATEWAY' || {{ separator }} || 'pending on both sides'
        WHEN captured_rows > 0 AND ABS(captured_amount - ours_amount) > GREATEST(
            COALESCE({{ gateway_amounts }}[gateway], {{ default_gateway_amount }}),
            ours_amount * COALESCE({{ gateway_percents }}[gateway], {{ default_gateway_percent }}) / 100
        ) THEN
            'AMOUNT_MISMATCH' || {{ separator }}
            || 'the gateway''s amount differs by ' || CAST(captured_amount - ours_amount AS STRING)
        WHEN captured_rows > 0 AND ABS(captured_refunded - ours_refunded) > GREATEST(
            COALESCE({{ gateway_amounts }}[gateway], {{ default_gateway_amount }}),
            ours_refunded * COALESCE({{ gateway_percents }}[gateway], {{ default_gateway_percent }}) / 100
        ) THEN
            'AMOUNT_MISMATCH' || {{ separator }}
            || 'the gateway''s refunds differ by ' || CAST(captured_refunded - ours_refunded AS STRING)
        WHEN
            ABS(TIMESTAMPDIFF(DAY, told_paid_on, ours_paid_on))
            > COALESCE({{ gateway_days }}[gateway], {{ default_gateway_days }})
            THEN
            'DATE_MISMATCH' || {{ separator }}
            || 'ours was paid on ' || CAST(ours_paid_on AS STRING) || ', the gateway''s on '
            || CAST(told_paid_on AS STRING)
        ELSE
            'MATCHED' || {{ separator }} || 'both sides agree'
    END AS decision
FROM payments_in_time
