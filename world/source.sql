-- The payment company's own database, as the connector needs to find it.
-- Owner: the payment company (role payments); read by Debezium (role debezium).
-- Grain: one row per merchant, per transaction to settle, per answer of a gateway.
--
-- Run by a superuser or by the tables' owner, any number of times: what exists stays.
-- The roles are made where their passwords are known, before this file:
--   CREATE ROLE payments LOGIN; CREATE ROLE debezium LOGIN REPLICATION;

CREATE TABLE IF NOT EXISTS public.merchant_data (
    merchant_id      text        PRIMARY KEY,
    merchant_name    text        NOT NULL,
    settlement_cycle smallint    NOT NULL CHECK (settlement_cycle BETWEEN 1 AND 3),
    status           text        NOT NULL,
    account_number   text        NOT NULL,
    updated_at       timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS public.transactions_to_settle (
    transaction_id  text          PRIMARY KEY,
    merchant_id     text          NOT NULL,
    order_ref       text,
    gateway         text          NOT NULL,
    method          text,
    amount          numeric(18,2) NOT NULL,
    currency        text          NOT NULL,
    status          text          NOT NULL CHECK (status IN ('PENDING', 'SUCCESS', 'FAILED')),
    refunded_amount numeric(18,2) NOT NULL DEFAULT 0,
    paid_at         timestamptz   NOT NULL,
    updated_at      timestamptz   NOT NULL,
    note            text
);

CREATE TABLE IF NOT EXISTS public.payment_gateway_response (
    response_id      bigint      PRIMARY KEY,
    transaction_id   text        NOT NULL,
    gateway          text        NOT NULL,
    gateway_txn_id   text,
    response_code    text,
    response_message text,
    bank_ref         text,
    received_at      timestamptz NOT NULL
);

-- The connector writes here every few seconds, so that its slot moves on (and frees WAL)
-- while the tables above are quiet and other databases of the server are not.
CREATE TABLE IF NOT EXISTS public.debezium_heartbeat (
    id      integer     PRIMARY KEY,
    beat_at timestamptz
);

-- FULL: an update that leaves a long (TOASTed) value alone carries that value only in its old row;
-- with the default identity such a column would arrive as a placeholder. Deletes carry the row too.
ALTER TABLE public.merchant_data            REPLICA IDENTITY FULL;
ALTER TABLE public.transactions_to_settle   REPLICA IDENTITY FULL;
ALTER TABLE public.payment_gateway_response REPLICA IDENTITY FULL;

-- Exactly these tables, none by pattern: a new table enters the stream by a decision.
DO $$
DECLARE
    wanted  constant text[] := ARRAY['debezium_heartbeat', 'merchant_data',
                                     'payment_gateway_response', 'transactions_to_settle'];
    present text[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'settle_publication') THEN
        CREATE PUBLICATION settle_publication;
    END IF;
    SELECT coalesce(array_agg(tablename::text ORDER BY tablename), '{}') INTO present
      FROM pg_publication_tables WHERE pubname = 'settle_publication' AND schemaname = 'public';
    IF present IS DISTINCT FROM wanted THEN
        ALTER PUBLICATION settle_publication SET TABLE
            public.merchant_data, public.transactions_to_settle,
            public.payment_gateway_response, public.debezium_heartbeat;
    END IF;
END
$$;

DO $$
DECLARE
    source_table regclass;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'payments')
       AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        FOREACH source_table IN ARRAY ARRAY['public.merchant_data', 'public.transactions_to_settle',
                                            'public.payment_gateway_response',
                                            'public.debezium_heartbeat']::regclass[] LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO payments', source_table);
        END LOOP;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO debezium;
GRANT SELECT ON public.merchant_data, public.transactions_to_settle,
                public.payment_gateway_response, public.debezium_heartbeat TO debezium;
GRANT INSERT, UPDATE ON public.debezium_heartbeat TO debezium;
