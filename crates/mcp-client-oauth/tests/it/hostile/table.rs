//! The table of all cases, and checks that it is complete: each number once, each with a test.

use std::{collections::BTreeMap, env, fmt::Write as _, fs};

use super::{
    TESTS,
    case::{self, Case},
    run::run_case,
};
use crate::conformance_table::exists;

/// The last number.
const LAST: usize = 191;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hostile.md");

const INTRODUCTION: &str = "\
# Hostile and broken servers

What a server, a web page, another process or a full disk can do to a client, and how this client \
responds. A server with harmless mistakes is tolerated; a dangerous one is refused, with an error \
that names the reason.

The cases are data, so that other implementations can run them: \
`crates/mcp-client-oauth/tests/it/hostile/cases/*.toml` contains, for each number, the responses of \
the servers and the expected outcome (`expect`). Each case is a test: \
`cargo test -p mcp-client-oauth --all-features --test it -- hostile::H17_` runs one. Besides its own \
outcome, every test checks that:

- the client ends within its timeout;
- after a step that fails, no request of a later step is sent;
- a failed login stores nothing, and a previous login is kept;
- no request goes to an address that must receive none;
- no secret is in the log at its most verbose level, in an error, or in any `Debug` output;
- nothing that a server sent reaches a terminal as a control character.

A case that lists tests instead of outcomes needs more than server responses: several processes, a \
file system that fails, or a real browser. `cli/` is the test suite of the command, `vault/` that of \
`mcp-oauth-vault`; `proxy/`, `store/` and `support/` are the sources of those crates, and `adapters/` is \
`mcp-oauth-adapters`.

The tests write this file (`MCP_OAUTH_TEST_WRITE_TABLE=1 cargo test -p mcp-client-oauth \
--all-features --test it -- hostile::table`), and they fail if it differs from the cases.
";

/// Runs the case of a test.
pub(super) async fn run(test: &str) {
    let case = case::all().iter().find(|case| case.test() == test);
    let case = case.unwrap_or_else(|| panic!("no case has the name `{test}`"));
    Box::pin(run_case(case)).await;
}

#[test]
fn every_number_has_one_case() {
    let mut numbers: Vec<usize> = case::all().iter().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=LAST).collect::<Vec<_>>());
}

fn number(case: &Case) -> usize {
    case.id.strip_prefix('H').unwrap().parse().unwrap()
}

#[test]
fn every_case_is_a_test_here() {
    let tests: Vec<String> = case::all().iter().map(Case::test).collect();
    assert_eq!(TESTS, tests, "in the order of the files");
}

#[test]
fn every_case_has_variants_or_tests_that_exist() {
    for case in case::all() {
        let covered = !case.variants.is_empty() || !case.tests.is_empty();
        assert!(covered, "{}", case.id);
        for variant in &case.variants {
            assert!(!variant.expect.is_empty(), "{}", case.id);
        }
        for path in &case.tests {
            let (file, test) = path.split_once("::").unwrap();
            assert!(exists(file, test), "{}: `{path}` does not exist", case.id);
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is an option of the test run, and no secret"
)]
fn the_table_matches_the_cases() {
    let table = table();
    if env::var_os("MCP_OAUTH_TEST_WRITE_TABLE").is_some() {
        fs::write(TABLE, &table).unwrap();
    }
    let written = fs::read_to_string(TABLE)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert!(
        written == table,
        "docs/hostile.md is out of date: run the command that it names"
    );
}

fn table() -> String {
    let mut table = INTRODUCTION.to_owned();
    for (file, title) in case::FILES {
        let cases = case::of(file);
        write!(table, "\n## {title}\n\n").unwrap();
        table.push_str("| case | attack | what the client does | rule | outcome |\n");
        table.push_str("|---|---|---|---|---|\n");
        for case in cases {
            let Case {
                id,
                attack,
                client,
                rule,
                ..
            } = &case;
            let outcome = outcome(&case);
            writeln!(table, "| {id} | {attack} | {client} | {rule} | {outcome} |").unwrap();
        }
    }
    table
}

/// Lists the outcomes of the variants and the tests elsewhere.
fn outcome(case: &Case) -> String {
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for variant in &case.variants {
        *outcomes.entry(&variant.expect).or_default() += 1;
    }
    let counted = |(code, times): (&str, usize)| match times {
        1 => format!("`{code}`"),
        _ => format!("{times} x `{code}`"),
    };
    let mut parts: Vec<String> = outcomes.into_iter().map(counted).collect();
    parts.extend(case.tests.iter().map(|test| format!("`{test}`")));
    parts.join(", ")
}
