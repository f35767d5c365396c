#!/usr/bin/env python3
"""A stand-in for Google Cloud Secret Manager, which has no emulator of Google's.

It replays the wire shapes that Google documents (the REST mapping of google.cloud.secretmanager.v1, google.rpc.Status,
ErrorInfo) and messages as users have quoted them; it is no proof of what Google does. Memory only, 127.0.0.1 only.

    gcp.py PORT [TOKEN]      asks for `Authorization: Bearer TOKEN` (`test` unless given)

Beside what clients are documented to do (create, add, access, get, list, enable, disable, destroy, delete, patch of
labels and aliases), a name tells the fake to misbehave: `deny-…` 403, `quota-…` 429 with a delay, `down-…` 503,
`oops-…` 500, `damaged-…` a checksum that is not that of the value. Paths that Google does not know get its HTML page.
It is the metadata server of its own machine too, which gives TOKEN to whoever asks for the default account's.
"""
import base64
import datetime
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PORT = int(sys.argv[1])
TOKEN = sys.argv[2] if len(sys.argv) > 2 else "test"
NUMBER = "123456789012"  # What Google answers with in place of a project's id.
LOCK = threading.Lock()
SECRETS = {}

METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
HTML = b"<!DOCTYPE html>\n<html lang=en>\n  <title>Error 404 (Not Found)!!1</title>\n  <p><b>404.</b> That\xe2\x80\x99s an error.\n"
PARENT = r"projects/[^/]+(?:/locations/[^/]+)?"
SECRET = rf"(?P<secret>{PARENT}/secrets/[A-Za-z0-9_-]{{1,255}})"
VERSION = rf"{SECRET}/versions/(?P<version>[A-Za-z0-9_-]+)"
ROUTES = [
    ("GET", rf"{VERSION}:access", "access"),
    ("GET", VERSION, "version"),
    ("POST", rf"{VERSION}:(?P<verb>enable|disable|destroy)", "change"),
    ("GET", rf"{SECRET}/versions", "versions"),
    ("POST", rf"{SECRET}:addVersion", "add"),
    ("GET", SECRET, "secret"),
    ("PATCH", SECRET, "patch"),
    ("DELETE", SECRET, "delete"),
    ("GET", rf"(?P<parent>{PARENT})/secrets", "list"),
    ("POST", rf"(?P<parent>{PARENT})/secrets", "create"),
]


class Fault(Exception):
    def __init__(self, code, status, message, *details):
        super().__init__(message)
        error = {"code": code, "message": message, "status": status}
        if details:
            error["details"] = list(details)
        self.code, self.body = code, {"error": error}


def info(reason, **metadata):
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "secretmanager.googleapis.com", **metadata},
    }


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def numbered(name):
    return re.sub(r"^projects/[^/]+", f"projects/{NUMBER}", name)


def misbehave(name):
    kind = name.rsplit("/", 1)[1].split("-", 1)[0]
    if kind == "deny":
        permission = "secretmanager.versions.access"
        raise Fault(
            403,
            "PERMISSION_DENIED",
            f"Permission '{permission}' denied for resource '{name}' (or it may not exist).",
            info("IAM_PERMISSION_DENIED", permission=permission, resource=name),
        )
    if kind == "quota":
        delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}
        words = "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute'."
        raise Fault(429, "RESOURCE_EXHAUSTED", words, info("RATE_LIMIT_EXCEEDED"), delay)
    if kind == "down":
        raise Fault(503, "UNAVAILABLE", "The service is currently unavailable.")
    if kind == "oops":
        raise Fault(500, "INTERNAL", "Internal error encountered.")


def the_secret(name):
    if name not in SECRETS:
        raise Fault(404, "NOT_FOUND", f"Secret [{numbered(name)}] not found.")
    return SECRETS[name]


def the_version(name, version):
    if name not in SECRETS or not SECRETS[name]["versions"]:
        raise Fault(404, "NOT_FOUND", f"Secret [{numbered(name)}] not found or has no versions.")
    secret = SECRETS[name]
    # The latest is the one made last, whatever state it is in.
    wanted = str(len(secret["versions"])) if version == "latest" else secret["aliases"].get(version, version)
    if not wanted.isdigit() or not 1 <= int(wanted) <= len(secret["versions"]):
        raise Fault(404, "NOT_FOUND", f"Secret Version [{numbered(name)}/versions/{version}] not found.")
    return int(wanted), secret["versions"][int(wanted) - 1]


def shown(name, secret):
    body = {"name": numbered(name), "replication": {"automatic": {}}, "createTime": secret["made"], "etag": '"1"'}
    body |= {"labels": secret["labels"]} if secret["labels"] else {}
    return body | ({"versionAliases": secret["aliases"]} if secret["aliases"] else {})


