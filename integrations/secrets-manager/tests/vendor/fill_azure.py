"""Fills a Key Vault with Microsoft's own client, reads it back with it, and tells what it found.

    fill_azure.py URL CA_FILE FEDERATED_TOKEN_FILE
"""

import base64
import datetime
import json
import sys

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from holdings import MANY, OBJECTS, TAGS, TEXTS, Holdings

url, ca, federated = sys.argv[1:]
tenant = "8d6f3a52-0000-4000-8000-000000000001"


def config(application, secret):
    return of({"client_secret": {"tenant_id": tenant, "client_id": application, "client_secret": secret}})


def of(credentials):
    return {"vault_url": url, "credentials": credentials, "authority_host": url, "separator": "--",
            "verify_challenge": False, "transport": {"ca_file": ca}}


def client(application, secret):
    credential = ClientSecretCredential(tenant, application, secret, authority=url, disable_instance_discovery=True,
                                        transport=RequestsTransport(connection_verify=ca))
    return SecretClient(url, credential, verify_challenge_resource=False,
                        transport=RequestsTransport(connection_verify=ca))


vault = client("reader", "reader & secret")
found = Holdings("azure", config("reader", "reader & secret"), "contract/", ["stage", "at", "rotation"])


def name(path):
    return path.replace("/", "--")


def put(path, values, **more):
    ids = [vault.set_secret(name(path), value, **more).properties.version for value in values]
    read = [(id, vault.get_secret(name(path), id).value) for id in ids]
    assert vault.get_secret(name(path)).properties.version == ids[-1]
    return read


for path, values in TEXTS.items():
    found.holds(f"contract/{path}", put(f"contract/{path}", values, tags=TAGS if path == "plain" else None),
                tags=TAGS if path == "plain" else None)
for path, values in OBJECTS.items():
    found.holds(f"contract/{path}", put(f"contract/{path}", [json.dumps(value) for value in values]))
binary = base64.b64encode(bytes(range(256))).decode()
found.holds("contract/binary", put("contract/binary", [binary], tags={"file-encoding": "base64"}),
            tags={"file-encoding": "base64"}, binary=True)
for number in range(MANY):
    found.holds(f"contract/many/{number:03}", put(f"contract/many/{number:03}", [str(number)]))
put("contractor", ["another prefix"])

now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
vault.set_secret("gone", "x")
vault.begin_delete_secret("gone").result()
found.refuses("a deleted secret", "gone", "not_found_secret")
vault.set_secret("off", "x", enabled=False)
found.refuses("a disabled secret", "off", "access_disabled")
try:
    vault.get_secret("off")
    raise SystemExit("the vendor's client reads a disabled secret")
except HttpResponseError as error:
    assert error.status_code == 403
vault.set_secret("early", "x", not_before=now + day)
found.refuses("a secret before its time", "early", "access_not_yet_valid")
vault.set_secret("late", "x", expires_on=now - day)
found.refuses("a secret after its time", "late", "access_expired")
found.refuses("a secret that never was", "contract/nothing", "not_found_secret")
found.refuses("a version that never was", "contract/plain", "not_found_version", "0" * 32)
found.refuses("a version of a secret that never was", "contract/nothing", "not_found_secret", "0" * 32)
found.refuses("a path that no name can be", "contract/under_score", "configuration_invalid_path_pattern")
found.knows("a workload", of({"workload_identity": {"client_id": "workload", "token_file": federated}}))
found.knows_not("an application without a role", config("stranger", "stranger & secret"), "contract/plain", "access_denied")
found.knows_not("a wrong secret", config("reader", "wrong"), "contract/plain", "authentication_invalid_credentials")
found.tell()
