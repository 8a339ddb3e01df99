//! Finds the words that names, messages and prose of this repository must not use.

mod allow_list;
mod lines;
mod rust_code;
mod table;

use std::{fs, path::Path};

use proc_macro2::TokenStream;

pub use allow_list::{AllowList, Allowed};
pub use table::{Kind, phrases};

/// The file with the section "Glossary", which explains the table, so its words are allowed there.
const GLOSSARY: &str = "CONTRIBUTING.md";

/// A word of the table that was found in a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file, from the root of the repository.
    pub path: String,
    /// The line, counted from 1; 0 for the name of the file.
    pub line: usize,
    /// The name or line that contains it.
    pub text: String,
    /// The phrase of the table.
    pub phrase: &'static str,
    /// The words to write.
    pub instead: &'static str,
}

/// Checks one file, given its path from the root and its text.
pub fn check(path: &str, text: &str, allowed: &mut AllowList) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |kind, line, whole: &str| {
        let checked = allowed.strip(path, whole);
        for (phrase, instead) in phrases(kind, &checked) {
            found.push(finding(path, line, whole, phrase, instead));
        }
    };
    add(Kind::Name, 0, path);
    check_prose(path, text, &mut add);
    match Path::new(path).extension().and_then(|end| end.to_str()) {
        Some("rs") => {
            check_rust(path, text, &mut add);
            found.extend(check_lines(path, text));
        }
        Some("toml") => check_keys(text, &mut add),
        _ => {}
    }
    // A line of prose and a name in it are one finding.
    found.sort();
    found.dedup_by(|a, b| (a.line, a.phrase) == (b.line, b.phrase));
    found
}

fn finding(
    path: &str,
    line: usize,
    text: &str,
    phrase: &'static str,
    instead: &'static str,
) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        text: text.trim().to_owned(),
        phrase,
        instead,
    }
}

fn check_prose(path: &str, text: &str, add: &mut impl FnMut(Kind, usize, &str)) {
    let mut is_glossary = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("## ") {
            is_glossary = path == GLOSSARY && line == "## Glossary";
        }
        if !is_glossary {
            add(Kind::Prose, at + 1, line);
        }
    }
}

fn check_rust(path: &str, text: &str, add: &mut impl FnMut(Kind, usize, &str)) {
    let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
    let strings_are_messages = path.contains("/src/");
    let docs_are_messages = path.starts_with("crates/mcp-oauth-cli/src/args");
    rust_code::walk(tokens, strings_are_messages, docs_are_messages, add);
}

fn check_keys(text: &str, add: &mut impl FnMut(Kind, usize, &str)) {
    for (at, line) in text.lines().enumerate() {
        if let Some((key, _)) = line.split_once('=')
            && !key.trim_start().starts_with('#')
        {
            add(Kind::Name, at + 1, key);
        }
    }
}

fn check_lines(path: &str, text: &str) -> Vec<Finding> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    if path.contains("/src/") {
        for line in lines::doc_comments_without_a_verb(&lines) {
            found.push(finding(
                path,
                line,
                lines[line - 1],
                "a doc comment that begins with a question word",
                "a verb in the third person: `Returns`, `Opens`, `Parses`",
            ));
        }
    }
    // The cases of this folder have these numbers.
    if !path.contains("/hostile") {
        for (at, line) in lines.iter().enumerate() {
            if lines::has_bare_number(line) {
                found.push(finding(
                    path,
                    at + 1,
                    line,
                    "a rule by its number",
                    "the section of the RFC or of MCP, or `docs/hostile.md H17`",
                ));
            }
        }
    }
    found
}

/// Checks the files of the repository, by their paths from `root`.
pub fn check_files(root: &Path, paths: &[String], allowed: &mut AllowList) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| !is_of_others(path)) {
        let Ok(text) = fs::read_to_string(root.join(path)) else {
            continue;
        };
        found.extend(check(path, &text, allowed));
    }
    found
}

/// Returns whether others wrote the text of a file: licences, lock files, and recordings of real servers.
fn is_of_others(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("LICENSE")
        || ["Cargo.lock", "uv.lock", "package-lock.json"].contains(&name)
        || path.starts_with("crates/source-checks/")
        || path.starts_with("fuzz/seeds/")
}
