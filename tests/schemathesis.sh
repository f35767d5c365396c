#!/usr/bin/env bash
# Sends what schemathesis makes of the published description to a vault of one node, with a valid
# token: no 5xx and no answer that the description does not have. Takes the binary as its argument
# (the debug build by default); COVAULT_SCHEMATHESIS_SECONDS bounds the time (120 by default).
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/debug/covault}
seconds=${COVAULT_SCHEMATHESIS_SECONDS:-120}
. tests/vault.sh

python_with 'schemathesis==4.32.*'
start_vault "$binary"
field() { python3 -c "import json,sys; print(eval('json.load(open(sys.argv[1]))' + sys.argv[2]))" "$scratch/ready" "$1"; }
url=$(field "['nodes'][0]['url']")
token=$(field "['admin_token']")

cd "$scratch"
# The request id is fixed: a wrong one is not refused but replaced, which no check would know.
"$scratch/venv/bin/schemathesis" run "$url/openapi.json" \
  --header "Authorization: Bearer $token" --header 'X-Request-Id: schemathesis' \
  --checks not_a_server_error,status_code_conformance,content_type_conformance \
  --checks response_headers_conformance,response_schema_conformance,unsupported_method,negative_data_rejection \
  --phases examples,coverage,fuzzing \
  --suppress-health-check filter_too_much,too_slow \
  --max-examples 100 --max-time "$seconds" --request-timeout 20 --continue-on-failure --no-color

# The vault is still well, and its record of all this verifies.
curl -sSf "$url/health" >/dev/null
kill -0 "$vault"
