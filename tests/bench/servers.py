"""Private servers for a benchmark: a Postgres on a unix socket, a nats-server on loopback.

Everything lives in one temporary folder. It goes away, servers included, when the benchmark ends:
also on a signal, also on SIGKILL (the kernel then signals the servers, and a small shell that holds
the other end of a pipe removes the folder).
"""

import base64
import ctypes
import glob
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1

POSTGRES_SETTINGS = {
    "listen_addresses": "''",
    "wal_level": "logical",
    "shared_buffers": "256MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
}


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


def die_with_parent(signal_number):
    """A function for a child to call before exec."""

    def before_exec():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)

    return before_exec


def poll_until(condition, what, seconds=30.0, interval=0.02):
    """The condition's first true value, asked for again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {seconds:g} s")
        select.select([], [], [], interval)


class Workplace:
    """The temporary folder."""

    REAPER = """trap '' INT TERM HUP
        read -r _; tries=0
        until rm -rf "$1" 2>/dev/null || [ $tries -gt 100 ]
        do tries=$((tries + 1)); sleep 0.1; done"""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="walferry-bench.")
        os.chmod(self.path, 0o711)  # the database's user passes through
        self.reaper = subprocess.Popen(["sh", "-c", self.REAPER, "reaper", self.path],
                                       stdin=subprocess.PIPE, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reaper.stdin.close()
        self.reaper.wait()

    def file(self, name):
        return os.path.join(self.path, name)


class Postgres:
    """A new cluster, and one psql session on it."""

    def __init__(self, workplace):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"),
                       key=lambda path: int(path.split("/")[4]))
        if not found:
            raise BenchError("no PostgreSQL server here; ./dev setup installs it")
        self.bin = os.path.dirname(found[-1])
        self.data = workplace.file("pg")
        self.socket_dir = workplace.file("socket")
        self.log = open(workplace.file("pg.log"), "wb")
        self.server = self.psql = None
        # The server refuses to run as root.
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} \
            if os.geteuid() == 0 else {}

    def dsn(self, extra=""):
        return f"host={self.socket_dir} port=5432 user=postgres dbname=postgres {extra}".strip()

    def __enter__(self):
        for folder in (self.data, self.socket_dir):
            os.mkdir(folder, 0o700)
            if self.user:
                postgres = pwd.getpwnam("postgres")
                os.chown(folder, postgres.pw_uid, postgres.pw_gid)
        subprocess.run([f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                        "-E", "UTF8", "--locale=C", "--no-sync"], check=True, cwd="/",
                       stdout=self.log, stderr=self.log, **self.user)
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(f"unix_socket_directories = '{self.socket_dir}'\n")
            conf.writelines(f"{key} = {value}\n" for key, value in POSTGRES_SETTINGS.items())
        self.server = subprocess.Popen([f"{self.bin}/postgres", "-D", self.data], cwd="/",
                                       stdout=self.log, stderr=self.log, **self.user,
                                       preexec_fn=die_with_parent(signal.SIGQUIT))
        ready = [f"{self.bin}/pg_isready", "-q", "-d", self.dsn()]
        poll_until(lambda: subprocess.run(ready, check=False).returncode == 0, "Postgres starts")
        self.psql = subprocess.Popen(
            [f"{self.bin}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.dsn()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent(signal.SIGTERM))
        return self

    def __exit__(self, *_):
        if self.psql:
            self.psql.stdin.close()
            self.psql.wait()
        if self.server:
            self.server.send_signal(signal.SIGQUIT)
            self.server.wait()

    def query(self, sql):
        """What psql prints for it: rows on lines, columns separated by |."""
        self.psql.stdin.write(f"{sql};\n\\echo =done=\n")
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            if line == "=done=\n":
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise BenchError(f"psql failed at: {sql}")

    def version(self):
        return self.query("SHOW server_version").split()[0]


class Nats:
    """A nats-server with an empty JetStream store, and one connection for requests."""

    def __init__(self, workplace):
        self.program = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
        if not self.program:
            raise BenchError("no nats-server here; ./dev setup installs it")
        self.dir = workplace.file("nats")
        self.server = self.socket = None
        self.port = 0

    def __enter__(self):
        os.mkdir(self.dir)
        with open(f"{self.dir}/log", "wb") as log:
            self.server = subprocess.Popen(
                [self.program, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", self.dir,
                 "-js", "-sd", f"{self.dir}/store"], stdout=log, stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL))
        ports_file = f"{self.dir}/nats-server_{self.server.pid}.ports"
        poll_until(lambda: os.path.exists(ports_file) and os.path.getsize(ports_file),
                   "nats-server starts")
        with open(ports_file, encoding="utf-8") as ports:
            self.port = int(json.load(ports)["nats"][0].rsplit(":", 1)[1])
        self.socket = socket.create_connection(("127.0.0.1", self.port), 10).makefile("rwb")
        self.send(b'CONNECT {"verbose":false}\r\nSUB _REPLY.bench 1\r\n')
        poll_until(lambda: "error" not in self.request("$JS.API.INFO"), "JetStream starts")
        return self

    def __exit__(self, *_):
        if self.socket:
            self.socket.close()
        if self.server:
            self.server.kill()
            self.server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def send(self, data):
        self.socket.write(data)
        self.socket.flush()

    def request(self, subject, body=None):
        """The answer of JetStream's API, errors included."""
        payload = json.dumps(body).encode() if body is not None else b""
        self.send(b"PUB %s _REPLY.bench %d\r\n%s\r\n" % (subject.encode(), len(payload), payload))
        while True:
            line = self.socket.readline()
            if line.startswith(b"MSG "):
                return json.loads(self.socket.read(int(line.split()[-1]) + 2))
            if line.startswith(b"PING"):
                self.send(b"PONG\r\n")
            if not line or line.startswith(b"-ERR"):
                raise BenchError(f"nats-server: {line!r}")

    def stored(self, stream, sequence):
        """{"data", "headers", "time"} of one message; None when there is none."""
        return self._message(stream, {"seq": sequence})

    def newest(self, stream, subject):
        """The same of a subject's newest message."""
        return self._message(stream, {"last_by_subj": subject})

    def _message(self, stream, which):
        answer = self.request(f"$JS.API.STREAM.MSG.GET.{stream}", which)
        if "error" in answer:
            return None
        message = answer["message"]
        return {"data": base64.b64decode(message.get("data", "")),
                "headers": base64.b64decode(message.get("hdrs", "")),
                "time": message["time"]}

    def count(self, stream, subject):
        """How many messages of a subject the stream holds; 0 also while there is no stream."""
        answer = self.request(f"$JS.API.STREAM.INFO.{stream}", {"subjects_filter": subject})
        return (answer.get("state", {}).get("subjects") or {}).get(subject, 0)

    def version(self):
        answer = subprocess.run([self.program, "--version"], check=True, capture_output=True,
                                text=True)
        return answer.stdout.split()[-1]
