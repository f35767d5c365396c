#!/usr/bin/env python3
"""Runs the commands of README.md as a reader would.

Every fenced block marked `sh` is run, in order, in one shell with `covault` on the PATH, against a
vault that this script starts with `covault dev`. Lines that get or build the project, or start a
vault, are left to the reader (`git clone`, `cd`, `cargo`, `covault dev`); the address and the tokens
that the README shows or names are replaced by those of the vault started here. A block that is not
meant to be run is marked otherwise (`text`, `console`, `toml`).

Usage: readme.py path/to/covault
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

LEFT_TO_THE_READER = ("git clone", "cd ", "cargo ", "covault dev", "./covault dev")
START_SECONDS_MAX = 60
RUN_SECONDS_MAX = 120


def blocks(text):
    """The `sh` blocks of a page, each as a list of logical lines."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M):
        yield block.replace("\\\n", " ").splitlines()


def start(binary, folder):
    """A vault of one node in `folder`, and what its ready file says."""
    ready = folder / "ready.json"
    command = [binary, "dev", "--listen", "127.0.0.1:0", "--data", folder / "vault", "--ready-file", ready]
    log = open(folder / "log", "wb")
    vault = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if vault.poll() is not None:
            break
        try:
            return vault, json.loads(ready.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.05)
    vault.kill()
    sys.exit("the vault did not start:\n" + (folder / "log").read_text())


def script_of(page, told):
    """One shell script of all that the page has a reader type."""
    url = told["nodes"][0]["url"]
    lines = ["set -euo pipefail", f"export COVAULT_URL={url} COVAULT_TOKEN={told['member_token']}"]
    lines += [f"export MEMBER_TOKEN={told['member_token']} ADMIN_TOKEN={told['admin_token']} TOKEN={told['member_token']}"]
    for block in blocks(page):
        for line in block:
            typed = line.strip()
            if typed.startswith(LEFT_TO_THE_READER) or typed.startswith(("export COVAULT_", "export TOKEN")):
                continue
            lines.append(line.replace("http://127.0.0.1:8400", url))
    return "\n".join(lines) + "\n"


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "bin").mkdir()
        (folder / "bin" / "covault").symlink_to(binary)
        vault, told = start(binary, folder)
        try:
            script = script_of((root / "README.md").read_text(), told)
            (folder / "typed").mkdir()
            path = f"PATH={folder / 'bin'}:{subprocess.os.environ['PATH']}"
            command = ["env", path, "bash", "-x", "-c", script]
            done = subprocess.run(command, cwd=folder / "typed", timeout=RUN_SECONDS_MAX, stdin=subprocess.DEVNULL)
        finally:
            vault.kill()
            vault.wait()
    commands = script.count("\n") - 3
    if done.returncode != 0:
        sys.exit(f"a command of README.md failed with {done.returncode}")
    if commands < 5:
        sys.exit("README.md has hardly any `sh` blocks to run")
    print(f"README.md: {commands} lines were typed and worked")


if __name__ == "__main__":
    main()
