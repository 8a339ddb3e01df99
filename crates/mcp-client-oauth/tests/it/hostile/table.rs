//! The table of all cases, and that it is whole: each number once, each with a test.

use std::{collections::BTreeMap, env, fmt::Write as _, fs};

use super::{
    TESTS,
    case::{self, Case},
    play::play,
};
use crate::conformance_table::exists;

/// The last number.
const LAST: usize = 186;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hostile.md");

const INTRODUCTION: &str = "\
# Hostile and broken servers

What a server, a web page, another process or a full disk can do to a client, and what this one does \
then. A merely sloppy server is tolerated; a dangerous one is refused, with an error that says what \
it did.

The cases are data: `crates/mcp-client-oauth/tests/it/hostile/cases/*.toml` holds, for each number, \
what is said and what must come of it (`expect`), so that another implementation can run them. Each \
is a test: `cargo test -p mcp-client-oauth --all-features --test it -- hostile::H17_` runs one. In \
every one of them, beside its own outcome: it ends in time; a stage that fails is the last one that \
anybody hears of; nothing is stored by a login that failed, and a login that was there is kept; no \
request goes to a place that must hear nothing; no secret is in a log at its most talkative level, \
in an error, or in the `Debug` of anything; and nothing that a server wrote reaches a terminal as a \
control character.

Where a case names tests instead of outcomes, these prove it: they need more than a server that says \
something (several processes, a file system that fails, a real browser). `cli/` is the command's own \
suite.

This file is written by the tests (`MCP_OAUTH_TEST_WRITE_TABLE=1 cargo test -p mcp-client-oauth \
--all-features --test it -- hostile::table`), and they fail when it differs from what the cases say.
";

/// Plays the case of a test.
pub(super) async fn run(test: &str) {
    let case = case::all().iter().find(|case| case.test() == test);
    let case = case.unwrap_or_else(|| panic!("no case is called `{test}`"));
    Box::pin(play(case)).await;
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
        let covered = !case.variants.is_empty() || !case.proof.is_empty();
        assert!(covered, "{}", case.id);
        for variant in &case.variants {
            assert!(!variant.expect.is_empty(), "{}", case.id);
        }
        for proof in &case.proof {
            let (file, test) = proof.split_once("::").unwrap();
            assert!(exists(file, test), "{}: `{proof}` does not exist", case.id);
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests may ask for the file, which is no secret"
)]
fn the_table_says_what_the_cases_say() {
    let table = table();
    if env::var_os("MCP_OAUTH_TEST_WRITE_TABLE").is_some() {
        fs::write(TABLE, &table).unwrap();
    }
    let written = fs::read_to_string(TABLE)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert!(
        written == table,
        "docs/hostile.md is out of date: write it as it says"
    );
}

fn table() -> String {
    let mut table = INTRODUCTION.to_owned();
    for (file, title) in case::FILES {
        let cases = case::of(file);
        write!(table, "\n## {title}\n\n").unwrap();
        table.push_str("| case | what is done | what the client does | rule | outcome |\n");
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

/// The outcomes of the variants, and the tests elsewhere.
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
    parts.extend(case.proof.iter().map(|proof| format!("`{proof}`")));
    parts.join(", ")
}
