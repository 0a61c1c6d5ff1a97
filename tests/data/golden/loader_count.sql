select
    count(*) as landed,
    count_if("CUTOFF_ID" is null or "_VERSION" is null or "_POSITION" is null or "_OP" is null or "_OP" not in ('u', 'd')) as unusable
from LANDING_20260106_060000_000000_0A1B2C3D
