-- load_files. Grain: one staged file. Owner: snowflake_loader. What was taken into which batch; a file that is
-- here as LOADED is not taken again, one that is PARKED waits for `settle load retry`.
create table if not exists load_files (
    file_name     text not null,
    dataset       text not null,
    table_name    text not null,
    status        text not null,
    batch_id      text not null,
    row_count     bigint,
    size_bytes    bigint,
    error         text,
    noted_at      timestamp_ntz not null
);

-- load_audit. Grain: one attempt to load one micro-batch into one table. Owner: snowflake_loader. Written before
-- anything is copied (STARTED) and after the ledger (LOADED), or with the error (FAILED), always.
create table if not exists load_audit (
    batch_id        text not null,
    dataset         text not null,
    table_name      text not null,
    loader          text not null,
    status          text not null,
    file_count      bigint not null,
    size_bytes      bigint not null,
    rows_expected   bigint not null,
    rows_landed     bigint,
    rows_inserted   bigint,
    rows_updated    bigint,
    oldest_file_at  timestamp_ntz,
    started_at      timestamp_ntz not null,
    finished_at     timestamp_ntz,
    duration_ms     bigint,
    query_ids       text,
    files           text,
    error           text
);
