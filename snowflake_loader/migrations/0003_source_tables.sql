-- Every table below keeps one row for each key: its newest version by (_version, _position). A delete is a version,
-- kept as _deleted, so that an older version arriving later finds it and stays out. _batch_id leads to load_audit.
-- Times are UTC. Only the key is never empty, since a delete may carry nothing else.

-- transactions_to_settle. Grain: one payment of the payment company's own database. Owner: the source database.
create table if not exists transactions_to_settle (
    transaction_id   text not null,
    merchant_id      text,
    order_ref        text,
    gateway          text,
    method           text,
    amount           number(18, 2),
    currency         text,
    status           text,
    refunded_amount  number(18, 2),
    paid_at          timestamp_ntz,
    updated_at       timestamp_ntz,
    note             text,
    _version         bigint not null,
    _position        bigint not null,
    _deleted         boolean not null,
    _batch_id        text not null
);

-- merchant_data. Grain: one merchant of the payment company's own database. Owner: the source database.
create table if not exists merchant_data (
    merchant_id       text not null,
    merchant_name     text,
    settlement_cycle  integer,
    status            text,
    account_number    text,
    updated_at        timestamp_ntz,
    _version          bigint not null,
    _position         bigint not null,
    _deleted          boolean not null,
    _batch_id         text not null
);

-- payment_gateway_response. Grain: one answer of a gateway as the payment company stored it. Owner: the source database.
create table if not exists payment_gateway_response (
    response_id       bigint not null,
    transaction_id    text,
    gateway           text,
    gateway_txn_id    text,
    response_code     text,
    response_message  text,
    bank_ref          text,
    received_at       timestamp_ntz,
    _version          bigint not null,
    _position         bigint not null,
    _deleted          boolean not null,
    _batch_id         text not null
);
