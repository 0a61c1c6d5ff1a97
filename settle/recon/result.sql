-- Owner: settle. Grain: one result that stands under this key: a UTR, a settlement id or a transaction id.
select
    level, match_key, outcome, reason, gateway, bank, merchant_id, business_date,
    expected_amount, found_amount, difference, gross, fee, tax, refunds, adjustments, rules_version
from sp_v2_reconciliation_status
where match_key = ? and not _deleted
order by level
