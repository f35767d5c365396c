#!/usr/bin/env python3
"""Covault under load, from outside, beside a bare warp server and etcd in the same run.

Builds the vault and the bare server in release, starts all three on loopback with their data on one
disk, loads them, then measures in rounds: each round runs every contender once, in turning order, and a
ratio is taken within its round. Prints Markdown. Exits with 1 on errors only, never for a figure.

Needs wrk and etcd (Debian: apt-get install wrk etcd-server). See README.md for what each figure is.
"""

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import catchup
import failover
import machine
import wrk
from clusters import Etcds, Vaults
from servers import Bare, Etcd, Vault, get, post

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SECTIONS = ("reads", "creates", "history", "start", "cluster", "failover", "catchup")


def main():
    asked = arguments()
    binary, bare = build(asked)
    asked.scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="load-", dir=asked.scratch))
    try:
        for line in machine.facts(folder):
            print(f"- {line}")
        print()
        sections = {"reads": reads, "creates": creates, "history": history, "start": starts, "cluster": cluster, "failover": failovers, "catchup": catch_ups}
        for name in asked.only:
            place = folder / name
            place.mkdir()
            sections[name](asked, binary, bare, place)
            shutil.rmtree(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and short: does it run, not how fast")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison (default 5)")
    parser.add_argument("--seconds", type=int, help="length of one run (default 5)")
    parser.add_argument("--secrets", type=int, help="secrets to read from (default 100000)")
    parser.add_argument("--versions", type=int, help="versions on disk for the start (default 1000000)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="which comparisons to run")
    parser.add_argument("--covault", type=Path, help="a covault binary to measure, instead of building one")
    parser.add_argument("--bare", type=Path, help="the bare server's binary, instead of building it")
    parser.add_argument("--scratch", type=Path, default=ROOT / "target" / "load", help="a folder on the disk")
    asked = parser.parse_args()
    defaults = {"rounds": (5, 2), "seconds": (5, 1), "secrets": (100_000, 2_000), "versions": (1_000_000, 5_000)}
    for name, (full, quick) in defaults.items():
        if getattr(asked, name) is None:
            setattr(asked, name, quick if asked.quick else full)
    asked.history = 200 if asked.quick else 10_000
    asked.missed = 200 if asked.quick else 10_000
    return asked


def build(asked):
    """The two binaries, built unless they were given."""
    for tool in ("wrk", "etcd"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is not installed (Debian: apt-get install wrk etcd-server)")
    covault, bare = asked.covault, asked.bare
    if covault is None:
        subprocess.run(["cargo", "build", "--release", "--bin", "covault"], cwd=ROOT, check=True)
        covault = ROOT / "target" / "release" / "covault"
    if bare is None:
        target = ROOT / "target" / "bare"
        command = ["cargo", "build", "--release", "--locked", "--target-dir", target]
        subprocess.run(command, cwd=HERE / "bare", check=True)
        bare = target / "release" / "bare"
    return covault.resolve(), bare.resolve()


def reads(asked, binary, bare, folder):
    """Reads of random names at 64 connections: the vault, the bare server, etcd's serializable range."""
    vault, etcd, ceiling = Vault(binary, folder), Etcd(folder), Bare(bare, folder)
    try:
        vault.start()
        etcd.start()
        more = asked.secrets + 1000
        rate = wrk.load(vault, "create", more)
        wrk.load(etcd, "etcd_put", more)
        print(f"Loaded {more:,} secrets of 256 bytes at {rate:,.0f}/s.\n")
        ceiling.start(get(vault.port, "/v1/secrets/bench/00000000", vault.token))
        settings = {"connections": 64, "seconds": asked.seconds, "key_space": asked.secrets}
        rounds = take_turns(asked.rounds, {
            "covault read": lambda: wrk.measure(vault, "read", **settings),
            "bare warp": lambda: wrk.measure(ceiling, "read", **settings),
            "etcd range, serializable": lambda: wrk.measure(etcd, "etcd_range", **settings),
        })
        table("Reads, 64 connections", rounds, "covault read")
    finally:
        for server in (vault, etcd, ceiling):
            server.stop()


def creates(asked, binary, _bare, folder):
    """Durable creates of new names, against etcd's put of new keys."""
    vault, etcd = Vault(binary, folder), Etcd(folder)
    try:
        vault.start()
        etcd.start()
        names, keys = wrk.Names(), wrk.Names()
        for connections in (64, 1):
            settings = {"connections": connections, "seconds": asked.seconds}
            rounds = take_turns(asked.rounds, {
                "covault create": lambda: wrk.measure(vault, "create", names=names, **settings),
                "etcd put": lambda: wrk.measure(etcd, "etcd_put", names=keys, **settings),
            })
            plural = "" if connections == 1 else "s"
            table(f"Durable creates of new names, {connections} connection{plural}", rounds, "covault create")
        print(f"After them: covault {memory(vault)}, etcd {memory(etcd)}.\n")
    finally:
        vault.stop()
        etcd.stop()


def history(asked, binary, _bare, folder):
    """The current value of a secret with many versions, against that of one with a single version."""
    vault = Vault(binary, folder)
    try:
        vault.start()
        for prefix in ("old/", "new/"):
            name = f"{prefix}{0:08d}"
            status, body = post(vault.port, "/v1/secrets", {"name": name, "value": "v" * 256}, vault.token)
            if status != 201:
                raise RuntimeError(f"create answered {status}: {body[:300]}")
        rate = wrk.load(vault, "update", asked.history - 1, prefix="old/", key_space=1)
        print(f"Wrote {asked.history:,} versions of one secret at {rate:,.0f}/s.\n")
        settings = {"connections": 64, "seconds": asked.seconds, "key_space": 1}
        many, one = f"covault read, {asked.history:,} versions", "covault read, 1 version"
        rounds = take_turns(asked.rounds, {
            many: lambda: wrk.measure(vault, "read", prefix="old/", **settings),
            one: lambda: wrk.measure(vault, "read", prefix="new/", **settings),
        })
        table("The cost of history, 64 connections", rounds, many)
    finally:
        vault.stop()


def starts(asked, binary, _bare, folder):
    """Start and idle memory, empty and with many versions on disk, after a stop and after a kill."""
    vault = Vault(binary, folder)
    secrets = min(1000, asked.versions // 5)
    try:
        print("| start | seconds to the first 200 of `/ready`, each start | idle memory |")
        print("| --- | --- | --- |")
        vault.start()
        start_row(asked, vault, "empty", signal.SIGTERM)
        wrk.load(vault, "create", secrets + 1000)
        rate = wrk.load(vault, "update", asked.versions - secrets, key_space=secrets)
        start_row(asked, vault, f"{asked.versions:,} versions, after a stop", signal.SIGTERM)
        start_row(asked, vault, f"{asked.versions:,} versions, after kill -9", signal.SIGKILL)
        size = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) / 2**20
        print(f"\nThe versions were written at {rate:,.0f}/s over 64 connections and take {size:,.0f} MiB.\n")
    finally:
        vault.stop()


def cluster(asked, binary, _bare, folder):
    """Three nodes on this machine: creates through the leader and another node, reads of another node."""
    vaults, etcds = Vaults(binary, folder), Etcds(folder)
    try:
        vaults.start()
        etcds.start()
        names, keys = wrk.Names(), wrk.Names()
        known = asked.secrets // 5
        for server, mode, taken in ((vaults, "create", names), (etcds, "etcd_put", keys)):
            wrk.load(server, mode, known + 1000)
            taken.after(known + 1000)
        for connections in (64, 1):
            settings = {"connections": connections, "seconds": asked.seconds}
            rounds = take_turns(asked.rounds, {
                "covault create": lambda: wrk.measure(vaults, "create", names=names, **settings),
                "covault create, another node": lambda: wrk.measure(
                    vaults.follower, "create", names=names, **settings),
                "etcd put": lambda: wrk.measure(etcds, "etcd_put", names=keys, **settings),
            })
            plural = "" if connections == 1 else "s"
            table(f"Three nodes, creates, {connections} connection{plural}", rounds, "covault create")
        settings = {"connections": 64, "seconds": asked.seconds, "key_space": known}
        rounds = take_turns(asked.rounds, {
            "covault read": lambda: wrk.measure(vaults.follower, "read", **settings),
            "etcd range, serializable": lambda: wrk.measure(etcds.follower, "etcd_range", **settings),
        })
        table("Three nodes, reads of one that does not lead, 64 connections", rounds, "covault read")
        for server in (vaults, etcds):
            print(f"After them: {server.name} " + "; ".join(memory(node) for node in server.nodes))
        print()
    finally:
        vaults.stop()
        etcds.stop()


def failovers(asked, binary, _bare, folder):
    """How long creates and reads through another node pause when the leader is killed; a new cluster each time."""
    value, value64 = "v" * 256, "dnZ2" * 85 + "dg=="
    kinds = {
        "covault": (
            lambda place: Vaults(binary, place),
            lambda number: ("/v1/secrets", "POST", {"name": f"after/{number}", "value": value}),
            lambda _: ("/v1/secrets/after/1", "GET", None),
        ),
        "etcd": (
            Etcds,
            lambda number: ("/v3/kv/put", "POST", {"key": f"keys{number:08d}", "value": value64}),
            lambda _: ("/v3/kv/range", "POST", {"key": "keys00000001", "serializable": True}),
        ),
    }
    print("Three nodes, the leader killed, seconds without an answer of another:\n")
    print("| | creates, each time | reads, each time |")
    print("| --- | --- | --- |")
    for name, (make, write, read) in kinds.items():
        pauses = []
        for number in range(asked.rounds):
            place = folder / f"{name}-{number}"
            place.mkdir()
            cluster = make(place)
            try:
                cluster.start()
                pauses.append(failover.pause(cluster, write, read))
            finally:
                cluster.stop()
        cells = [", ".join(f"{seconds:.2f}" for seconds in column) for column in (
            [pause.writes for pause in pauses], [pause.reads for pause in pauses])]
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)
    print()


def catch_ups(asked, binary, _bare, folder):
    """How long a node that missed updates takes from its start until it is level, again and again."""
    cluster = Vaults(binary, folder)
    try:
        cluster.start()
        wrk.load(cluster, "create", asked.secrets)
        took = [catchup.catch_up(cluster, asked.secrets, asked.missed) for _ in range(asked.rounds)]
    finally:
        cluster.stop()
    print(f"Three nodes, {asked.secrets:,} secrets, one that missed {asked.missed:,} versions, seconds from its start until")
    print(f"it was level: {', '.join(f'{seconds:.2f}' for seconds in took)}\n", flush=True)


def start_row(asked, vault, what, how):
    """Stops and starts the vault some times; the memory is looked at a second after the last start."""
    took = []
    for _ in range(asked.rounds):
        vault.stop(how)
        took.append(vault.start())
    time.sleep(1)
    print(f"| {what} | {', '.join(f'{seconds:.3f}' for seconds in took)} | {memory(vault)} |", flush=True)


def memory(server):
    resident, own = server.memory_mib()
    return f"{resident:.1f} MiB resident, {own:.1f} MiB of it not pages of files"


def take_turns(rounds, contenders):
    """Runs every contender in every round, in turning order. Returns the runs of each, by name."""
    names = list(contenders)
    runs = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            runs[name].append(contenders[name]())
    return runs


def table(title, runs, ours):
    """Medians with their spread; a ratio is that of two runs of one round."""
    print(f"{title}:\n")
    print(f"| | per second | p50 ms | p99 ms | server CPU µs each | {ours} is | strangers' cores |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, measured in runs.items():
        ratios = [mine.rate / other.rate for mine, other in zip(runs[ours], measured)]
        cells = [
            spread([run.rate for run in measured], ",.0f"),
            spread([run.p50_ms for run in measured], ".2f"),
            spread([run.p99_ms for run in measured], ".2f"),
            spread([run.cpu_us for run in measured], ".1f"),
            "" if name == ours else spread(ratios, ".2f") + " times it",
            f"{max(run.strangers for run in measured):.2f}",
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def spread(values, form):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}}..{high:{form}})"


if __name__ == "__main__":
    # Told to stop, it stops what it started and takes its data away, as at the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        main()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"load.py: {error}", file=sys.stderr)
        sys.exit(1)
