-- Owner: sftp_bridge. Grain: one row per version of one line of a bank file.
CREATE TEMPORARY TABLE bank_record_log (
    record_id STRING NOT NULL,
    bank STRING NOT NULL,
    file_id STRING NOT NULL,
    file_name STRING NOT NULL,
    sha256 STRING NOT NULL,
    business_date DATE NOT NULL,
    revision INT NOT NULL,
    line_no INT NOT NULL,
    utr STRING,
    utr_raw STRING,
    settlement_ref STRING,
    direction STRING NOT NULL,
    amount DECIMAL(18, 2) NOT NULL,
    currency STRING NOT NULL,
    value_date DATE NOT NULL,
    account STRING,
    narration STRING,
    op STRING NOT NULL,
    version BIGINT NOT NULL,
    `position` BIGINT NOT NULL
) WITH (
    'topic' = 'bank.records',
    {{ kafka_source }}
)
