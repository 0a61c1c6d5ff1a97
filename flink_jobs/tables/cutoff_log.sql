-- Owner: sftp_bridge. Grain: one row per word about what a bank owes for one cutoff.
CREATE TEMPORARY TABLE cutoff_log (
    cutoff_id STRING NOT NULL,
    bank STRING NOT NULL,
    business_date DATE NOT NULL,
    cutoff STRING NOT NULL,
    cutoffs_in_day INT NOT NULL,
    status STRING NOT NULL,
    due_at TIMESTAMP(3) NOT NULL,
    `at` TIMESTAMP(3) NOT NULL,
    files_expected INT,
    files_received INT,
    late BOOLEAN,
    last_file STRING,
    op STRING NOT NULL,
    version BIGINT NOT NULL,
    `position` BIGINT NOT NULL
) WITH (
    'topic' = 'bank.cutoffs',
    {{ kafka_source }}
)
