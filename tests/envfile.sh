#!/usr/bin/env bash
# Has a vault expand `.env` files over values that quoting trips over, and asks readers that we did not write what they
# see: motdotla/dotenv, python-dotenv, a POSIX shell, Python's json and PyYAML. dotenvy is asked by the unit tests of
# src/envfile. Takes the binary as its argument (the debug build by default); COVAULT_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/debug/covault}

scratch=$(mktemp -d)
vault=
finish() {
  [ -z "$vault" ] || kill "$vault" 2>/dev/null || true
  [ -z "$vault" ] || wait "$vault" 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT

python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check 'python-dotenv==1.2.*' 'PyYAML==6.*'
npm install --silent --no-audit --no-fund --prefix "$scratch/js" 'dotenv@18.0.10'

"$binary" dev --listen 127.0.0.1:0 --data "$scratch/vault" --ready-file "$scratch/ready" >"$scratch/log" 2>&1 &
vault=$!
for _ in $(seq 300); do
  [ -s "$scratch/ready" ] && break
  kill -0 "$vault" 2>/dev/null || { cat "$scratch/log"; exit 1; }
  sleep 0.1
done
"$scratch/venv/bin/python" tests/envfile.py "$scratch"
