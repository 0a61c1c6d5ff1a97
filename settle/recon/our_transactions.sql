-- Owner: settle. Grain: one transaction of ours: this one, or one that the settlement's lines pay out.
-- A line that does not echo our id is followed through the gateway's payment.
select transaction_id, merchant_id, gateway, status, amount, refunded_amount, paid_at
from v_transactions_to_settle
where transaction_id = ?
    or transaction_id in (
        select coalesce(line.transaction_id, payment.transaction_id)
        from v_gateway_transactions as line
        left join v_gateway_transactions as payment
            on payment.entity_type = 'PAYMENT'
            and payment.gateway = line.gateway
            and payment.entity_id = line.entity_id
        where line.entity_type = 'SETTLEMENT_LINE' and (line.utr = ? or line.settlement_id = ?)
    )
order by transaction_id