def shown_version(name, number, version):
    path = f"{numbered(name)}/versions/{number}"
    return {"name": path, "createTime": version["made"], "state": version["state"], "etag": '"1"'}


def access(path, query, body):
    misbehave(path["secret"])
    number, version = the_version(path["secret"], path["version"])
    name = f"{numbered(path['secret'])}/versions/{number}"
    if version["state"] != "ENABLED":
        raise Fault(400, "FAILED_PRECONDITION", f"Secret Version [{name}] is in {version['state']} state.")
    checksum = crc32c(version["data"]) ^ ("/secrets/damaged-" in name)
    data = base64.b64encode(version["data"]).decode()
    return {"name": name, "payload": {"data": data, "dataCrc32c": str(checksum)}}


def version(path, query, body):
    number, found = the_version(path["secret"], path["version"])
    return shown_version(path["secret"], number, found)


def versions(path, query, body):
    found = the_secret(path["secret"])["versions"]
    all_of_them = [shown_version(path["secret"], number + 1, one) for number, one in enumerate(found)][::-1]
    return paged("versions", all_of_them, query)


def change(path, query, body):
    number, found = the_version(path["secret"], path["version"])
    found["state"] = {"enable": "ENABLED", "disable": "DISABLED", "destroy": "DESTROYED"}[path["verb"]]
    return shown_version(path["secret"], number, found)


def add(path, query, body):
    made = {"data": base64.b64decode(body["payload"]["data"]), "state": "ENABLED", "made": now()}
    versions = the_secret(path["secret"])["versions"]
    versions.append(made)
    return shown_version(path["secret"], len(versions), made)


def secret(path, query, body):
    misbehave(path["secret"])
    return shown(path["secret"], the_secret(path["secret"]))


def patch(path, query, body):
    found = the_secret(path["secret"])
    for field in re.split(r"[,]", query["updateMask"][0]):
        name = {"labels": "labels", "versionAliases": "aliases", "version_aliases": "aliases"}[field]
        found[name] = {key: str(value) for key, value in body.get({"aliases": "versionAliases"}.get(name, name), {}).items()}
    return shown(path["secret"], found)


def delete(path, query, body):
    the_secret(path["secret"])
    del SECRETS[path["secret"]]
    return {}


def create(path, query, body):
    name = f"{path['parent']}/secrets/{query['secretId'][0]}"
    if name in SECRETS:
        raise Fault(409, "ALREADY_EXISTS", f"Secret [{numbered(name)}] already exists.")
    SECRETS[name] = {"versions": [], "labels": body.get("labels", {}), "aliases": {}, "made": now()}
    return shown(name, SECRETS[name])


def matches(name, found, term):
    field, _, value = term.replace("=", ":", 1).partition(":")
    if field == "name":
        return value in name.rsplit("/", 1)[1]
    return field.startswith("labels.") and found["labels"].get(field[7:]) == value


def list_secrets(path, query, body):
    begin = f"{path['parent']}/secrets/"
    terms = query.get("filter", [""])[0].split()
    names = sorted(name for name in SECRETS if name.startswith(begin))
    names = [name for name in names if all(matches(name, SECRETS[name], term) for term in terms)]
    return paged("secrets", [shown(name, SECRETS[name]) for name in names], query)


def paged(what, entries, query):
    skipped, size = int(query.get("pageToken", ["0"])[0] or 0), int(query.get("pageSize", ["0"])[0]) or 25000
    page = entries[skipped : skipped + size]
    answer = {"totalSize": len(entries)} | ({what: page} if page else {})
    return answer | ({"nextPageToken": str(skipped + size)} if skipped + size < len(entries) else {})


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, code, kind, body):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Metadata-Flavor", "Google")
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        url = urlsplit(self.path)
        if url.path == METADATA and self.headers.get("Metadata-Flavor") == "Google":
            login = {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
            return self.send(200, "application/json", json.dumps(login).encode())
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(url.path).removeprefix("/v1/")
        for method, pattern, name in ROUTES:
            found = re.fullmatch(pattern, path) if method == self.command else None
            if found:
                return self.routed(name, found.groupdict(), parse_qs(url.query), body)
        self.send(404, "text/html; charset=UTF-8", HTML)

    def routed(self, name, path, query, body):
        try:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                words = "Request had invalid authentication credentials. Expected OAuth 2 access token."
                raise Fault(401, "UNAUTHENTICATED", words, info("ACCESS_TOKEN_TYPE_UNSUPPORTED"))
            with LOCK:
                does = list_secrets if name == "list" else globals()[name]
                answer = does(path, query, json.loads(body or b"{}"))
            code = 200
        except Fault as fault:
            code, answer = fault.code, fault.body
        self.send(code, "application/json; charset=UTF-8", json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = do_DELETE = answer


ThreadingHTTPServer(("127.0.0.1", PORT), Answers).serve_forever()
