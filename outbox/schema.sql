-- An outbox for walferry: the application inserts events within the transactions that cause them.
--
--   psql -d app -f schema.sql
--
-- It serves both captures. capture = "wal" needs no more than the table. capture = "poll" reads the
-- rows by the transaction that wrote them, hence `xid` and its index: leave that column to its
-- default. Restored from a dump, rows carry another cluster's numbers:
-- UPDATE public.outbox SET xid = DEFAULT, after deleting those that were published.
BEGIN;

CREATE TABLE public.outbox (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregate_type text        NOT NULL,
    aggregate_id   text        NOT NULL,
    event_type     text        NOT NULL,
    payload        jsonb,
    headers        jsonb,
    xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX outbox_xid ON public.outbox (xid);

-- Wakes a walferry that polls, at commit, once a transaction. It may be left out: polling then waits
-- for poll_interval. A commit that notifies takes a lock of the whole database cluster until its
-- commit record is written, so those commits follow one another: where thousands a second write
-- into outboxes, leave the trigger out and choose a short poll_interval.
CREATE FUNCTION public.outbox_notify() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_notify('walferry_outbox', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_notify AFTER INSERT ON public.outbox
    FOR EACH STATEMENT EXECUTE FUNCTION public.outbox_notify();

COMMIT;
