# shellcheck shell=bash
# What every script here agrees on: where the workspace is, where things are built, what to say when cargo is missing.
# To be sourced after `set -euo pipefail`. Deliberately not here: anything that changes the machine.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lexecon
# Outside the checkout, so that all checkouts of one user share the one long build, RocksDB.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
# A relative one means the caller's directory, also after a script has changed into the checkout.
[[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR
export CARGO_TARGET_DIR
export root cache

say() { printf '%s\n' "$*" >&2; }

require_cargo() {
    if ! command -v cargo >/dev/null; then
        say "cargo was not found: install a Rust toolchain with rustup (https://rustup.rs) and run this again"
        exit 2
    fi
}
