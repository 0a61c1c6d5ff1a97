merge into LINES as t
using (
    select *
    from LANDING_20260106_060000_000000_0A1B2C3D
    qualify row_number() over (
        partition by "FILE_ID", "LINE_NO"
        order by
            "_VERSION" desc,
            "_POSITION" desc,
            "_OP",
            "AMOUNT"
    ) = 1
) as s
on t."FILE_ID" = s."FILE_ID" and t."LINE_NO" = s."LINE_NO"
when matched and (
    s."_VERSION" > t."_VERSION"
    or (s."_VERSION" = t."_VERSION" and s."_POSITION" > t."_POSITION")
) then update set
    "AMOUNT" = s."AMOUNT",
    "_VERSION" = s."_VERSION",
    "_POSITION" = s."_POSITION",
    "_DELETED" = (s."_OP" = 'd'),
    "_BATCH_ID" = '20260106_060000_000000_0a1b2c3d'
when not matched then insert (
    "FILE_ID",
    "LINE_NO",
    "AMOUNT",
    "_VERSION",
    "_POSITION",
    "_DELETED",
    "_BATCH_ID"
) values (
    s."FILE_ID",
    s."LINE_NO",
    s."AMOUNT",
    s."_VERSION",
    s."_POSITION",
    (s."_OP" = 'd'),
    '20260106_060000_000000_0a1b2c3d'
)
