-- Owner: settle. Grain: one line of a bank's statement under this UTR, or naming this settlement without a UTR.
select record_id, bank, file_name, line_no, utr, settlement_ref, direction, amount, value_date, narration
from v_bank_records
where utr = ? or (utr is null and settlement_ref = ?)
order by record_id
