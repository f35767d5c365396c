"""The three servers that are compared: the vault, a bare warp server and etcd; started, watched, stopped.

Each one runs on loopback with its data in a folder of its own. Knows nothing of load or of tables.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

READY_SECONDS = 60
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path, token=None):
    """One GET. Returns status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def post(port, path, document, token=None):
    """One POST of JSON. Returns status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("POST", path, json.dumps(document), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Server:
    """A process with a port. Its output goes to a file, as a service's does."""

    def __init__(self, name, port, log):
        self.name, self.port, self.log = name, port, log
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def launch(self, command, ready_path):
        """Starts the process; returns the seconds until its first answer of 200."""
        began = time.monotonic()
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        while time.monotonic() - began < READY_SECONDS:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start; its output: {self.tail()}")
            try:
                if get(self.port, ready_path)[0] == 200:
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.002)
        raise RuntimeError(f"{self.name} was not ready within {READY_SECONDS} s; its output: {self.tail()}")

    def tail(self):
        return Path(self.log).read_text(errors="replace")[-500:]

    def stop(self, how=signal.SIGTERM):
        """Ends the process and waits until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=READY_SECONDS)
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        """Processor time the process has used, all threads together."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory_mib(self):
        """Resident memory in MiB: all of it, and the part that is not pages of files."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        rows = dict(line.split(":", 1) for line in text.splitlines())
        return tuple(int(rows[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))


class Vault(Server):
    """`covault node` with its defaults, a release build, its data made by `covault init`."""

    def __init__(self, binary, folder):
        super().__init__("covault", free_port(), folder / "covault.log")
        self.binary, self.folder, self.token = binary, folder, None

    def start(self):
        token = self.folder / "admin.token"
        if not token.exists():
            command = [self.binary, "init", "--data", self.folder / "data", "--token-out", token]
            subprocess.run(command, check=True, capture_output=True)
        self.token = token.read_text().strip()
        config = self.folder / "node.toml"
        config.write_text(f'data = "data"\nlisten = "127.0.0.1:{self.port}"\n')
        return self.launch([self.binary, "node", "--config", config], "/ready")


class Bare(Server):
    """The bare warp server, answering what `answer` says: headers and body of a read."""

    def __init__(self, binary, folder):
        super().__init__("bare warp", free_port(), folder / "bare.log")
        self.binary, self.folder = binary, folder

    def start(self, answer):
        _, headers, body = answer
        # These two every server adds by itself.
        kept = [f"{name}: {value}" for name, value in headers if name.lower() not in ("date", "content-length")]
        (self.folder / "head").write_text("\n".join(kept))
        (self.folder / "body").write_bytes(body)
        return self.launch([self.binary, str(self.port), self.folder / "head", self.folder / "body"], "/")


class Etcd(Server):
    """One etcd node with its defaults, reached through its HTTP gateway."""

    def __init__(self, folder):
        super().__init__("etcd", free_port(), folder / "etcd.log")
        self.folder = folder

    def start(self):
        client, peer = self.url, f"http://127.0.0.1:{free_port()}"
        command = ["etcd", "--name", "one", "--data-dir", self.folder / "etcd", "--log-level", "error"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        return self.launch(command + ["--initial-cluster", f"one={peer}"], "/health")
