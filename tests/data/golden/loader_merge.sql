merge into SP_V2_BANK_FILE_EXPECTATIONS as t
using (
    select *
    from LANDING_20260106_060000_000000_0A1B2C3D
    qualify row_number() over (
        partition by "CUTOFF_ID"
        order by
            "_VERSION" desc,
            "_POSITION" desc,
            "_OP",
            "BANK",
            "BUSINESS_DATE",
            "STATUS",
            "AT"
    ) = 1
) as s
on t."CUTOFF_ID" = s."CUTOFF_ID"
when matched and (
    s."_VERSION" > t."_VERSION"
    or (s."_VERSION" = t."_VERSION" and s."_POSITION" > t."_POSITION")
) then update set
    "BANK" = s."BANK",
    "BUSINESS_DATE" = s."BUSINESS_DATE",
    "STATUS" = s."STATUS",
    "AT" = s."AT",
    "_VERSION" = s."_VERSION",
    "_POSITION" = s."_POSITION",
    "_DELETED" = (s."_OP" = 'd'),
    "_BATCH_ID" = '20260106_060000_000000_0a1b2c3d'
when not matched then insert (
    "CUTOFF_ID",
    "BANK",
    "BUSINESS_DATE",
    "STATUS",
    "AT",
    "_VERSION",
    "_POSITION",
    "_DELETED",
    "_BATCH_ID"
) values (
    s."CUTOFF_ID",
    s."BANK",
    s."BUSINESS_DATE",
    s."STATUS",
    s."AT",
    s."_VERSION",
    s."_POSITION",
    (s."_OP" = 'd'),
    '20260106_060000_000000_0a1b2c3d'
)
