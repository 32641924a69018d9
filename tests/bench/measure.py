"""What a run costs: wall time, CPU seconds and peak memory of every process that takes part.

CPU of a program that ends is what the kernel reports with its exit, exact. CPU of Postgres is the
difference over its whole process tree, walsenders that have ended included (the kernel adds them
to their parent). Peaks are VmHWM, read every 50 ms; that of Postgres is its walsender's, and counts
the pages of shared_buffers that it touched. What all other processes of the machine used meanwhile
is told too: it should be next to nothing.
"""

import dataclasses
import json
import os
import select
import signal
import subprocess
import tempfile
import time

from servers import BenchError, die_with_parent

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_MS = 50
OTHERS = "(all others)"


@dataclasses.dataclass
class Cost:
    process: str
    cpu_seconds: float
    peak_mib: float


@dataclasses.dataclass
class Result:
    contender: str
    rows: int
    seconds: float
    costs: list
    output: dict = dataclasses.field(default_factory=dict)  # by program, what it printed
    longest_ms: float = 0.0  # transaction of walferry's that was seen, where that was watched

    @property
    def rate(self):
        return self.rows / self.seconds


def read_file(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def peak_mib(pid):
    """The process's VmHWM; 0 when it has ended."""
    for line in read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid, with_children=False):
    stat = read_file(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not stat:
        return 0.0
    return sum(int(ticks) for ticks in stat[11:15 if with_children else 13]) / TICKS


def machine_cpu_seconds():
    """All cores, all processes, also the hypervisor; not idle, not waiting for disks."""
    ticks = [int(field) for field in read_file("/proc/stat").splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS


def children(pid):
    return [int(child) for child in read_file(f"/proc/{pid}/task/{pid}/children").split()]


def postgres_cpu_seconds(postmaster):
    return cpu_seconds(postmaster, True) + sum(cpu_seconds(c, True) for c in children(postmaster))


def walsender_peak_mib(postmaster):
    return max((peak_mib(child) for child in children(postmaster)
                if "walsender" in read_file(f"/proc/{child}/cmdline")), default=0.0)


class Program:
    """A program being measured."""

    def __init__(self, name, command):
        self.name = name
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.peak = 0.0
        self.usage = None
        self.ended = None
        self.started_ns = time.time_ns()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            stderr=self.log, preexec_fn=die_with_parent(signal.SIGKILL))
        self.pidfd = os.pidfd_open(self.process.pid)

    def sample(self):
        self.peak = max(self.peak, peak_mib(self.process.pid))

    def stop(self, signal_number):
        """Signals it, and waits for its end."""
        os.kill(self.process.pid, signal_number)
        if not select.select([self.pidfd], [], [], 10)[0]:
            raise BenchError(f"{self.name} does not stop")

    def collect(self):
        """Once it has ended: CPU, and what it printed. An exit code other than 0 is an error."""
        self.ended = time.monotonic()
        _, status, self.usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.pidfd)
        output = self.process.stdout.read()
        self.process.stdout.close()
        with self.log as log:
            log.seek(0)
            if self.process.returncode != 0:
                raise BenchError(f"{self.name} ended with {self.process.returncode}:\n"
                                 f"{log.read()[-4000:]}")
        return json.loads(output) if output.startswith("{") else {}

    def cost(self):
        return Cost(self.name, self.usage.ru_utime + self.usage.ru_stime, self.peak)


def run_programs(contender, rows, commands, postgres=None, nats=None, timeout=1800, watch=None):
    """Starts all the commands, {name: argv}, at once and measures until the last has ended.

    `watch` is called every SAMPLE_MS. Once it answers with a time, as time.time_ns() has it,
    that is where the measured time ends, and SIGTERM ends the programs.
    """
    os.sync()  # what an earlier contender wrote is not this one's burden
    postmaster = postgres.server.pid if postgres else None
    postgres_before = postgres_cpu_seconds(postmaster) if postgres else 0
    nats_before = cpu_seconds(nats.server.pid) if nats else 0
    machine_before = machine_cpu_seconds()
    walsender_peak = 0.0
    programs = [Program(name, command) for name, command in commands.items()]
    waiting = {program.pidfd: program for program in programs}
    poller = select.poll()
    for pidfd in waiting:
        poller.register(pidfd, select.POLLIN)
    deadline = time.monotonic() + timeout
    output = {}
    over_ns = None
    try:
        while waiting:
            for pidfd, _ in poller.poll(SAMPLE_MS):
                poller.unregister(pidfd)
                program = waiting.pop(pidfd)
                output[program.name] = program.collect()
            for program in waiting.values():
                program.sample()
            if postgres:
                walsender_peak = max(walsender_peak, walsender_peak_mib(postmaster))
            if watch and over_ns is None:
                over_ns = watch()
                if over_ns is not None:
                    for program in waiting.values():
                        program.process.send_signal(signal.SIGTERM)
            if time.monotonic() > deadline:
                raise BenchError(f"{contender}: not done within {timeout} s")
    finally:
        for program in waiting.values():
            program.stop(signal.SIGKILL)
    costs = [program.cost() for program in programs]
    if postgres:
        costs.append(Cost("postgres", postgres_cpu_seconds(postmaster) - postgres_before,
                          walsender_peak))
    if nats:
        costs.append(Cost("nats-server", cpu_seconds(nats.server.pid) - nats_before,
                          peak_mib(nats.server.pid)))
    # A machine that is busy with something else measures that too.
    others = machine_cpu_seconds() - machine_before - sum(cost.cpu_seconds for cost in costs)
    costs.append(Cost(OTHERS, max(0.0, others), 0.0))
    seconds = max(p.ended for p in programs) - min(p.started for p in programs)
    if over_ns is not None:
        seconds = (over_ns - min(p.started_ns for p in programs)) / 1e9
    return Result(contender, rows, seconds, costs, output)


def median_result(results):
    """The run in the middle, by time."""
    return sorted(results, key=lambda result: result.seconds)[(len(results) - 1) // 2]
