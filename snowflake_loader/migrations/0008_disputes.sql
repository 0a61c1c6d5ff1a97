-- Disputes are gateway records like payments and refunds: what is said of them alone.
alter table gateway_transactions add column if not exists payment_id text;

alter table gateway_transactions add column if not exists dispute_id text;

alter table gateway_transactions add column if not exists phase text;

alter table gateway_transactions add column if not exists reason_code text;

alter table gateway_transactions add column if not exists respond_by timestamp_ntz;

-- v_gateway_transactions. Grain: one gateway record that stands now. Owner: webhook_intake.
create or replace view v_gateway_transactions as
select
    record_id,
    gateway,
    entity_type,
    entity_id,
    line_type,
    transaction_id,
    order_ref,
    merchant_id,
    status,
    method,
    currency,
    amount,
    fee,
    tax,
    net,
    refunded_amount,
    settlement_id,
    utr,
    utr_raw,
    settled_on,
    bank,
    occurred_at,
    paid_on,
    origin,
    raw_sha256,
    payment_id,
    dispute_id,
    phase,
    reason_code,
    respond_by
from gateway_transactions
where not _deleted;

-- v_disputes. Grain: one dispute as its gateway last told it; taken is what it took from the payout so far,
-- settled what settlement lines say it moved (negative: away from us). Owner: webhook_intake.
create or replace view v_disputes as
select
    dispute.gateway,
    dispute.entity_id as dispute_id,
    dispute.payment_id,
    dispute.transaction_id,
    dispute.merchant_id,
    dispute.status,
    dispute.phase,
    dispute.reason_code,
    dispute.respond_by,
    dispute.currency,
    dispute.amount,
    -dispute.net as taken,
    coalesce(sum(line.net), 0) as settled,
    dispute.occurred_at
from v_gateway_transactions as dispute
left join v_gateway_transactions as line
    on line.entity_type = 'SETTLEMENT_LINE'
    and line.gateway = dispute.gateway
    and line.dispute_id = dispute.entity_id
where dispute.entity_type = 'DISPUTE'
group by
    dispute.gateway,
    dispute.entity_id,
    dispute.payment_id,
    dispute.transaction_id,
    dispute.merchant_id,
    dispute.status,
    dispute.phase,
    dispute.reason_code,
    dispute.respond_by,
    dispute.currency,
    dispute.amount,
    dispute.net,
    dispute.occurred_at;
