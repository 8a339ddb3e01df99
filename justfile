# Short names for the stages of `scripts/check`.

# Everything that CI runs.
check:
    .ci/run

fmt:
    scripts/check fmt

clippy:
    scripts/check clippy

test:
    scripts/check test

# The Python package: style, types and tests.
python:
    scripts/check python

doc:
    scripts/check doc

# The library with each feature alone, and with none.
features:
    scripts/check features

# Licences, bans, sources, and advisories if their database is installed.
deny:
    scripts/check deny

# No unwrap, expect or todo outside tests.
panics:
    scripts/check panics

# The public conformance suite, or some of its scenarios, such as `just conformance auth/metadata-var2`.
conformance *scenarios:
    conformance/run {{scenarios}}

# A complete login on the local host.
demo:
    cargo run --quiet --package mcp-oauth-cli -- demo

bench:
    cargo bench --package mcp-client-oauth

# Runs one fuzz target for a minute, such as `just fuzz challenge`; it needs cargo-fuzz and a nightly Rust.
fuzz target seconds="60":
    mkdir -p fuzz/corpus/{{target}}
    cargo +nightly fuzz run {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- \
        -max_total_time={{seconds}} -rss_limit_mb=256 -timeout=1

# Runs every fuzz target for ten minutes.
fuzz-all:
    for target in $(ls fuzz/seeds); do just fuzz $target 600 || exit 1; done
