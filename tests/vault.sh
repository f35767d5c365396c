# Sourced by the scripts beside it that ask a running vault: a folder, `$scratch`, and in it Python with some packages and
# a vault, all gone when the script ends. Knows nothing of what is asked.

scratch=$(mktemp -d)
vault=
finish() {
  [ -z "$vault" ] || kill "$vault" 2>/dev/null || true
  [ -z "$vault" ] || wait "$vault" 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT

# Python with these packages, in $scratch/venv.
python_with() {
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# A vault of this binary, which serves; what it told is in $scratch/ready.
start_vault() {
  "$1" dev --listen 127.0.0.1:0 --data "$scratch/vault" --ready-file "$scratch/ready" >"$scratch/log" 2>&1 &
  vault=$!
  for _ in $(seq 300); do
    [ -s "$scratch/ready" ] && return
    kill -0 "$vault" 2>/dev/null || break
    sleep 0.1
  done
  cat "$scratch/log"
  exit 1
}
