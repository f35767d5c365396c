#!/usr/bin/env bash
# Runs each fuzz target for so many seconds: run.sh SECONDS [TARGET...]
# Needs a stable Rust and a C++ compiler; builds what it needs. Exits with an error if a target finds
# something: the input that did it is then in artifacts/<target>/.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in src/bin/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

export RUSTC_WRAPPER=$PWD/instrument.sh CARGO_TARGET_DIR=$PWD/target
cargo build --release --locked
./seeds.sh

for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target" "seeds/$target"
    log=artifacts/$target.log
    if ! "target/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "$target: found something, see above and fuzz/$log" >&2
        exit 1
    fi
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: //p' "$log") inputs in $seconds seconds, nothing found"
done
