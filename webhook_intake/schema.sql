-- Owner: webhook_intake. Operational Postgres. Runs at every start; each statement may run again.

-- Grain: one row per webhook event whose signature held, as received. Never updated but for its outcome.
CREATE TABLE IF NOT EXISTS webhook_events (
    -- gateway : gateway's payment or event id : … : beginning of sha256.
    event_key    text COLLATE "C" PRIMARY KEY,
    gateway      text NOT NULL,
    received_at  timestamptz NOT NULL,
    sha256       text NOT NULL,
    content_type text NOT NULL,
    headers      text NOT NULL,
    body         bytea NOT NULL,
    -- PUBLISHED: its records are on pg.transactions. DEAD: not understood, a letter is on pg.dead.
    outcome      text CHECK (outcome IN ('PUBLISHED', 'DEAD')),
    reason       text,
    published_at timestamptz
);
-- gateway : payment id, to find all that was heard about one payment.
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS about text COLLATE "C";
CREATE INDEX IF NOT EXISTS webhook_events_about ON webhook_events (about) WHERE about IS NOT NULL;
-- The business date of a payment or refund whose webhook never came: the row is what a gateway's list said instead,
-- noticed at received_at. Null for a webhook.
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS missed_on date;
CREATE INDEX IF NOT EXISTS webhook_events_missed ON webhook_events (gateway, missed_on) WHERE missed_on IS NOT NULL;
-- What a crash or a broker that was away left behind; empty in good times.
CREATE INDEX IF NOT EXISTS webhook_events_unpublished ON webhook_events (received_at) WHERE published_at IS NULL;
CREATE INDEX IF NOT EXISTS webhook_events_dead ON webhook_events (received_at) WHERE outcome = 'DEAD';

-- Grain: one row per kind of refusal, peer and second. Holds no body: a forger must not be able to fill a disk.
CREATE TABLE IF NOT EXISTS webhook_audit (
    at      timestamptz NOT NULL,
    gateway text NOT NULL,
    status  integer NOT NULL,
    reason  text NOT NULL,
    peer    text NOT NULL,
    sha256  text NOT NULL,
    size    integer NOT NULL,
    count   integer NOT NULL
);
CREATE INDEX IF NOT EXISTS webhook_audit_at ON webhook_audit (at);

-- Grain: one row per gateway's route and client, in the last minute in which it sent. Not logged: losing it in a
-- crash of the server opens one minute anew, and a lease costs no wait for the disk.
CREATE UNLOGGED TABLE IF NOT EXISTS webhook_rates (
    source  text COLLATE "C" PRIMARY KEY,
    -- Minutes since 1970.
    minute  bigint NOT NULL,
    used    integer NOT NULL,
    -- What the last lease was given.
    granted integer NOT NULL
);

-- Grain: one row per settlement line as last published, and one per identity it had before (op 'd').
CREATE TABLE IF NOT EXISTS poll_lines (
    record_id    text COLLATE "C" PRIMARY KEY,
    line_key     text COLLATE "C" NOT NULL,
    gateway      text NOT NULL,
    content      text NOT NULL,
    op           text NOT NULL CHECK (op IN ('u', 'd')),
    version      bigint NOT NULL,
    record       bytea NOT NULL,
    seen_at      timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX IF NOT EXISTS poll_lines_line ON poll_lines (line_key);
CREATE INDEX IF NOT EXISTS poll_lines_unpublished ON poll_lines (gateway) WHERE published_at IS NULL;

-- Grain: one row per gateway: the last day whose report was read to its end, and how the last poll went.
CREATE TABLE IF NOT EXISTS poll_cursors (
    gateway        text PRIMARY KEY,
    day            date,
    polled_at      timestamptz,
    lines          bigint NOT NULL DEFAULT 0,
    published      bigint NOT NULL DEFAULT 0,
    dead           bigint NOT NULL DEFAULT 0,
    problem        text
);

-- Grain: one row per gateway: up to when its lists of payments and refunds were read, and how that went.
CREATE TABLE IF NOT EXISTS gap_cursors (
    gateway   text PRIMARY KEY,
    -- Business time: payments made before it were compared with the webhooks.
    read_to   timestamptz,
    polled_at timestamptz,
    -- When the days before were last read again for late changes.
    late_at   timestamptz,
    listed    bigint NOT NULL DEFAULT 0,
    missed    bigint NOT NULL DEFAULT 0,
    problem   text
);
