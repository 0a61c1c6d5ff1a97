-- settle_stage. Grain: the bucket that Flink writes finished Parquet files to. Owner: snowflake_loader.
-- The integration that may read the bucket is made once per account, in deploy/.
create stage if not exists settle_stage
    url = '{{ stage_url }}'
    storage_integration = {{ storage_integration }};
