# Short names. The checks themselves are written in `scripts/check`, once.

# What CI runs, in full.
check:
    .ci/run

fmt:
    scripts/check fmt

clippy:
    scripts/check clippy

test:
    scripts/check test

doc:
    scripts/check doc

# Each feature of the library alone, and none.
features:
    scripts/check features

# Licences, bans, sources, and advisories where their database is at hand.
deny:
    scripts/check deny

# No unwrap, expect or todo outside tests.
panics:
    scripts/check panics

# The public conformance suite, or some of its scenarios, such as `just conformance auth/metadata-var2`.
conformance *scenarios:
    conformance/run {{scenarios}}

# A login from end to end, on this machine alone.
demo:
    cargo run --quiet --package mcp-oauth-cli -- demo

bench:
    cargo bench --package mcp-client-oauth

# A minute of one fuzz target, such as `just fuzz challenge`; it needs cargo-fuzz and a nightly Rust.
fuzz target seconds="60":
    mkdir -p fuzz/corpus/{{target}}
    cargo +nightly fuzz run {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- \
        -max_total_time={{seconds}} -rss_limit_mb=256 -timeout=1

# Ten minutes of every fuzz target, one after the other.
fuzz-all:
    for target in $(ls fuzz/seeds); do just fuzz $target 600 || exit 1; done
