-- Owner: settle. Grain: one payment that the gateway knows for this transaction.
select record_id, gateway, entity_id, transaction_id, merchant_id, status, method, amount, refunded_amount, paid_on
from v_gateway_transactions
where entity_type = 'PAYMENT' and transaction_id = ?
order by record_id
