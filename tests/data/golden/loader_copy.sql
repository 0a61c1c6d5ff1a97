copy into LANDING_20260106_060000_000000_0A1B2C3D
from @SETTLE_STAGE/bank_cutoffs/
files = (
    'part-1',
    'dt=1/it''s'
)
file_format = (type = parquet use_logical_type = true)
match_by_column_name = case_insensitive
