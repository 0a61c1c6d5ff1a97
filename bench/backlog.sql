-- A backlog of changes on transactions_to_settle, in committed batches: 80 % inserts, 15 % updates, 5 % deletes.
-- Owner: bench. Grain: one call per backlog; its keys begin with the prefix it is given.
CREATE OR REPLACE PROCEDURE bench_backlog(prefix text, batches integer, size integer)
LANGUAGE plpgsql AS $$
DECLARE
    inserts constant integer := size * 80 / 100;
    updates constant integer := size * 15 / 100;
    deletes constant integer := size - inserts - updates;
BEGIN
    FOR batch IN 1..batches LOOP
        INSERT INTO public.transactions_to_settle
        SELECT prefix || lpad(batch::text, 6, '0') || lpad(n::text, 5, '0'),
               'M' || lpad(((batch * size + n) % 15000)::text, 6, '0'),
               'ORD' || batch || '-' || n,
               (ARRAY['razorpay', 'payu', 'paytm'])[1 + n % 3],
               (ARRAY['upi', 'card', 'netbanking'])[1 + n % 3],
               (100 + (batch * 7919 + n * 104729) % 9999900)::numeric / 100,
               'INR', 'PENDING', 0, now(), now(), NULL
          FROM generate_series(1, inserts) AS n;

        UPDATE public.transactions_to_settle
           SET status = 'SUCCESS', updated_at = clock_timestamp()
         WHERE transaction_id >  prefix || lpad(batch::text, 6, '0') || '00000'
           AND transaction_id <= prefix || lpad(batch::text, 6, '0') || lpad(updates::text, 5, '0');

        DELETE FROM public.transactions_to_settle
         WHERE transaction_id >  prefix || lpad(batch::text, 6, '0') || lpad(updates::text, 5, '0')
           AND transaction_id <= prefix || lpad(batch::text, 6, '0') || lpad((updates + deletes)::text, 5, '0');
        COMMIT;
    END LOOP;
END
$$;
