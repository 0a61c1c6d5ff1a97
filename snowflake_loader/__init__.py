"""Takes finished Parquet files from S3 into the warehouse, each row's newest version exactly once."""
