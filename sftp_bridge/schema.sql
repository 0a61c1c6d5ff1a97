-- Owner: sftp_bridge, in the operational Postgres. Applied at every start; only ever adds.

-- Grain: one arrival of bytes from a bank. Exactly one row of a business file's revision is not DUPLICATE.
CREATE TABLE IF NOT EXISTS bank_files (
    seq              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bank             text        NOT NULL,
    file_id          text        NOT NULL, -- the business file: BANK|business date|cutoff[|part]
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
    -- What the file claims of its lines. Added below, parsed_…: its lines as they were read, repeated ones too;
    -- of a refused file as far as it was read. record_count to retracted_count: what was published.
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

-- Readers of the view lock it before its table. In the other order they and this would wait for each other.
DO $$ BEGIN
    IF to_regclass('sp_v2_bank_files_ingested') IS NOT NULL THEN
        LOCK TABLE sp_v2_bank_files_ingested;
    END IF;
END $$;

ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS note text;
ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS parsed_count integer;
ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS parsed_credit numeric(18, 2);
ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS parsed_debit numeric(18, 2);
-- What the bank's checksum file says, and what the bytes hash to; null where none was agreed.
ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS checksum_algorithm text;
ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS checksum_claimed text;
ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS checksum_computed text;

-- Bytes that came again, and their cutoff has not been told of it yet.
ALTER TABLE bank_files ADD COLUMN IF NOT EXISTS word_due boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS bank_files_word_due ON bank_files (bank) WHERE word_due;
-- Counts arrivals' words about cutoffs. Not the files: an old one may be replayed after a newer one was taken.
CREATE SEQUENCE IF NOT EXISTS bank_file_words;

-- The same bytes of one business file are registered once, whoever races.
CREATE UNIQUE INDEX IF NOT EXISTS bank_files_bytes ON bank_files (file_id, sha256) WHERE state <> 'DUPLICATE';
CREATE UNIQUE INDEX IF NOT EXISTS bank_files_revision ON bank_files (file_id, revision) WHERE state <> 'DUPLICATE';
CREATE INDEX IF NOT EXISTS bank_files_sha256 ON bank_files (bank, sha256);
CREATE INDEX IF NOT EXISTS bank_files_open ON bank_files (bank) WHERE state = 'RECEIVED' OR remote_done_at IS NULL;

-- Grain: one bank, business date and cutoff for which a bank owes files. Mirrors the latest word on bank.cutoffs.
CREATE TABLE IF NOT EXISTS sp_v2_bank_file_expectations (
    cutoff_id      text PRIMARY KEY,
    bank           text        NOT NULL,
    business_date  date        NOT NULL,
    cutoff         text        NOT NULL,
    cutoffs_in_day integer     NOT NULL,
    status         text        NOT NULL,
    version        bigint      NOT NULL, -- a later word never yields to an earlier: docs/adr/0003-versions.md
    due_at         timestamptz NOT NULL,
    late_after     timestamptz NOT NULL,
    at             timestamptz NOT NULL, -- business time of the word
    updated_at     timestamptz NOT NULL DEFAULT now()
);

-- What came later, once: at every other start it costs a look into the catalogue, and nobody waits for a lock.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'sp_v2_bank_file_expectations'::regclass AND conname = 'bank_file_expectations_seven_words'
    ) THEN
        ALTER TABLE sp_v2_bank_file_expectations
            ADD COLUMN IF NOT EXISTS files_expected integer NOT NULL DEFAULT 1,
            ADD COLUMN IF NOT EXISTS files_received integer NOT NULL DEFAULT 0,
            ADD COLUMN IF NOT EXISTS late boolean NOT NULL DEFAULT false, -- overdue, and not all of it in
            ADD COLUMN IF NOT EXISTS last_file text, -- the name of the arrival that the word is about
            DROP CONSTRAINT IF EXISTS sp_v2_bank_file_expectations_status_check,
            ADD CONSTRAINT bank_file_expectations_seven_words CHECK (
                status IN ('DUE', 'LATE', 'MISSED', 'PARTIAL', 'RECEIVED', 'DUPLICATE', 'SUPERSEDED')
            );
        UPDATE sp_v2_bank_file_expectations SET files_received = 1 WHERE status = 'RECEIVED';
        UPDATE sp_v2_bank_file_expectations SET late = true WHERE status = 'LATE';
        CREATE INDEX IF NOT EXISTS bank_file_expectations_waiting
            ON sp_v2_bank_file_expectations (late_after) WHERE status IN ('DUE', 'PARTIAL') AND NOT late;
        DROP INDEX IF EXISTS bank_file_expectations_open;
    END IF;
