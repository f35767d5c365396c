#!/usr/bin/env python3
"""Google's own client, google-cloud-secret-manager, over REST against a fake: writes what the tests read, and reads it
as they do.

    gcp.py HOST:PORT PROJECT seed                 the secrets of the tests, anew
    gcp.py HOST:PORT PROJECT get NAME VERSION
    gcp.py HOST:PORT PROJECT describe NAME
    gcp.py HOST:PORT PROJECT list FILTER

Prints JSON. Needs google-cloud-secret-manager.
"""
import base64
import json
import sys

from google.api_core.exceptions import NotFound
from google.auth.credentials import Credentials
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import rest


class Given(Credentials):
    """A token that is given; google.oauth2's own is not sent in plain."""

    def refresh(self, request):
        self.token = "test"


def client(host):
    transport = rest.SecretManagerServiceRestTransport(host=host, credentials=Given(), url_scheme="http")
    return SecretManagerServiceClient(transport=transport)


def seed(store, parent):
    contents = {
        "it-text": ["hunter2 \u00e9\U0001f511\n".encode()],
        "it-binary": [bytes(range(256))],
        "it-versions": [b"one", b"two", b"three"],
        "it-disabled": [b"one", b"two"],
        "it-destroyed": [b"one", b"two"],
        "it-empty": [],
        "damaged-it": [b"x"],
        "not-it-text": [b"x"],
    }
    for name, versions in contents.items():
        path = f"{parent}/secrets/{name}"
        try:
            store.delete_secret(name=path)
        except NotFound:
            pass
        secret = {"replication": {"automatic": {}}, "labels": {"env": "test"} if name == "it-text" else {}}
        store.create_secret(parent=parent, secret_id=name, secret=secret)
        for data in versions:
            store.add_secret_version(parent=path, payload={"data": data})
    store.disable_secret_version(name=f"{parent}/secrets/it-disabled/versions/2")
    store.destroy_secret_version(name=f"{parent}/secrets/it-destroyed/versions/1")
    secret = {"name": f"{parent}/secrets/it-versions", "version_aliases": {"blue": 2}}
    store.update_secret(secret=secret, update_mask={"paths": ["version_aliases"]})
    return {}


def get(store, parent, name, version):
    found = store.access_secret_version(name=f"{parent}/secrets/{name}/versions/{version}")
    data = found.payload.data
    try:
        value, binary = data.decode(), False
    except UnicodeDecodeError:
        value, binary = base64.b64encode(data).decode(), True
    return {"value": value, "binary": binary, "arn": found.name}


def describe(store, parent, name):
    found = store.get_secret(name=f"{parent}/secrets/{name}")
    return {"arn": found.name, "tags": dict(found.labels), "created": found.create_time.isoformat()}


def listed(store, parent, words):
    return sorted(one.name.rsplit("/", 1)[1] for one in store.list_secrets({"parent": parent, "filter": words}))


def main(host, project, what, *words):
    does = {"seed": seed, "get": get, "describe": describe, "list": listed}[what]
    print(json.dumps(does(client(host), f"projects/{project}", *words)))


main(*sys.argv[1:])
