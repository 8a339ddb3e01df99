//! `docs/comparison.md` is true: the code of this library is that of the examples, and the figures are those
//! of the blocks. `MCP_OAUTH_TEST_WRITE_TABLE=1` writes both.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, ops::Range, path::PathBuf};

/// The task of each section, which is the name of its example.
const TASKS: [&str; 10] = [
    "first_login",
    "reuse",
    "header",
    "request",
    "manual_401",
    "several_servers",
    "custom_store",
    "device_code",
    "client_credentials",
    "logout",
];
/// The columns of the table. Each section has their blocks in this order.
const LIBRARIES: [&str; 4] = [
    "mcp-client-oauth",
    "golang.org/x/oauth2",
    "rmcp",
    "openid-client",
];
/// Begins the reason in a section where another library needs fewer lines.
const REASON: &str = "**Not the shortest:** ";

fn document_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/comparison.md")
}

fn document() -> String {
    fs::read_to_string(document_path()).unwrap()
}

/// Returns the marked part of an example.
fn example(task: &str) -> String {
    let path = format!("{}/examples/{task}.rs", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap();
    let (_, rest) = text.split_once("// begin\n").expect(&path);
    let (code, _) = rest.split_once("// end\n").expect(&path);
    code.trim_matches('\n').to_owned()
}

/// Returns where the sections of the tasks are.
fn sections(document: &str) -> Vec<Range<usize>> {
    let start = |number: usize| {
        let heading = format!("\n## {number}. ");
        let found = document.find(&heading);
        found.unwrap_or_else(|| panic!("no section {number}"))
    };
    let starts = (1..=TASKS.len()).map(start);
    let ends = (2..=TASKS.len()).map(start).chain([document.len()]);
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

/// The code of one library for one task.
struct Block<'a> {
    code: &'a str,
    names: Vec<&'a str>,
}

impl<'a> Block<'a> {
    /// Finds the block of `library` in a section.
    fn find(section: &'a str, library: &str) -> Self {
        let missing = |what: &str| format!("{what} of {library} in\n{section}");
        let after = |text: &'a str, start: &str| {
            let found = text.split_once(start);
            found.unwrap_or_else(|| panic!("{}", missing(start))).1
        };
        let text = after(section, &format!("\n**{library}**."));
        let text = after(after(text, "\n```"), "\n");
        let (code, text) = text
            .split_once("\n```\n")
            .unwrap_or_else(|| panic!("{}", missing("no end")));
        let (names, _) = after(text, "\nNames: ").split_once(".\n").unwrap();
        let names = match names {
            "none" => Vec::new(),
            names => names
                .split(", ")
                .map(|name| name.trim_matches('`'))
                .collect(),
        };
        Self { code, names }
    }

    /// Returns the number of lines that are neither blank nor a comment.
    fn lines(&self) -> usize {
        let lines = self.code.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .count()
    }

    /// Returns the names that are not in the code, or not written with these letters only.
    fn unused(&self) -> Vec<&str> {
        let is_separator = |c: char| !c.is_alphanumeric() && c != '_';
        let words: BTreeSet<&str> = self.code.split(is_separator).collect();
        let names = self.names.iter().copied();
        names.filter(|name| !words.contains(name)).collect()
    }
}

fn blocks(section: &str) -> [Block<'_>; 4] {
    LIBRARIES.map(|library| Block::find(section, library))
}

/// Returns the table with the figures of the blocks.
fn table(document: &str) -> String {
    let mut table = format!(
        "| task | {} |\n|---|---|---|---|---|\n",
        LIBRARIES.join(" | ")
    );
    for section in sections(document) {
        let section = &document[section];
        let title = section.lines().nth(1).unwrap().trim_start_matches("## ");
        let anchor = title.to_lowercase().replace('.', "").replace(' ', "-");
        let figures =
            blocks(section).map(|block| format!("{} / {}", block.lines(), block.names.len()));
        let figures = figures.join(" | ");
        writeln!(table, "| [{title}](#{anchor}) | {figures} |").unwrap();
    }
    table
}

/// Returns the document with the code of the examples and the figures of all blocks.
fn written(document: &str) -> String {
    let mut written = document.to_owned();
    for (section, task) in sections(document).into_iter().zip(TASKS) {
        let block = Block::find(&document[section], LIBRARIES[0]);
        written = written.replace(block.code, &example(task));
    }
    let start = written.find("| task |").unwrap();
    let end = start + written[start..].find("\n\n").unwrap() + 1;
    let table = table(&written);
    written.replace_range(start..end, &table);
    written
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is an option of the test run, and no secret"
)]
fn the_code_is_that_of_the_examples_and_the_figures_are_those_of_the_code() {
    let document = document();
    let written = written(&document);
    if env::var_os("MCP_OAUTH_TEST_WRITE_TABLE").is_some() {
        fs::write(document_path(), written).unwrap();
        return;
    }
    assert!(
        document == written,
        "docs/comparison.md is not up to date: MCP_OAUTH_TEST_WRITE_TABLE=1 writes it"
    );
}

#[test]
fn each_section_links_its_example() {
    let document = document();
    for (section, task) in sections(&document).into_iter().zip(TASKS) {
        let link = format!("(../crates/mcp-client-oauth/examples/{task}.rs)");
        assert!(document[section].contains(&link), "no link to {task}");
    }
}

#[test]
fn each_name_is_in_its_code_and_counted_once() {
    let document = document();
    for (section, task) in sections(&document).into_iter().zip(TASKS) {
        for (block, library) in blocks(&document[section]).iter().zip(LIBRARIES) {
            let unused = block.unused();
            assert!(unused.is_empty(), "{task}, {library}: {unused:?}");
            let names: BTreeSet<_> = block.names.iter().collect();
            assert_eq!(names.len(), block.names.len(), "{task}, {library}");
        }
    }
}

#[test]
fn this_library_is_the_shortest_or_the_section_says_why_not() {
    let document = document();
    for (section, task) in sections(&document).into_iter().zip(TASKS) {
        let section = &document[section];
        let [own, others @ ..] = blocks(section).map(|block| block.lines());
        let is_shortest = others.iter().all(|other| own < *other);
        let has_reason = section.contains(REASON);
        assert_eq!(is_shortest, !has_reason, "{task}: {own} lines, {others:?}");
    }
}
