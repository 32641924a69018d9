"""The workloads, and how each contender is put to them.

Every run has a fresh nats-server with an empty store, and a slot of its own: a copy of one that was
made before the load. Contenders of one workload therefore do the same work from the same place.
walferry itself makes slot and publications first (the publications must exist before the load,
since they are looked up as of each change's WAL position).
"""

import contextlib
import datetime
import os
import signal
import statistics
import sys

from measure import Program, median_result, run_programs
from servers import BenchError, Nats, poll_until

TABLE = "bench_rows"
SLOT, SOURCE_SLOT = "walferry", "bench_source"
STREAM, SUBJECT = "CDC", f"cdc.public.{TABLE}.insert"
PUBLICATIONS = ("walferry", "walferry_insert")

CREATE_TABLE = f"""CREATE TABLE {TABLE} (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL,
    amount numeric(12, 2), created_at timestamptz NOT NULL, paid boolean NOT NULL,
    sku text, note text)"""

# One row from its id; with {id} filled in, about 200 bytes as Postgres's text.
ROW = """{id}, {id} * 7919 % 100000, (ARRAY['new', 'paid', 'shipped', 'cancelled'])[1 + {id} % 4],
    round({id} * 31 % 1000000 / 7.0, 2), '2026-01-01Z'::timestamptz + {id} * interval '1.01 second',
    {id} % 3 = 0, 'SKU-' || substr(md5({id}::text), 1, 10),
    'note to "' || {id} || '": ' || md5({id}::text) || ' ' || md5(({id} + 1)::text) || ' '
        || substr(md5(({id} + 2)::text), 1, 20)"""

CONFIG = """[source]
dsn = "{dsn}"
slot = "walferry"
[nats]
url = "nats://127.0.0.1:{port}"
[stream]
name = "CDC"
subject_prefix = "cdc"
[[table]]
name = "public.{table}"
snapshot = "{snapshot}"
"""

# What a stream of walferry's looks like, for raw runs before walferry has made one.
STREAM_CONFIG = {"name": STREAM, "subjects": ["cdc.>"], "storage": "file", "retention": "limits",
                 "discard": "old", "num_replicas": 1, "duplicate_window": 120_000_000_000}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def to_ns(rfc3339):
    """JetStream's time of a message; Python's datetime has no nanoseconds."""
    whole, _, fraction = rfc3339.rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


