"""Which staged dataset goes into which table, and by which key: the loader's map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dataset:
    """A folder of the stage and the table it is merged into."""

    name: str
    table: str
    key: tuple[str, ...]


DATASETS = (
    Dataset("transactions_to_settle", "TRANSACTIONS_TO_SETTLE", ("TRANSACTION_ID",)),
    Dataset("merchant_data", "MERCHANT_DATA", ("MERCHANT_ID",)),
    Dataset("payment_gateway_response", "PAYMENT_GATEWAY_RESPONSE", ("RESPONSE_ID",)),
    Dataset("gateway_transactions", "GATEWAY_TRANSACTIONS", ("RECORD_ID",)),
    Dataset("bank_records", "BANK_RECORDS", ("RECORD_ID",)),
    Dataset("bank_files", "SP_V2_BANK_FILES_INGESTED", ("FILE_ID",)),
    Dataset("bank_cutoffs", "SP_V2_BANK_FILE_EXPECTATIONS", ("CUTOFF_ID",)),
    Dataset("enriched_transactions", "SP_V2_TRANSACTIONS", ("TRANSACTION_ID",)),
    Dataset("recon_results", "SP_V2_RECONCILIATION_STATUS", ("RECON_KEY",)),
)
BY_NAME = {dataset.name: dataset for dataset in DATASETS}
