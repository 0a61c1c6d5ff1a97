-- Owner: flink_jobs (reconcile). Grain: one row per closed business date and bucket; a closed day stays closed.
-- Every transaction of a day asks for the same row: buckets spread them over the machines.
CREATE TEMPORARY VIEW closed_days AS
SELECT DISTINCT
    business_date,
    bucket
FROM (
    SELECT
        business_date,
        -- Beside the date, so that it unfolds row by row; apart from it, it would be a stream of its own to join.
        ARRAY[0, 1, 2, 3, 4, 5, 6, 7] AS copies
    FROM tick_log
    WHERE closed AND op <> 'd'
)
CROSS JOIN UNNEST(copies) AS unfolded (bucket)
