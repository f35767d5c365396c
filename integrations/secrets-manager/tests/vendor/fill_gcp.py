"""Fills Google Cloud Secret Manager, as our fake plays it, with Google's own client, reads it back with it, and tells what
it found.

    fill_gcp.py HOST:PORT
"""

import base64
import json
import sys

from google.auth.credentials import Credentials
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import rest

from holdings import MANY, OBJECTS, TAGS, TEXTS, Holdings

host = sys.argv[1]
PARENT = "projects/contract"


class Given(Credentials):
    """A token that is given; google.oauth2's own is not sent in plain."""

    def refresh(self, request):
        self.token = "test"


transport = rest.SecretManagerServiceRestTransport(host=host, credentials=Given(), url_scheme="http")
manager = SecretManagerServiceClient(transport=transport)


def config(token):
    return {"project": "contract", "endpoint": f"http://{host}", "credentials": {"access_token": token}}


found = Holdings("gcp", config("test"), "contract-", ["at", "rotation"])


def put(name, values, labels=None):
    secret = {"replication": {"automatic": {}}, "labels": labels or {}}
    manager.create_secret(parent=PARENT, secret_id=name, secret=secret)
    path = f"{PARENT}/secrets/{name}"
    made = [manager.add_secret_version(parent=path, payload={"data": value}).name for value in values]
    ids = [one.rsplit("/", 1)[1] for one in made]
    return [(id, manager.access_secret_version(name=f"{path}/versions/{id}").payload.data) for id in ids]


def put_texts(name, texts, labels=None):
    return [(id, data.decode()) for id, data in put(name, [text.encode() for text in texts], labels)]


for name, values in TEXTS.items():
    labels = TAGS if name == "plain" else None
    found.holds(f"contract-{name}", put_texts(f"contract-{name}", values, labels), labels)
for name, values in OBJECTS.items():
    found.holds(f"contract-{name}", put_texts(f"contract-{name}", [json.dumps(value) for value in values]))
[(id, read)] = put("contract-binary", [bytes(range(256))])
found.holds("contract-binary", [(id, base64.b64encode(read).decode())], binary=True)
for number in range(MANY):
    found.holds(f"contract-many-{number:03}", put_texts(f"contract-many-{number:03}", [str(number)]))
put("contractor", [b"another prefix"])
put("not-contract-plain", [b"another beginning"])

put("off", [b"1", b"2"])
manager.disable_secret_version(name=f"{PARENT}/secrets/off/versions/2")
found.refuses("a disabled version that was made last", "off", "access_disabled")
found.refuses("a disabled version", "off", "access_disabled", "2")
put("erased", [b"1", b"2"])
manager.destroy_secret_version(name=f"{PARENT}/secrets/erased/versions/1")
found.refuses("a destroyed version", "erased", "not_found_destroyed", "1")
found.refuses("a secret that never was", "contract-nothing", "not_found_secret")
found.refuses("a version that never was", "contract-plain", "not_found_version", "99")
found.refuses("a secret without a grant", "deny-this", "access_denied")
found.refuses("a path that no name can be", "contract/plain", "configuration_invalid_path_pattern")
found.knows_not("a wrong token", config("wrong"), "contract-plain", "authentication_invalid_credentials")
found.tell()
