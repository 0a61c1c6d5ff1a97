create or replace transient table LANDING_20260106_060000_000000_0A1B2C3D as
select
    "CUTOFF_ID",
    "BANK",
    "BUSINESS_DATE",
    "STATUS",
    "AT",
    "_VERSION",
    "_POSITION",
    cast(null as text) as "_OP"
from SP_V2_BANK_FILE_EXPECTATIONS
where 1 = 0
