"""wrk, run once: what it says, what the server's processor time was, and how much others disturbed it.

Knows nothing of what is compared with what.
"""

import json
import os
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
# More processor time of strangers than this (in cores), and a run is repeated.
STRANGERS_MAX = 0.3
ATTEMPTS_MAX = 4


@dataclass
class Run:
    """One run of wrk."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    strangers: float


def busy_seconds():
    """Processor time of the whole machine since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def call(server, mode, connections, seconds, **settings):
    """Runs wrk and returns the object it prints."""
    environment = os.environ | {"MODE": mode, "TOKEN": getattr(server, "token", None) or ""}
    environment |= {key.upper(): str(value) for key, value in settings.items()}
    # One thread: two were slower on two cores, and one sends every name once.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", SCRIPT, server.url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not lines:
        raise RuntimeError(f"wrk failed at {server.name}: {done.stdout[-300:]} {done.stderr[-300:]}")
    result = json.loads(lines[-1].removeprefix("RESULT "))
    if result["bad_status"] or result.get("socket_errors"):
        raise RuntimeError(f"{mode} at {server.name} had errors: {result}")
    return result


def measure_once(server, mode, connections, seconds, **settings):
    """One run, and how many requests it was."""
    began, busy, load, used = time.monotonic(), busy_seconds(), children_seconds(), server.cpu_seconds()
    result = call(server, mode, connections, seconds, **settings)
    used = server.cpu_seconds() - used
    strangers = (busy_seconds() - busy) - (children_seconds() - load) - used
    requests = result["requests"]
    run = Run(
        rate=requests / result["seconds"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        cpu_us=used / requests * 1e6,
        strangers=max(0.0, strangers / (time.monotonic() - began)),
    )
    return run, requests


class Names:
    """Numbers of names that nothing was written under yet."""

    def __init__(self):
        self.next = 0

    def after(self, count):
        # Requests under way when a run ended took numbers too.
        self.next += count + 1000


def measure(server, mode, connections, seconds, names=None, **settings):
    """A run that few strangers disturbed, or the least disturbed of several. `names` are used up."""
    runs = []
    while len(runs) < ATTEMPTS_MAX:
        first = {"first": names.next} if names else {}
        run, requests = measure_once(server, mode, connections, seconds, **first, **settings)
        if names:
            names.after(requests)
        runs.append(run)
        if run.strangers <= STRANGERS_MAX:
            break
    return min(runs, key=lambda run: run.strangers)


def load(server, mode, count, **settings):
    """Sends `count` requests over 64 connections, as fast as they are answered."""
    began = time.monotonic()
    call(server, mode, 64, 3600, stop=count, **settings)
    return count / (time.monotonic() - began)