class Bench:
    def __init__(self, workplace, postgres, programs, walferry, payload):
        self.workplace = workplace
        self.postgres = postgres
        self.programs = programs      # folder of raw_publisher, slot_drain and latency_probe
        self.walferry_binary = walferry  # None: only the floor
        self.payload = payload        # bytes of a record: as measured, once walferry has run
        self.stream_config = STREAM_CONFIG

    def prepare(self):
        """The table and the publications, and walferry's own first start where there is one."""
        self.postgres.query(CREATE_TABLE)
        if self.walferry_binary:
            with Nats(self.workplace) as nats:
                run_programs("walferry, first start", 0,
                             {"walferry": self.walferry_command(nats, "--until", "current")})
            self.drop_slot(SLOT)
        else:
            self.postgres.query(f"CREATE PUBLICATION {SLOT} FOR TABLE {TABLE}")

    # ------------------------------------------------------------------------------- the pieces

    def drop_slot(self, slot):
        """Drops it if it is there, as soon as nobody reads it."""
        select = f"FROM pg_replication_slots WHERE slot_name = '{slot}'"
        poll_until(lambda: self.postgres.query(f"SELECT count(*) {select} AND active") == "0",
                   f"slot {slot} becomes free")
        self.postgres.query(f"SELECT pg_drop_replication_slot(slot_name) {select}")

    @contextlib.contextmanager
    def slot(self):
        """walferry's slot, as a copy of the one from before the load."""
        self.postgres.query(f"SELECT pg_copy_logical_replication_slot('{SOURCE_SLOT}', '{SLOT}')")
        try:
            yield
        finally:
            self.drop_slot(SLOT)

    def walferry_command(self, nats, *arguments, snapshot="never"):
        config = self.workplace.file("walferry.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(dsn=self.postgres.dsn(), port=nats.port, table=TABLE,
                                     snapshot=snapshot))
        return [self.walferry_binary, "run", "--config", config, *arguments]

    def drain_command(self, until):
        names = self.postgres.query("SELECT pubname FROM pg_publication ORDER BY 1").splitlines()
        publications = ",".join(f'"{name}"' for name in names if name in PUBLICATIONS)
        options = ("-c datestyle=ISO -c intervalstyle=iso_8601 -c extra_float_digits=3 "
                   "-c timezone=UTC -c bytea_output=hex -c lc_monetary=C "
                   "-c search_path=pg_catalog -c client_encoding=UTF8")
        dsn = self.postgres.dsn(f"replication=database options='{options}'")
        return [os.path.join(self.programs, "slot_drain"), "--dsn", dsn, "--slot", SLOT,
                "--publications", publications, "--until", until]

    def raw_command(self, nats, rows, rows_per_transaction, subject=SUBJECT):
        answer = nats.request(f"$JS.API.STREAM.CREATE.{STREAM}", self.stream_config)
        if "error" in answer:
            raise BenchError(f"the raw publisher's stream: {answer['error']}")
        return [os.path.join(self.programs, "raw_publisher"), "--port", str(nats.port),
                "--stream", STREAM, "--subject", subject, "--slot", SLOT, "--count", str(rows),
                "--rows-per-transaction", str(rows_per_transaction),
                "--payload", str(self.payload)]

    def expect_stored(self, nats, rows, who):
        stored = nats.count(STREAM, SUBJECT)
        if stored != rows:
            raise BenchError(f"{who}: {stored} messages stored instead of {rows}")

    def learn_from(self, nats, rows):
        """The mean size of walferry's records, from a spread sample, and its stream's settings."""
        sequences = range(1, rows + 1, max(1, rows // 1000))
        sizes = [len(nats.stored(STREAM, sequence)["data"]) for sequence in sequences]
        self.payload = round(statistics.mean(sizes))
        self.stream_config = nats.request(f"$JS.API.STREAM.INFO.{STREAM}")["config"]

    # ---------------------------------------------------------------------------- the contenders

    def walferry(self, rows, until):
        with self.slot(), Nats(self.workplace) as nats:
            command = self.walferry_command(nats, "--adopt", "--until-lsn", until)
            result = run_programs("walferry", rows, {"walferry": command}, self.postgres, nats)
            self.expect_stored(nats, rows, "walferry")
            self.learn_from(nats, rows)
            return result

    def drain(self, rows, until):
        with self.slot():
            result = run_programs("drain", rows, {"slot_drain": self.drain_command(until)},
                                  self.postgres)
        if result.output["slot_drain"]["count"] != rows:
            raise BenchError(f"the slot sent {result.output['slot_drain']}, not {rows} rows")
        return result

    def raw(self, rows, rows_per_transaction):
        with Nats(self.workplace) as nats:
            command = self.raw_command(nats, rows, rows_per_transaction)
            result = run_programs("raw publisher", rows, {"raw_publisher": command}, None, nats)
            self.expect_stored(nats, rows, "raw publisher")
            return result

    def floor(self, rows, rows_per_transaction, until):
        with self.slot(), Nats(self.workplace) as nats:
            commands = {"slot_drain": self.drain_command(until),
                        "raw_publisher": self.raw_command(nats, rows, rows_per_transaction)}
            result = run_programs("floor (both)", rows, commands, self.postgres, nats)
            self.expect_stored(nats, rows, "floor")
            return result

    # ----------------------------------------------------------------------------- the workloads

    @contextlib.contextmanager
    def backlog(self, rows, rows_per_transaction):
        """The rows, behind a slot; yields the LSN at which the last of them is committed."""
        say(f"loading {rows:,} rows in transactions of {rows_per_transaction:,}")
        query = self.postgres.query
        query(f"TRUNCATE {TABLE}")
        query(f"SELECT pg_create_logical_replication_slot('{SOURCE_SLOT}', 'pgoutput')")
        try:
            query("SET synchronous_commit = off")  # the same WAL, sooner
            query(f"""DO $$ BEGIN
                FOR t IN 0 .. {rows // rows_per_transaction - 1} LOOP
                    INSERT INTO {TABLE} SELECT {ROW.format(id='id')} FROM generate_series(
                        t::bigint * {rows_per_transaction} + 1,
                        (t + 1)::bigint * {rows_per_transaction}) AS id;
                    COMMIT;
                END LOOP;
            END $$""")
            query("RESET synchronous_commit")
            until = query("SELECT pg_current_wal_insert_lsn()")
            query("CHECKPOINT")
            yield until
        finally:
            self.drop_slot(SOURCE_SLOT)

    def throughput(self, rows, rows_per_transaction, rounds):
        """Drain, raw publisher, floor, walferry: of each the run in the middle."""
        results = {"drain": [], "raw": [], "floor": [], "walferry": []}
        with self.backlog(rows, rows_per_transaction) as until:
            for number in range(1, rounds + 1):
                say(f"round {number} of {rounds}")
                # walferry goes first: the others copy the size of its records.
                if self.walferry_binary:
                    results["walferry"].append(self.walferry(rows, until))
                results["drain"].append(self.drain(rows, until))
                results["raw"].append(self.raw(rows, rows_per_transaction))
                results["floor"].append(self.floor(rows, rows_per_transaction, until))
        return [median_result(runs) for runs in results.values() if runs]

    def big(self, rows):
        """One transaction of so many rows, through walferry alone."""
        with self.backlog(rows, rows) as until:
            return [self.walferry(rows, until)]

    def insert(self, row_id):
        self.postgres.query(f"INSERT INTO {TABLE} SELECT {ROW.format(id=f'{row_id}::bigint')}")

    def wait_until_stored(self, nats, rows):
        poll_until(lambda: nats.count(STREAM, SUBJECT) >= rows, f"{rows} rows are stored",
                   interval=0.002)

    def start(self, times):
        """Seconds from exec to the first record stored: [first starts], [restarts].

        At a first start walferry makes slot, publication and stream, and the row is committed once
        the slot is there. Before a restart a row is waiting.
        """
        first, again = [], []
        self.postgres.query(f"TRUNCATE {TABLE}")
        for _ in range(times):
            for publication in PUBLICATIONS:
                self.postgres.query(f"DROP PUBLICATION IF EXISTS {publication}")
            with Nats(self.workplace) as nats:
                for row, took in ((1, first), (2, again)):
                    if row == 2:
                        self.insert(row)
                    program = Program("walferry", self.walferry_command(nats))
                    if row == 1:
                        poll_until(self.slot_is_ready, "walferry makes its slot", interval=0.002)
                        self.insert(row)
                    self.wait_until_stored(nats, row)
                    stored = to_ns(nats.newest(STREAM, SUBJECT)["time"])
                    took.append((stored - program.started_ns) / 1e9)
                    program.stop(signal.SIGTERM)
                    program.collect()
            self.drop_slot(SLOT)
            self.postgres.query(f"TRUNCATE {TABLE}")
        return first, again

    def slot_is_ready(self):
        return self.postgres.query("SELECT confirmed_flush_lsn FROM pg_replication_slots "
                                   f"WHERE slot_name = '{SLOT}'")

    def latency(self, rate, seconds):
        """Commit to ack at a steady rate; what latency_probe prints."""
        self.postgres.query(f"TRUNCATE {TABLE}")
        with Nats(self.workplace) as nats:
            program = Program("walferry", self.walferry_command(nats))
            poll_until(self.slot_is_ready, "walferry makes its slot")
            self.insert(1)
            self.wait_until_stored(nats, 1)
            state = nats.request(f"$JS.API.STREAM.INFO.{STREAM}")["state"]
            statement = f"INSERT INTO {TABLE} SELECT {ROW.format(id='$1::bigint')}"
            probe = run_programs("latency_probe", rate * seconds, {"latency_probe": [
                os.path.join(self.programs, "latency_probe"), "--dsn", self.postgres.dsn(),
                "--port", str(nats.port), "--stream", STREAM, "--insert", statement,
                "--base-sequence", str(state["last_seq"]), "--first-id", "2",
                "--count", str(rate * seconds), "--rate", str(rate)]})
            program.sample()
            program.stop(signal.SIGTERM)
            program.collect()
        self.drop_slot(SLOT)
        return probe.output["latency_probe"]
