-- Owner: sftp_bridge. Grain: one row per revision of one bank file.
CREATE TEMPORARY TABLE bank_file_log (
    file_id STRING NOT NULL,
    bank STRING NOT NULL,
    business_date DATE NOT NULL,
    cutoff STRING NOT NULL,
    file_name STRING NOT NULL,
    revision INT NOT NULL,
    sha256 STRING NOT NULL,
    size_bytes BIGINT NOT NULL,
    record_count INT NOT NULL,
    credit_count INT NOT NULL,
    credit_total DECIMAL(18, 2) NOT NULL,
    debit_count INT NOT NULL,
    debit_total DECIMAL(18, 2) NOT NULL,
    raw_key STRING NOT NULL,
    supersedes STRING,
    received_at TIMESTAMP(3) NOT NULL,
    op STRING NOT NULL,
    version BIGINT NOT NULL,
    `position` BIGINT NOT NULL
) WITH (
    'topic' = 'bank.files.received',
    {{ kafka_source }}
)
