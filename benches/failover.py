"""How long a cluster answers nothing after its leader was killed: the longest time between two answers around it.

One client writes new names, one reads, each through a node that does not lead, each waiting for its answer. Knows
nothing of what kind of cluster it is.
"""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

# How long the clients go on after the kill.
AFTER_SECONDS = 6
# How long a client waits for one answer before it asks again.
PATIENCE_SECONDS = 3


@dataclass
class Pause:
    """The longest times without an answer, in seconds."""

    writes: float
    reads: float


def pause(cluster, write, read):
    """Kills the leader under load. `write` and `read` make a request (path, method, body) from a number."""
    stop, longest = threading.Event(), {}
    base, token = cluster.nodes[1].url, cluster.token
    clients = [
        threading.Thread(target=client, args=(base, token, make, stop, longest, name))
        for name, make in (("writes", write), ("reads", read))
    ]
    for one in clients:
        one.start()
    time.sleep(1)
    os.kill(cluster.nodes[0].pid, signal.SIGKILL)
    time.sleep(AFTER_SECONDS)
    stop.set()
    for one in clients:
        one.join()
    return Pause(longest["writes"], longest["reads"])


def client(base, token, make, stop, longest, name):
    """Asks again and again; notes the longest time between two answers that were good."""
    number, last, worst = 0, time.monotonic(), 0.0
    while not stop.is_set():
        number += 1
        if answered(base, token, *make(number)):
            now = time.monotonic()
            worst, last = max(worst, now - last), now
    longest[name] = max(worst, time.monotonic() - last)


def answered(base, token, path, method, body):
    """Whether one request got a 2xx."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status < 300
    except (urllib.error.URLError, OSError):
        return False
