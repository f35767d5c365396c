"""A stand-in for Azure Key Vault and its token service, for the contract alone: what it answers is what Microsoft's API
reference documents for version 7.4 of the secrets' API, not what a real vault was seen to do. Nobody's access is decided
but for three applications: "reader" may do everything by its secret, "workload" by the token in a file, "stranger"
nothing.

    azure.py PORT CERTIFICATE KEY FEDERATED_TOKEN_FILE
"""

import json
import re
import secrets
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PORT = int(sys.argv[1])
HOME = f"https://localhost:{PORT}"
TENANT = "8d6f3a52-0000-4000-8000-000000000001"
APPLICATIONS = {"reader": "reader & secret", "stranger": "stranger & secret"}
NAME = re.compile(r"^[0-9a-zA-Z-]{1,127}$")
PAGE = 25

tokens = {}  # token -> application
vault = {}  # name -> versions, oldest first
deleted = {}


class Refusal(Exception):
    def __init__(self, status, code, message, inner=None, headers=()):
        self.status, self.headers = status, headers
        error = {"code": code, "message": message}
        if inner:
            error["innererror"] = {"code": inner}
        self.body = {"error": error}


def challenge():
    wanted = f'Bearer authorization="{HOME}/{TENANT}", resource="https://vault.azure.net"'
    return Refusal(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.",
                   headers=[("WWW-Authenticate", wanted)])


def not_found(what):
    return Refusal(404, "SecretNotFound",
                   f"A secret with (name/id) {what} was not found in this key vault. If you recently deleted this secret "
                   "you may be able to recover it using the correct recovery command.")


def bundle(name, version, value=True, with_version=True):
    shown = {"id": f"{HOME}/secrets/{name}" + (f"/{version['version']}" if with_version else "")}
    shown["attributes"] = {**version["attributes"], "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
    for field in ("tags", "contentType"):
        if version.get(field) is not None:
            shown[field] = version[field]
    if value:
        shown["value"] = version["value"]
    return shown


def put(name, asked):
    now = int(time.time())
    attributes = {"enabled": True, **{k: v for k, v in (asked.get("attributes") or {}).items() if v is not None}}
    version = {"version": secrets.token_hex(16), "value": asked["value"], "tags": asked.get("tags"),
               "contentType": asked.get("contentType"), "attributes": {**attributes, "created": now, "updated": now}}
    vault.setdefault(name, []).append(version)
    return bundle(name, version)


def get(name, wanted):
    versions = vault.get(name, [])
    found = [one for one in versions if not wanted or one["version"] == wanted]
    if not found:
        raise not_found(f"{name}/{wanted}" if wanted else name)
    if not found[-1]["attributes"]["enabled"]:
        raise Refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
    return bundle(name, found[-1])


def page(items, path, query):
    begin = int(query.get("$skiptoken", ["0"])[0])
    size = min(PAGE, int(query.get("maxresults", [PAGE])[0]))
    more = begin + size < len(items)
    link = f"{HOME}{path}?api-version={query['api-version'][0]}&$skiptoken={begin + size}&maxresults={size}"
    return {"value": items[begin:begin + size], "nextLink": link if more else None}


def remove(name):
    if name not in vault:
        raise not_found(name)
    deleted[name] = vault.pop(name)
    return gone(name)


def gone(name):
    if name not in deleted:
        raise not_found(name)
    now = int(time.time())
    return {**bundle(name, deleted[name][-1], value=False), "recoveryId": f"{HOME}/deletedsecrets/{name}",
            "deletedDate": now, "scheduledPurgeDate": now + 90 * 86400}


def of_the_vault(method, path, query, asked):
    if "api-version" not in query:
        raise Refusal(400, "BadParameter", "api-version must be specified")
    segments = path.strip("/").split("/")
    name = segments[1] if len(segments) > 1 else None
    if name and not NAME.match(name):
        raise Refusal(400, "BadParameter", f"The request URI contains an invalid name: {name}")
    match (method, segments[0], len(segments)):
        case ("GET", "secrets", 1):
            return page([bundle(n, vault[n][-1], False, False) for n in sorted(vault)], path, query)
        case ("GET", "secrets", 3) if segments[2] == "versions":
            return page([bundle(name, one, False) for one in vault.get(name, [])], path, query)
        case ("GET", "secrets", 2 | 3):
            return get(name, segments[2] if len(segments) > 2 else "")
        case ("PUT", "secrets", 2):
            return put(name, asked)
        case ("DELETE", "secrets", 2):
            return remove(name)
        case ("GET", "deletedsecrets", 2):
            return gone(name)
    raise Refusal(404, "NotFound", "There is no such operation.")


def is_proof(application, form):
    if form.get("client_assertion_type") == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]:
        with open(sys.argv[4]) as file:
            return application == "workload" and form.get("client_assertion") == [file.read().strip()]
    return application in APPLICATIONS and form.get("client_secret") == [APPLICATIONS[application]]


def token(form):
    application = form.get("client_id", [""])[0]
    if form.get("grant_type") != ["client_credentials"] or not is_proof(application, form):
        return 401, {"error": "invalid_client", "error_codes": [7000215],
                     "error_description": "AADSTS7000215: Invalid client secret provided."}
    if form.get("scope") != ["https://vault.azure.net/.default"]:
        return 400, {"error": "invalid_scope", "error_description": "AADSTS70011: The scope is not valid."}
    text = secrets.token_urlsafe(32)
    tokens[text] = application
    return 200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": text}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", len(text)), *headers]:
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(text)

    def serve(self):
        url = urlsplit(self.path)
        query, body = parse_qs(url.query), self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.endswith("/oauth2/v2.0/token"):
            return self.answer(*token(parse_qs(body.decode())))
        if url.path.endswith("/openid-configuration"):
            directory = f"{HOME}/{TENANT}"
            return self.answer(200, {"issuer": f"{directory}/v2.0", "token_endpoint": f"{directory}/oauth2/v2.0/token",
                                     "authorization_endpoint": f"{directory}/oauth2/v2.0/authorize"})
        try:
            application = tokens.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))
            if application is None:
                raise challenge()
            if application == "stranger":
                raise Refusal(403, "Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac")
            asked = json.loads(body) if body else {}
            return self.answer(200, of_the_vault(self.command, url.path.rstrip("/"), query, asked))
        except Refusal as refusal:
            return self.answer(refusal.status, refusal.body, refusal.headers)

    do_GET = do_PUT = do_POST = do_DELETE = serve


server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
