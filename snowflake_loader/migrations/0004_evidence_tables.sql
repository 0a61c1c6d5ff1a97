-- gateway_transactions. Grain: one gateway's word on one payment, refund or settlement line. Owner: webhook_intake.
create table if not exists gateway_transactions (
    record_id        text not null,
    gateway          text,
    entity_type      text,
    entity_id        text,
    line_type        text,
    transaction_id   text,
    order_ref        text,
    merchant_id      text,
    status           text,
    method           text,
    currency         text,
    amount           number(18, 2),
    fee              number(18, 2),
    tax              number(18, 2),
    net              number(18, 2),
    refunded_amount  number(18, 2),
    settlement_id    text,
    utr              text,
    utr_raw          text,
    settled_on       date,
    bank             text,
    occurred_at      timestamp_ntz,
    paid_on          date,
    origin           text,
    raw_sha256       text,
    _version         bigint not null,
    _position        bigint not null,
    _deleted         boolean not null,
    _batch_id        text not null
);

-- bank_records. Grain: one line of a bank's statement file. Owner: sftp_bridge.
create table if not exists bank_records (
    record_id       text not null,
    bank            text,
    file_id         text,
    file_name       text,
    sha256          text,
    business_date   date,
    revision        integer,
    line_no         integer,
    utr             text,
    utr_raw         text,
    settlement_ref  text,
    direction       text,
    amount          number(18, 2),
    currency        text,
    value_date      date,
    account         text,
    narration       text,
    _version        bigint not null,
    _position       bigint not null,
    _deleted        boolean not null,
    _batch_id       text not null
);

-- sp_v2_bank_files_ingested. Grain: one business file of a bank, as of its newest revision. Owner: sftp_bridge.
create table if not exists sp_v2_bank_files_ingested (
    file_id        text not null,
    bank           text,
    business_date  date,
    cutoff         text,
    file_name      text,
    revision       integer,
    sha256         text,
    size_bytes     bigint,
    record_count   integer,
    credit_count   integer,
    credit_total   number(18, 2),
    debit_count    integer,
    debit_total    number(18, 2),
    raw_key        text,
    supersedes     text,
    received_at    timestamp_ntz,
    _version       bigint not null,
    _position      bigint not null,
    _deleted       boolean not null,
    _batch_id      text not null
);

-- sp_v2_bank_file_expectations. Grain: one file that a bank owes for a cutoff. Owner: sftp_bridge.
create table if not exists sp_v2_bank_file_expectations (
    cutoff_id       text not null,
    bank            text,
    business_date   date,
    cutoff          text,
    cutoffs_in_day  integer,
    status          text,
    due_at          timestamp_ntz,
    "AT"            timestamp_ntz,
    _version        bigint not null,
    _position       bigint not null,
    _deleted        boolean not null,
    _batch_id       text not null
);
