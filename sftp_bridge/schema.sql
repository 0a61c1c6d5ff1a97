-- Owner: sftp_bridge, in the operational Postgres. Applied at every start; only ever adds.

-- Grain: one arrival of bytes from a bank. Exactly one row of a business file's revision is not DUPLICATE.
CREATE TABLE IF NOT EXISTS bank_files (
    seq              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank             text        NOT NULL,
    file_id          text        NOT NULL, -- the business file: BANK|business date|cutoff
    business_date    date        NOT NULL,
    cutoff           text        NOT NULL,
    revision         integer     NOT NULL,
    state            text        NOT NULL CHECK (
        state IN ('RECEIVED', 'LOADED', 'QUARANTINED', 'DUPLICATE', 'SUPERSEDED')
    ),
    remote_name      text        NOT NULL,
    remote_mtime     bigint      NOT NULL,
    size_bytes       bigint      NOT NULL,
    sha256           text        NOT NULL,
    raw_key          text        NOT NULL, -- s3://…, the bytes as they came
    lines_key        text,                 -- s3://…, the movements as published; what a revision retracts from
    supersedes       text,                 -- sha256 of the revision before
    duplicate_of     bigint REFERENCES bank_files (seq),
    -- What the file claims, what was parsed; what was published is what was parsed, or nothing.
    claimed_count    integer,
    claimed_credit   numeric(18, 2),
    claimed_debit    numeric(18, 2),
    record_count     integer,
    credit_count     integer,
    credit_total     numeric(18, 2),
    debit_count      integer,
    debit_total      numeric(18, 2),
    retracted_count  integer,
    note             text,                 -- accepted, and worth somebody's look, such as a column nobody described
    reason           text,
    reason_line      integer,
    reason_column    text,
    attempts         integer     NOT NULL DEFAULT 0,
    registered_at    timestamptz NOT NULL DEFAULT now(),
    finished_at      timestamptz,
    remote_done_at   timestamptz -- when the remote file was moved away; the last thing that happens
);

ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS note text;

-- The same bytes of one business file are registered once, whoever races.
CREATE UNIQUE INDEX IF NOT EXISTS bank_files_bytes ON bank_files (file_id, sha256) WHERE state <> 'DUPLICATE';
CREATE UNIQUE INDEX IF NOT EXISTS bank_files_revision ON bank_files (file_id, revision) WHERE state <> 'DUPLICATE';
CREATE INDEX IF NOT EXISTS bank_files_sha256 ON bank_files (bank, sha256);
CREATE INDEX IF NOT EXISTS bank_files_open ON bank_files (bank) WHERE state = 'RECEIVED' OR remote_done_at IS NULL;

-- Grain: one file that a bank owes: bank, business date, cutoff. Mirrors the latest word on bank.cutoffs.
CREATE TABLE IF NOT EXISTS sp_v2_bank_file_expectations (
    cutoff_id      text PRIMARY KEY,
    bank           text        NOT NULL,
    business_date  date        NOT NULL,
    cutoff         text        NOT NULL,
    cutoffs_in_day integer     NOT NULL,
    status         text        NOT NULL CHECK (status IN ('DUE', 'LATE', 'RECEIVED')),
    version        bigint      NOT NULL, -- DUE 1, LATE 2, RECEIVED 3: a later word never yields to an earlier
    due_at         timestamptz NOT NULL,
    late_after     timestamptz NOT NULL,
    at             timestamptz NOT NULL, -- business time of the word
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS bank_file_expectations_open
    ON sp_v2_bank_file_expectations (late_after) WHERE status = 'DUE';
