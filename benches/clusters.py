"""Three nodes of the vault, and three of etcd, on this machine: started, watched, stopped.

Each cluster looks like one server whose requests go to its leader; `follower` is another node of it. Processor
time is that of all nodes together. Knows nothing of load or of tables.
"""

import json
import signal
import subprocess
import time
from pathlib import Path

from servers import READY_SECONDS, Server, free_port, get, post

NODES = 3


class Node(Server):
    """One node of a cluster, which somebody else started."""

    def __init__(self, name, port, pid, token=None, data=None):
        super().__init__(name, port, None)
        self.started, self.token, self.data = pid, token, data

    @property
    def pid(self):
        return self.started


class Cluster:
    """What both kinds have in common; `nodes` has the leader first."""

    name, nodes, token = "", (), None

    @property
    def url(self):
        return self.nodes[0].url

    @property
    def follower(self):
        """The same cluster, asked through a node that does not lead."""
        other = Cluster()
        other.name, other.token = self.name, self.token
        other.nodes = self.nodes[1:] + self.nodes[:1]
        return other

    def cpu_seconds(self):
        return sum(node.cpu_seconds() for node in self.nodes)


class Vaults(Cluster):
    """`covault dev --nodes 3`, a release build."""

    def __init__(self, binary, folder):
        self.name, self.binary, self.folder, self.process = "covault", binary, folder, None
        # Nodes that were started again, as processes of their own.
        self.again = []

    def start(self):
        ready = self.folder / "ready.json"
        command = [self.binary, "dev", "--nodes", str(NODES), "--data", self.folder / "data"]
        command += ["--listen", "127.0.0.1:0", "--ready-file", ready]
        with open(self.folder / "covault.log", "ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        told = wait_for("the vaults", lambda: json.loads(ready.read_text()) if ready.exists() else None)
        self.token = told["admin_token"]
        ports = {
            node["id"]: (int(node["url"].rsplit(":", 1)[1]), node["pid"], self.token, Path(node["data"]))
            for node in told["nodes"]
        }
        leader = wait_for("a leader", lambda: self.leader(next(iter(ports.values()))[0]))
        order = [leader] + [node for node in ports if node != leader]
        self.nodes = [Node("covault", *ports[node]) for node in order]

    def leader(self, port):
        status, _, body = get(port, "/v1/status", self.token)
        return json.loads(body).get("leader") if status == 200 else None

    def stop(self):
        for process in self.again:
            process.terminate()
            process.wait(timeout=READY_SECONDS)
        self.again = []
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=READY_SECONDS)
        self.process = None


class Etcds(Cluster):
    """Three etcd nodes with their defaults, reached through their HTTP gateways."""

    def __init__(self, folder):
        self.name, self.folder, self.processes = "etcd", folder, []

    def start(self):
        peers = [f"http://127.0.0.1:{free_port()}" for _ in range(NODES)]
        names = [f"n{number}={url}" for number, url in enumerate(peers)]
        for number, peer in enumerate(peers):
            port = free_port()
            client = f"http://127.0.0.1:{port}"
            command = ["etcd", "--name", f"n{number}", "--data-dir", self.folder / f"etcd{number}"]
            command += ["--log-level", "error", "--initial-cluster", ",".join(names)]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            with open(self.folder / f"etcd{number}.log", "ab") as output:
                process = subprocess.Popen(command, stdout=output, stderr=output)
            self.processes.append((port, process))
        nodes = [Node("etcd", port, process.pid) for port, process in self.processes]
        leader = wait_for("etcd's leader", lambda: next((node for node in nodes if leads(node)), None))
        self.nodes = [leader] + [node for node in nodes if node is not leader]

    def stop(self):
        for _, process in self.processes:
            process.terminate()
        for _, process in self.processes:
            process.wait(timeout=READY_SECONDS)
        self.processes = []


def leads(node):
    """Whether this etcd node leads."""
    try:
        status, body = post(node.port, "/v3/maintenance/status", {})
    except OSError:
        return False
    answer = json.loads(body) if status == 200 else {}
    return bool(answer.get("leader")) and answer["leader"] == answer["header"]["member_id"]


def wait_for(what, look):
    """What `look` gives, as soon as it gives something."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise RuntimeError(f"{what} did not come about within {READY_SECONDS} s")
