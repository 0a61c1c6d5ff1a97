-- Owner: flink_jobs (reconcile). Grain: one row per payment and per settlement.
CREATE TEMPORARY VIEW results_now AS
SELECT * FROM payment_results
UNION ALL
SELECT * FROM settlement_results
