#!/bin/sh
# rustc, as cargo calls it for each crate: with the coverage that libFuzzer steers by for our own packages, the targets
# among them, where generic code comes to be, and for the libraries that read bytes for them. All others build sooner
# without. A build script is a program of its own, in which nobody counts.
rustc=$1
shift
case "$CARGO_PKG_NAME $*" in
*"--crate-name build_script_"*) ;;
covault* | ciborium* | serde_json\ * | negentropy\ *)
    exec "$rustc" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$rustc" "$@"
