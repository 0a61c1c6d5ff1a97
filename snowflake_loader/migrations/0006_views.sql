-- v_transactions_to_settle. Grain: one payment that exists in the source now. Owner: the source database.
create or replace view v_transactions_to_settle as
select
    transaction_id,
    merchant_id,
    order_ref,
    gateway,
    method,
    amount,
    currency,
    status,
    refunded_amount,
    paid_at,
    updated_at,
    note
from transactions_to_settle
where not _deleted;

-- v_merchant_data. Grain: one merchant that exists in the source now. Owner: the source database.
create or replace view v_merchant_data as
select
    merchant_id,
    merchant_name,
    settlement_cycle,
    status,
    account_number,
    updated_at
from merchant_data
where not _deleted;

-- v_payment_gateway_response. Grain: one stored gateway answer that exists in the source now. Owner: the source database.
create or replace view v_payment_gateway_response as
select
    response_id,
    transaction_id,
    gateway,
    gateway_txn_id,
    response_code,
    response_message,
    bank_ref,
    received_at
from payment_gateway_response
where not _deleted;

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
    raw_sha256
from gateway_transactions
where not _deleted;

-- v_bank_records. Grain: one statement line of the newest revision of its file. Owner: sftp_bridge.
create or replace view v_bank_records as
select
    record_id,
    bank,
    file_id,
    file_name,
    sha256,
    business_date,
    revision,
    line_no,
    utr,
    utr_raw,
    settlement_ref,
    direction,
    amount,
    currency,
    value_date,
    account,
    narration
from bank_records
where not _deleted;

-- v_bank_files_ingested. Grain: one business file that stands now. Owner: sftp_bridge.
create or replace view v_bank_files_ingested as
select
    file_id,
    bank,
    business_date,
    cutoff,
    file_name,
    revision,
    sha256,
    size_bytes,
    record_count,
    credit_count,
    credit_total,
    debit_count,
    debit_total,
    raw_key,
    supersedes,
    received_at
from sp_v2_bank_files_ingested
where not _deleted;

-- v_bank_file_expectations. Grain: one file that is owed, late or received now. Owner: sftp_bridge.
create or replace view v_bank_file_expectations as
select
    cutoff_id,
    bank,
    business_date,
    cutoff,
    cutoffs_in_day,
    status,
    due_at,
    "AT"
from sp_v2_bank_file_expectations
where not _deleted;

-- v_transactions. Grain: one live payment, enriched. Owner: flink_jobs.
create or replace view v_transactions as
select
    transaction_id,
    merchant_id,
    merchant_name,
    settlement_cycle,
    order_ref,
    gateway,
    method,
    amount,
    currency,
    status,
    refunded_amount,
    paid_at,
    gateway_txn_id,
    response_code,
    bank_ref
from sp_v2_transactions
where not _deleted;

-- recon_matched. Grain: one payment or settlement on which the stories agree. Owner: finance.
create or replace view recon_matched as
select
    recon_key,
    level,
    match_key,
    outcome,
    reason,
    gateway,
    bank,
    merchant_id,
    business_date,
    expected_amount,
    found_amount,
    difference,
    system_rows,
    gateway_rows,
    bank_rows,
    gross,
    fee,
    tax,
    refunds,
    adjustments,
    rules_version
from sp_v2_reconciliation_status
where not _deleted
    and outcome = 'MATCHED';

-- recon_unmatched. Grain: one payment or settlement on which they do not, with outcome, reason and signed difference. Owner: finance.
create or replace view recon_unmatched as
select
    recon_key,
    level,
    match_key,
    outcome,
    reason,
    gateway,
    bank,
    merchant_id,
    business_date,
    expected_amount,
    found_amount,
    difference,
    system_rows,
    gateway_rows,
    bank_rows,
    gross,
    fee,
    tax,
    refunds,
    adjustments,
    rules_version
from sp_v2_reconciliation_status
where not _deleted
    and outcome <> 'MATCHED';
