-- Owner: settle. Grain: one row per level and outcome, with what it is worth.
select
    level,
    outcome,
    count(*) as found,
    sum(expected_amount) as expected_amount,
    sum(found_amount) as found_amount,
    sum(difference) as difference
from sp_v2_reconciliation_status
where not _deleted
group by level, outcome
order by level, outcome
