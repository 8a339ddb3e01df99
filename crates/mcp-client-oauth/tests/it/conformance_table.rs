//! The checks of `docs/conformance.md`: every requirement has a row, and every test in it exists.

use std::{fs, path::Path};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");

/// The number of requirements in each section.
const SECTIONS: [(char, usize); 12] = [
    ('A', 9),
    ('B', 7),
    ('C', 5),
    ('D', 15),
    ('E', 8),
    ('F', 6),
    ('G', 7),
    ('H', 5),
    ('I', 11),
    ('J', 14),
    ('K', 2),
    ('L', 4),
];

fn table() -> String {
    fs::read_to_string(TABLE).unwrap()
}

/// Returns the text between each pair of backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns whether `file` has a test of that name. Paths are relative to the tests, or begin with `src/`;
/// those that begin with `cli/` are relative to the tests of the command, and those that begin with
/// `proxy/` or `support/` to the sources of that crate.
pub(crate) fn exists(file: &str, test: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = match file.split_once('/') {
        Some(("adapters", file)) => root.join("../mcp-oauth-adapters").join(file),
        Some(("cli", file)) => root.join("../mcp-oauth-cli/tests/it").join(file),
        Some(("proxy", file)) => root.join("../mcp-oauth-proxy/src").join(file),
        Some(("vault", file)) => root.join("../mcp-oauth-vault/tests/it").join(file),
        Some(("store", file)) => root.join("../mcp-oauth-store/src").join(file),
        Some(("support", file)) => root.join("../mcp-oauth-support/src").join(file),
        Some(("src", _)) => root.join(file),
        _ => root.join("tests/it").join(file),
    };
    let path = path.with_extension("rs");
    let code = fs::read_to_string(path).unwrap_or_default();
    code.match_indices(&format!("fn {test}(")).any(|(at, _)| {
        let before = code[..at].trim_end();
        let before = before.strip_suffix("async").unwrap_or(before);
        // The attribute of a test.
        before.trim_end().ends_with(']')
    })
}

#[test]
fn every_test_in_the_table_exists() {
    let table = table();
    let rows = table.lines().filter(|line| line.starts_with('|'));
    let named: Vec<_> = rows
        .flat_map(quoted)
        .filter_map(|name| name.split_once("::"))
        .collect();
    assert!(named.len() > 60, "the table names its tests");
    for (file, test) in named {
        assert!(exists(file, test), "`{file}::{test}` does not exist");
    }
}

#[test]
fn every_requirement_has_one_row() {
    let table = table();
    for (section, count) in SECTIONS {
        for number in 1..=count {
            let start = format!("| {section}{number} |");
            let rows = table.lines().filter(|line| line.starts_with(&start));
            assert_eq!(rows.count(), 1, "{section}{number}");
        }
    }
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let table = table();
    let is_row = |line: &&str| {
        let mut start = line.strip_prefix("| ").unwrap_or_default().chars();
        let section = start.next().is_some_and(|c| c.is_ascii_uppercase());
        section && start.next().is_some_and(|c| c.is_ascii_digit())
    };
    for row in table.lines().filter(is_row) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [_, requirement, covered] = cells[..] else {
            panic!("{row}")
        };
        let covered = covered.trim_end_matches('|').trim();
        assert!(!requirement.is_empty() && !covered.is_empty(), "{row}");
    }
}
