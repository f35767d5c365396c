#!/bin/sh
# rustc, as cargo calls it for each crate: with the coverage that libFuzzer steers by for our own crates and for the
# libraries that read bytes for them. All others build in half the time without.
rustc=$1
shift
case " $* " in
*" --crate-name covault"* | *" --crate-name ciborium"* | *" --crate-name serde_json "* | *" --crate-name negentropy "*)
    exec "$rustc" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$rustc" "$@"
