"""How long a node takes to be level that was away while others wrote.

It is killed, misses updates of some of many secrets, and is started again. It is level when it has applied all that
its leader has and holds as many versions. Knows nothing of how they reach it.
"""

import json
import os
import signal
import subprocess
import time

import wrk
from clusters import wait_for
from servers import free_port, get


def catch_up(cluster, secrets, missed):
    """Has the last node of the cluster miss so many versions; seconds from its start until it is level."""
    node = cluster.nodes[-1]
    os.kill(node.pid, signal.SIGKILL)
    wrk.load(cluster, "update", missed, key_space=secrets)
    leader = status(cluster.nodes[0])
    port = free_port()
    command = [cluster.binary, "node", "--config", node.data / "covault.toml", "--listen", f"127.0.0.1:{port}"]
    with open(node.data / "again.log", "ab") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output)
    node.port, node.started = port, process.pid
    try:
        wait_for("a level node", lambda: is_level(status(node), leader))
        return time.monotonic() - began
    except BaseException:
        process.kill()
        raise
    finally:
        cluster.again.append(process)


def is_level(node, leader):
    """Whether all is there that the leader had, as far as it is counted."""
    return node is not None and all(leader[what] <= node[what] for what in ("applied", "secrets", "versions"))


def status(node):
    """What the node says of itself; nothing while it does not answer."""
    try:
        code, _, body = get(node.port, "/v1/status", node.token)
    except OSError:
        return None
    return json.loads(body) if code == 200 else None
