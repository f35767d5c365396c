"""What machine the figures are of, without names or paths. Knows nothing of what is measured."""

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

SYNCS = 500


def facts(folder):
    """Lines that say which machine this is and how it stands; `folder` is on the disk that is used."""
    cpu = first_value("/proc/cpuinfo", "model name") or platform.machine()
    memory = int(first_value("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    one_minute = os.getloadavg()[0]
    return [
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, load average at the start {one_minute:.1f}",
        f"{os.cpu_count()} cores, {cpu}, {memory:.0f} GiB, Linux {platform.release()}",
        f"data on {file_system(folder)}; 256 bytes with fdatasync take {sync_micros(folder):.0f} µs (median)",
        f"{tool_version(['etcd', '--version'])}, {tool_version(['wrk', '-v'])}, wrk with one thread",
    ]


def first_value(path, key):
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def file_system(folder):
    """The type of the file system that `folder` is in."""
    asked = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", folder]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def sync_micros(folder):
    """What the disk takes for the smallest durable write, the file's length unchanged."""
    path = folder / "sync"
    took = []
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, SYNCS * 256)
        for number in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(descriptor, b"v" * 256, number * 256)
            os.fdatasync(descriptor)
            took.append((time.perf_counter() - began) * 1e6)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(took)


def tool_version(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[0].split(" Copyright")[0].strip()
