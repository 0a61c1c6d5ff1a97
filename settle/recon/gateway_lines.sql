-- Owner: settle. Grain: one settlement line of the gateway under this UTR or settlement id, or of its settlement.
select
    record_id, gateway, line_type, entity_id, transaction_id, settlement_id, utr, amount, fee, tax, net, settled_on
from v_gateway_transactions
where entity_type = 'SETTLEMENT_LINE'
    and (
        utr = ?
        or settlement_id = ?
        or (utr is null and settlement_id in (select settlement_id from v_gateway_transactions where utr = ?))
    )
order by line_type, record_id