END $$;

-- Grain: one arrival of bytes from a bank, as in bank_files (in Snowflake: one business file). Published is 0
-- where nothing ever was and null while the file is on its way; claimed and parsed are null where not known.
-- Columns are only ever added, at the end.
CREATE OR REPLACE VIEW sp_v2_bank_files_ingested AS
SELECT
    seq,
    bank,
    business_date,
    cutoff,
    revision,
    file_id,
    remote_name AS file_name,
    sha256,
    size_bytes,
    state,
    registered_at AS received_at,
    CASE WHEN record_count IS NOT NULL THEN finished_at END AS loaded_at,
    claimed_count,
    parsed_count,
    CASE WHEN state = 'RECEIVED' THEN NULL ELSE coalesce(record_count, 0) END AS published_count,
    claimed_credit,
    parsed_credit,
    CASE WHEN state = 'RECEIVED' THEN NULL ELSE coalesce(credit_total, 0) END AS published_credit,
    claimed_debit,
    parsed_debit,
    CASE WHEN state = 'RECEIVED' THEN NULL ELSE coalesce(debit_total, 0) END AS published_debit,
    retracted_count,
    reason,
    reason_line,
    reason_column,
    note,
    supersedes,
    duplicate_of,
    raw_key
FROM bank_files;

-- Grain: one bank. Its description as the bridge started last runs it, in the words of `settle banks list`.
CREATE TABLE IF NOT EXISTS sp_v2_bank_configs (
    bank          text PRIMARY KEY,
    active        boolean     NOT NULL DEFAULT true, -- false: its description is gone from the folder
    server        text        NOT NULL, -- host:port
    host          text        NOT NULL,
    port          integer     NOT NULL,
    account       text        NOT NULL,
    key           text        NOT NULL, -- the name of the private key's file, never what is in it
    host_key      text        NOT NULL, -- the name of the pinned key's file
    outbox        text        NOT NULL,
    processed     text        NOT NULL,
    names         text        NOT NULL,
    cutoffs       text[]      NOT NULL,
    time_zone     text        NOT NULL,
    grace_minutes integer     NOT NULL,
    complete      text        NOT NULL, -- how a file is known to be whole
    unpack        text[]      NOT NULL, -- from the outside in
    unpack_keys   text[]      NOT NULL, -- names of files as well
    formats       jsonb       NOT NULL, -- [{kind, from}]; from is null where there is but one
    sha256        text        NOT NULL, -- of what the description says, comments and order aside
    folder        text        NOT NULL, -- where the description is; a bridge speaks for its own folder only
    since         timestamptz NOT NULL DEFAULT now(), -- runs with this sha256 without a break
    updated_at    timestamptz NOT NULL DEFAULT now()
);
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'sp_v2_bank_configs'::regclass AND attname = 'calendar'
    ) THEN
        ALTER TABLE sp_v2_bank_configs
            ADD COLUMN files_per_cutoff integer NOT NULL DEFAULT 1,
            ADD COLUMN early_minutes integer NOT NULL DEFAULT 30, -- where names tell when they were sent
            ADD COLUMN calendar jsonb NOT NULL DEFAULT '{}'; -- {name, holidays, working_days}
    END IF;
END $$;

ALTER TABLE sp_v2_bank_configs ADD COLUMN IF NOT EXISTS checksum text; -- algorithm of the file beside each file

-- Grain: one bank. How its last poll went, by the bridge that holds its files; old when updated_at is old.
CREATE TABLE IF NOT EXISTS sp_v2_sftp_connector_health (
    bank                text PRIMARY KEY,
    server              text        NOT NULL,
    state               text        NOT NULL CHECK (state IN ('starting', 'ok', 'degraded')),
    problem             text,                 -- now; null when well
    last_poll           timestamptz,
    last_success        timestamptz,
    failures_in_a_row   integer     NOT NULL, -- in this process
    last_error          text,                 -- stays when it is over
    last_error_at       timestamptz,
    outbox_waiting      integer     NOT NULL, -- listed, not whole yet
    outbox_unrecognised integer     NOT NULL, -- names that are none of the bank's
    updated_at          timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50); -- rewritten with every poll, in its own page
