-- Owner: flink_jobs (enrich). Grain: one row per transaction with any answer of a gateway.
-- The answer with the highest id speaks, its fields behind its id in one text: one MAX instead of a join, and
-- the fields can never be seen apart from the version that brought them.
CREATE TEMPORARY VIEW responses_by_transaction AS
SELECT
    transaction_id,
    NULLIF(SPLIT_INDEX(answer, {{ separator }}, 1), '') AS gateway_txn_id,
    NULLIF(SPLIT_INDEX(answer, {{ separator }}, 2), '') AS response_code,
    NULLIF(SPLIT_INDEX(answer, {{ separator }}, 3), '') AS bank_ref,
    version
FROM (
    SELECT
        transaction_id,
        MAX(
            CASE
                WHEN op <> 'd' THEN
                    LPAD(CAST(response_id AS STRING), 19, '0') || {{ separator }}
                    || COALESCE(gateway_txn_id, '') || {{ separator }}
                    || COALESCE(response_code, '') || {{ separator }}
                    || COALESCE(bank_ref, '')
            END
        ) AS answer,
        SUM(version) AS version
    FROM latest_responses
    WHERE transaction_id IS NOT NULL
    GROUP BY transaction_id
)
