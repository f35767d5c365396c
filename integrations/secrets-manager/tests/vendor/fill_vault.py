"""Fills a KV v2 mount of an OpenBao with hvac, in a namespace of its own, reads it back with it, and tells what it found.

    fill_vault.py URL ROOT_TOKEN KUBERNETES_URL SERVICE_ACCOUNT_TOKEN_FILE CA_FILE
"""

import base64
import json
import sys

import hvac

from holdings import MANY, OBJECTS, TAGS, TEXTS, Holdings

url, root, kubernetes, jwt_file, ca = sys.argv[1:]
MOUNT = "team/kv"
UID = "8d6f3a52-0000-4000-8000-000000000002"  # of the account that the fake of Kubernetes knows
POLICY = """
path "team/kv/data/contract/*" { capabilities = ["read"] }
path "team/kv/metadata/*" { capabilities = ["read", "list"] }
"""

hvac.Client(url, root).adapter.post("/v1/sys/namespaces/contract", json={})
vault = hvac.Client(url, root, namespace="contract")
vault.sys.enable_secrets_engine("kv", path=MOUNT, options={"version": "2"})
vault.sys.create_or_update_policy("reader", POLICY)
vault.sys.enable_auth_method("approle")
vault.auth.approle.create_or_update_approle("reader", token_policies=["reader"], token_ttl="10m")
role_id = vault.auth.approle.read_role_id("reader")["data"]["role_id"]
secret_id = vault.auth.approle.generate_secret_id("reader")["data"]["secret_id"]
kv = vault.secrets.kv.v2


def config(**auth):
    return {"address": url, "mount_path": MOUNT, "namespace": "contract", "auth": auth}


def app_role(secret_id):
    return config(app_role={"role_id": role_id, "secret_id": secret_id})


found = Holdings("vault", app_role(secret_id), "contract/", ["stage", "at", "rotation"])


def service_account_token():
    """As Kubernetes makes them, but for the signature: Vault asks Kubernetes whose it is."""
    claims = {"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:apps:app", "iat": 1, "exp": 4102444800,
              "kubernetes.io": {"namespace": "apps", "serviceaccount": {"name": "app", "uid": UID}}}
    parts = [json.dumps({"alg": "RS256", "typ": "JWT"}).encode(), json.dumps(claims).encode(), bytes(256)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def put(path, values):
    ids = [kv.create_or_update_secret(path, value, mount_point=MOUNT)["data"]["version"] for value in values]
    return [(id, json.dumps(read(path, id))) for id in ids]


def read(path, version=None):
    return kv.read_secret_version(path, version, mount_point=MOUNT, raise_on_deleted_version=True)["data"]["data"]


for path, values in TEXTS.items():
    path = f"contract/{path}"
    versions = put(path, [{"value": value} for value in values])
    if path == "contract/plain":
        kv.update_metadata(path, custom_metadata=TAGS, mount_point=MOUNT)
    found.holds(path, versions, tags=TAGS if path == "contract/plain" else None)
for path, values in OBJECTS.items():
    found.holds(f"contract/{path}", put(f"contract/{path}", values))
# A secret beside a folder of the same name, and names on both sides of the slash in the order of bytes.
for number in range(MANY):
    found.holds(f"contract/many/{number % 3}/{number:03}", put(f"contract/many/{number % 3}/{number:03}", [{"n": number}]))
for path in ("contract/many", "contract/many-1", "contract/many.1", "contract/many0", "contract/ü ?#%2f"):
    found.holds(path, put(path, [{"here": path}]))
put("contractor", [{"another": "prefix"}])
put("other/secret", [{"another": "folder"}])

put("contract/gone", [{"x": 1}, {"x": 2}])
kv.delete_latest_version_of_secret("contract/gone", mount_point=MOUNT)
found.refuses("a deleted version that is current", "contract/gone", "not_found_deleted")
found.refuses("a deleted version", "contract/gone", "not_found_deleted", "2")
put("contract/erased", [{"x": 1}])
kv.destroy_secret_versions("contract/erased", [1], mount_point=MOUNT)
found.refuses("a destroyed version", "contract/erased", "not_found_destroyed", "1")
found.refuses("a secret that never was", "contract/nothing", "not_found_secret")
found.refuses("a version that never was", "contract/plain", "not_found_version", "99")
found.refuses("a version that is no number", "contract/plain", "not_found_version", "latest")
found.refuses("version 0, which is another name of the current one", "contract/plain", "not_found_version", "0")
found.refuses("a version of a secret that never was", "contract/nothing", "not_found_secret", "1")
found.refuses("a folder without a policy", "other/secret", "access_denied")
found.refuses("a path out of the mount", "contract/../../sys", "configuration_invalid_path_pattern")
token = vault.auth.token.create(policies=["reader"], ttl="10m")["auth"]["client_token"]
found.knows("a token", config(token=token))
with open(jwt_file, "w") as file:
    file.write(service_account_token() + "\n")
cluster = "clusters/one"
vault.sys.enable_auth_method("kubernetes", path=cluster)
vault.auth.kubernetes.configure(kubernetes, token_reviewer_jwt=service_account_token(), disable_local_ca_jwt=True,
                                kubernetes_ca_cert=open(ca).read(), mount_point=cluster)
vault.auth.kubernetes.create_role("app", ["app"], ["apps"], policies=["reader"], ttl="10m", mount_point=cluster)
vault.auth.kubernetes.create_role("other", ["other"], ["apps"], policies=["reader"], mount_point=cluster)
found.knows("a service account", config(kubernetes={"role": "app", "jwt_path": jwt_file, "mount": cluster}))
found.knows_not("a service account of another role",
                config(kubernetes={"role": "other", "jwt_path": jwt_file, "mount": cluster}), "contract/plain",
                "authentication_insufficient_permissions")
found.knows_not("a wrong secret of a role", app_role("wrong"), "contract/plain", "authentication_invalid_credentials")
found.knows_not("a wrong token", config(token="wrong"), "contract/plain", "authentication_invalid_credentials")
revoked = vault.auth.token.create(policies=["reader"])["auth"]["client_token"]
vault.auth.token.revoke(revoked)
found.knows_not("a revoked token", config(token=revoked), "contract/plain", "authentication_invalid_credentials")
elsewhere = {**app_role(secret_id), "namespace": "nowhere"}
found.knows_not("a namespace that is not there", elsewhere, "contract/plain", "configuration_invalid_request")
mount = {**app_role(secret_id), "mount_path": "nowhere"}
found.knows_not("a mount without a policy", mount, "contract/plain", "access_denied")
found.tell()
