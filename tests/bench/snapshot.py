"""The workload `snapshot`: a table that was there before, read for its initial snapshot.

walferry's time is from exec to the word that the snapshot is complete, as JetStream stored it;
slot, publication and stream are made within it. The floor is a COPY of the table that nobody keeps and a
raw publisher of as many messages of the same bytes under the same headers, both at once; its time
ends with the later of the two.

Meanwhile walferry's sessions are looked at: none may hold a transaction open for longer than it
takes to read a chunk, however slow the stream is.
"""

import os

from measure import median_result, run_programs
from servers import BenchError, Nats
from workloads import PUBLICATIONS, ROW, SLOT, STREAM, TABLE, say, to_ns

ROWS_SUBJECT = f"cdc.public.{TABLE}.snapshot"
WORD_SUBJECT = f"cdc._snapshot.public.{TABLE}"
CHUNK_ROWS = 10_000  # snapshot.chunk_rows by default
WORKERS = 2  # snapshot.workers by default

# Ended transactions cannot be seen: the longest is short by up to the time between two looks.
LONGEST = """SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)) * 1000, 0)
    FROM pg_stat_activity
    WHERE application_name = 'walferry' AND backend_type = 'client backend'"""


class SnapshotBench:
    def __init__(self, bench):
        self.bench = bench
        self.postgres = bench.postgres

    def load(self, rows):
        say(f"loading {rows:,} rows")
        query = self.postgres.query
        query(f"TRUNCATE {TABLE}")
        query(f"INSERT INTO {TABLE} SELECT {ROW.format(id='id')} "
              f"FROM generate_series(1::bigint, {rows}) AS id")
        query(f"VACUUM ANALYZE {TABLE}")
        query("CHECKPOINT")

    def run(self, rows, rounds):
        """COPY, raw publisher, floor, walferry: of each the run in the middle."""
        self.load(rows)
        results = {"copy": [], "raw": [], "floor": [], "walferry": []}
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            # walferry goes first: the others copy the size of its records.
            if self.bench.walferry_binary:
                results["walferry"].append(self.walferry(rows))
            results["copy"].append(
                run_programs("COPY", rows, {"psql": self.copy_command()}, self.postgres))
            results["raw"].append(self.publish("raw publisher", rows, {}))
            results["floor"].append(
                self.publish("floor (both)", rows, {"psql": self.copy_command()}))
        return [median_result(runs) for runs in results.values() if runs]

    def walferry(self, rows):
        for publication in PUBLICATIONS:
            self.postgres.query(f"DROP PUBLICATION IF EXISTS {publication}")
        longest = 0.0
        with Nats(self.bench.workplace) as nats:

            def watch():
                nonlocal longest
                longest = max(longest, float(self.postgres.query(LONGEST)))
                word = nats.newest(STREAM, WORD_SUBJECT)
                return to_ns(word["time"]) if word else None

            command = self.bench.walferry_command(nats, snapshot="initial")
            result = run_programs("walferry", rows, {"walferry": command}, self.postgres, nats,
                                  watch=watch)
            stored = nats.count(STREAM, ROWS_SUBJECT)
            if stored != rows:
                raise BenchError(f"walferry: {stored} rows stored instead of {rows}")
            self.bench.learn_from(nats, rows)
        self.bench.drop_slot(SLOT)
        result.longest_ms = longest
        return result

    def copy_command(self):
        return [os.path.join(self.postgres.bin, "psql"), "-Xq", "-o", "/dev/null", "-c",
                f"COPY (SELECT * FROM {TABLE}) TO STDOUT", self.postgres.dsn()]

    def publish(self, contender, rows, more):
        with Nats(self.bench.workplace) as nats:
            raw = self.bench.raw_command(nats, rows, CHUNK_ROWS, ROWS_SUBJECT)
            commands = {"raw_publisher": raw + ["--snapshot", f"snapshot:public.{TABLE}"], **more}
            result = run_programs(contender, rows, commands, self.postgres if more else None, nats)
            stored = nats.count(STREAM, ROWS_SUBJECT)
            if stored != rows:
                raise BenchError(f"{contender}: {stored} messages stored instead of {rows}")
            return result
