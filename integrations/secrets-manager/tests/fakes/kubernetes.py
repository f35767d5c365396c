"""A stand-in for the one question that a Vault asks of Kubernetes: whose token is this? It knows one service account, by
the token that is in a file. What it answers is what Kubernetes documents for TokenReview of authentication.k8s.io/v1.

    kubernetes.py PORT TOKEN_FILE
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[2]) as file:
            known = review["spec"]["token"] == file.read().strip()
        user = {"username": "system:serviceaccount:apps:app", "uid": "8d6f3a52-0000-4000-8000-000000000002",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"]}
        review["status"] = {"authenticated": True, "user": user} if known else {"authenticated": False,
                                                                              "error": "invalid bearer token"}
        text = json.dumps(review).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
