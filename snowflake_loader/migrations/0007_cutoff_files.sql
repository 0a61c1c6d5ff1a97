-- What a bank owes for a cutoff may be several files: how many there are, how many are in, and is it late.
alter table sp_v2_bank_file_expectations add column if not exists files_expected integer;
alter table sp_v2_bank_file_expectations add column if not exists files_received integer;
alter table sp_v2_bank_file_expectations add column if not exists late boolean;
alter table sp_v2_bank_file_expectations add column if not exists last_file text;

-- v_bank_file_expectations. Grain: one bank, business date and cutoff, as of the newest word. Owner: sftp_bridge.
-- Words said before files were counted leave the count open: then one file is owed.
create or replace view v_bank_file_expectations as
select
    cutoff_id,
    bank,
    business_date,
    cutoff,
    cutoffs_in_day,
    status,
    due_at,
    "AT",
    coalesce(files_expected, 1) as files_expected,
    coalesce(files_received, case when status = 'RECEIVED' then 1 else 0 end) as files_received,
    coalesce(late, status in ('LATE', 'MISSED')) as late,
    last_file
from sp_v2_bank_file_expectations
where not _deleted;
