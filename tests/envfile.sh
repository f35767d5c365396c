#!/usr/bin/env bash
# Has a vault expand `.env` files over values that quoting trips over, and asks readers that we did not write what they
# see: motdotla/dotenv, python-dotenv, docker/cli, a POSIX shell, Python's json and PyYAML. dotenvy is asked by the unit
# tests of src/envfile. Takes the binary as its argument (the debug build by default); COVAULT_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/debug/covault}
. tests/vault.sh

python_with 'python-dotenv==1.2.*' 'PyYAML==6.*'
(cd tests/docker_reader && go build -o "$scratch/docker_reader")
npm install --silent --no-audit --no-fund --prefix "$scratch/js" 'dotenv@18.0.10'

start_vault "$binary"
"$scratch/venv/bin/python" tests/envfile.py "$scratch"
