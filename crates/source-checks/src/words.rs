//! The words that names, messages and prose of this repository do without, and where they stand.
//!
//! The table is the glossary of `CONTRIBUTING.md`, as data. A phrase matches whole words, in any case;
//! a name is split at `_`, `-` and capitals first, so `ByHand`, `by_hand` and "by hand" are one phrase.

use std::{collections::HashMap, fs, path::Path, sync::OnceLock};

use proc_macro2::{TokenStream, TokenTree};
use serde::Deserialize;

/// The file with the section "Glossary", which explains the table, and so holds its words.
const GLOSSARY: &str = "CONTRIBUTING.md";

/// One line of the table: words that are not used, and what is.
struct Row {
    /// Holds what to write.
    instead: &'static str,
    /// Not in any text: names, messages, and prose.
    nowhere: &'static [&'static str],
    /// Not in names and messages.
    names_and_messages: &'static [&'static str],
    /// Not in names; in a sentence they can be plain English.
    names: &'static [&'static str],
    /// Not in messages.
    messages: &'static [&'static str],
}

const EMPTY: Row = Row {
    instead: "",
    nowhere: &[],
    names_and_messages: &[],
    names: &[],
    messages: &[],
};

const TABLE: &[Row] = &[
    Row {
        instead: "user; or the client, the server, the process",
        nowhere: &[
            "person",
            "persons",
            "person's",
            "somebody",
            "somebody's",
            "nobody",
            "nobody's",
        ],
        names_and_messages: &["who", "whom", "anybody", "everybody"],
        ..EMPTY
    },
    Row {
        instead: "non-interactive; or the name of the grant",
        names: &["machine"],
        messages: &["machine grant", "machine login"],
        ..EMPTY
    },
    Row {
        instead: "the account's, the server's, its",
        nowhere: &["whose"],
        ..EMPTY
    },
    Row {
        instead: "location, path, URL, store",
        names_and_messages: &["place", "places"],
        ..EMPTY
    },
    Row {
        instead: "response, respond",
        names_and_messages: &["answer", "answers", "answered", "answering"],
        ..EMPTY
    },
    Row {
        instead: "request",
        names_and_messages: &["ask for", "asks for", "asked for", "asking for"],
        names: &["asking"],
        ..EMPTY
    },
    Row {
        instead: "redact, redactor",
        nowhere: &[
            "blot", "blots", "blotted", "blotter", "blotters", "blotting",
        ],
        ..EMPTY
    },
    Row {
        instead: "encrypt, encrypted",
        nowhere: &[
            "seal", "seals", "sealed", "sealing", "unseal", "unseals", "unsealed",
        ],
        ..EMPTY
    },
    Row {
        instead: "again; `--force`; re-register",
        nowhere: &["afresh", "anew"],
        ..EMPTY
    },
    Row {
        instead: "manual, pre-registered",
        names_and_messages: &["by hand"],
        ..EMPTY
    },
    Row {
        instead: "resolved, requirement, requested",
        names_and_messages: &["meant", "wish", "wishes", "wished", "wanted"],
        ..EMPTY
    },
    Row {
        instead: "untrusted, third-party",
        names_and_messages: &["foreign", "stranger", "strangers"],
        ..EMPTY
    },
    Row {
        instead: "corrupt, flaky",
        names_and_messages: &[
            "spoil", "spoils", "spoiled", "spoilt", "damaged", "damage", "moody",
        ],
        ..EMPTY
    },
    Row {
        instead: "remove, revoke",
        names_and_messages: &[
            "forget",
            "forgets",
            "forgot",
            "forgotten",
            "give back",
            "gives back",
            "gave back",
            "given back",
            "take back",
            "takes back",
            "took back",
            "taken back",
        ],
        messages: &["tokens back"],
        ..EMPTY
    },
    Row {
        instead: "assert, assertion",
        nowhere: &["vouch", "vouches", "vouched", "vouching"],
        names_and_messages: &["word"],
        ..EMPTY
    },
    Row {
        instead: "authenticate; proof generator (DPoP)",
        names_and_messages: &["prover", "provers"],
        messages: &["prove who", "proves who"],
        ..EMPTY
    },
    Row {
        instead: "flow, grant, method",
        names_and_messages: &["way", "ways"],
        ..EMPTY
    },
    Row {
        instead: "exchange",
        names_and_messages: &["trade", "trades", "traded", "trading"],
        ..EMPTY
    },
    Row {
        instead: "differs; provider override",
        names_and_messages: &["wants otherwise", "otherwise wants"],
        ..EMPTY
    },
    Row {
        instead: "plaintext, unencrypted",
        names_and_messages: &["in the clear", "in clear"],
        ..EMPTY
    },
    Row {
        instead: "address space",
        names: &["reach"],
        messages: &["its reach", "a reach"],
        ..EMPTY
    },
    Row {
        instead: "timeout",
        names_and_messages: &["patience", "patient"],
        ..EMPTY
    },
    Row {
        instead: "permission, trust",
        names: &["leave"],
        messages: &["leave to", "give leave", "gives leave"],
        ..EMPTY
    },
    Row {
        instead: "workspace, module, connection, fixture, harness, state, context",
        names_and_messages: &[
            "house", "room", "door", "stage", "scene", "troop", "desk", "errand",
        ],
        ..EMPTY
    },
    Row {
        instead: "fix, repair",
        names_and_messages: &["mend", "mends", "mended", "mending"],
        ..EMPTY
    },
    Row {
        instead: "pending, in progress",
        names_and_messages: &["under way"],
        ..EMPTY
    },
    Row {
        instead: "mcp-oauth, this client",
        names: &["ours", "we", "our"],
        messages: &["ours", "we", "us", "our"],
        ..EMPTY
    },
];

/// The words that a doc comment does not begin with.
const QUESTION_WORDS: &[&str] = &[
    "What", "Whether", "Whose", "Where", "Who", "Whom", "How", "Why", "Which",
];

/// The kinds of text that the table tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// An identifier, a file name or a key.
    Name,
    /// Holds what a user reads on a terminal: a string of the sources, or the help.
    Message,
    /// Everything else: documentation and comments.
    Prose,
}

/// A text that may hold a word of the table after all, and why.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Allowed {
    /// The text, of which the word is a part.
    pub text: String,
    /// Says where, as the beginning of a path; everywhere if it is not given.
    #[serde(default)]
    pub path: String,
    /// Says why.
    pub reason: String,
}

/// Reads the list of what is allowed.
pub fn allowed() -> Vec<Allowed> {
    #[derive(Deserialize)]
    struct List {
        allow: Vec<Allowed>,
    }
    let text = include_str!("../words-allowed.toml");
    let list: List = toml::from_str(text).expect("the list of allowed words is TOML");
    list.allow
}

/// A word of the table that stands in a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file, from the root of the repository.
    pub path: String,
    /// The line, counted from 1; 0 for the name of the file.
    pub line: usize,
    /// The name or line that holds it.
    pub text: String,
    /// The phrase of the table.
    pub phrase: &'static str,
    /// Holds what to write.
    pub instead: &'static str,
}

/// One phrase of the table, split into words.
struct Phrase {
    words: Vec<String>,
    phrase: &'static str,
    instead: &'static str,
    kinds: &'static [Kind],
}

/// Returns the table by the first word of each phrase.
fn table() -> &'static HashMap<String, Vec<Phrase>> {
    static SPLIT: OnceLock<HashMap<String, Vec<Phrase>>> = OnceLock::new();
    SPLIT.get_or_init(|| {
        let mut table: HashMap<String, Vec<Phrase>> = HashMap::new();
        for row in TABLE {
            let lists: [(&'static [Kind], _); 4] = [
                (&[Kind::Name, Kind::Message, Kind::Prose], row.nowhere),
                (&[Kind::Name, Kind::Message], row.names_and_messages),
                (&[Kind::Name], row.names),
                (&[Kind::Message], row.messages),
            ];
            for (kinds, list) in lists {
                for phrase in list {
                    let words = split(phrase);
                    table.entry(words[0].clone()).or_default().push(Phrase {
                        words,
                        phrase,
                        instead: row.instead,
                        kinds,
                    });
                }
            }
        }
        table
    })
}

/// Returns the phrases of the table that a text holds, with what to write.
pub fn phrases(kind: Kind, text: &str) -> Vec<(&'static str, &'static str)> {
    let words = split(text);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        for phrase in table().get(word).into_iter().flatten() {
            if phrase.kinds.contains(&kind) && words[at..].starts_with(&phrase.words) {
                found.push((phrase.phrase, phrase.instead));
            }
        }
    }
    found
}

/// Splits a text into words in lower case: at what is no letter, and before capitals.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_was_small = false;
    for c in text.chars() {
        if !c.is_alphanumeric() && c != '\'' {
            words.push(String::new());
            before_was_small = false;
            continue;
        }
        if c.is_uppercase() && before_was_small {
            words.push(String::new());
        }
        before_was_small = c.is_lowercase() || c.is_numeric();
        let last = words.last_mut().expect("there is a word");
        last.extend(c.to_lowercase());
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Checks one file, given its path from the root and its text.
pub fn check(path: &str, text: &str, allowed: &mut Permits) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |kind, line, whole: &str| {
        let checked = allowed.strip(path, whole);
        for (phrase, instead) in phrases(kind, &checked) {
            found.push(Finding {
                path: path.to_owned(),
                line,
                text: whole.trim().to_owned(),
                phrase,
                instead,
            });
        }
    };
    add(Kind::Name, 0, path);
    let extension = Path::new(path).extension().and_then(|end| end.to_str());
    let mut numbers = Vec::new();
    let mut is_glossary = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("## ") {
            is_glossary = path == GLOSSARY && line == "## Glossary";
        }
        if !is_glossary {
            add(Kind::Prose, at + 1, line);
        }
        if extension == Some("rs") && !path.contains("/hostile") && has_bare_number(line) {
            numbers.push(at + 1);
        }
    }
    match extension {
        Some("rs") => {
            let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
            let strings_are_messages = path.contains("/src/") && !path.contains("/src/tests");
            let docs_are_messages = path.starts_with("crates/mcp-oauth-cli/src/args");
            walk(tokens, strings_are_messages, docs_are_messages, &mut add);
        }
        Some("toml") => {
            for (at, line) in text.lines().enumerate() {
                if let Some((key, _)) = line.split_once('=')
                    && !key.trim_start().starts_with('#')
                {
                    add(Kind::Name, at + 1, key);
                }
            }
        }
        _ => {}
    }
    let lines: Vec<&str> = text.lines().collect();
    if path.contains("/src/") && extension == Some("rs") {
        let begun = doc_comments_without_a_verb(&lines);
        found.extend(begun.into_iter().map(|line| Finding {
            path: path.to_owned(),
            line,
            text: lines[line - 1].trim().to_owned(),
            phrase: "a doc comment that begins with a question word",
            instead: "a verb in the third person: `Returns`, `Opens`, `Parses`",
        }));
    }
    found.extend(numbers.into_iter().map(|line| Finding {
        path: path.to_owned(),
        line,
        text: lines[line - 1].trim().to_owned(),
        phrase: "a rule by its number",
        instead: "the section of the RFC or of the MCP specification, or `docs/hostile.md H17`",
    }));
    // A line of prose and a name in it are one finding.
    found.sort();
    found.dedup_by(|a, b| (a.line, a.phrase) == (b.line, b.phrase));
    found
}

/// Returns the lines, counted from 1, where a doc comment begins with a question word.
fn doc_comments_without_a_verb(lines: &[&str]) -> Vec<usize> {
    let is_doc = |line: &str| line.trim_start().starts_with("///");
    let begins = |at: usize| at == 0 || !is_doc(lines[at - 1]);
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(text) = line.trim_start().strip_prefix("/// ") else {
            continue;
        };
        let first = text.split(' ').next().unwrap_or_default();
        if begins(at) && QUESTION_WORDS.contains(&first) {
            found.push(at + 1);
        }
    }
    found
}

/// Returns whether a line cites a rule by a number alone, such as `H17`: its reader cannot look it up.
fn has_bare_number(line: &str) -> bool {
    let is_number = |word: &str| {
        word.strip_prefix('H')
            .is_some_and(|digits| (1..=3).contains(&digits.len()) && digits.parse::<u16>().is_ok())
    };
    line.contains("spec-checklist")
        || (!line.contains("hostile.md")
            && line
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
                .any(|word| is_number(word.trim_matches('.'))))
}

fn walk(tokens: TokenStream, strings: bool, docs: bool, add: &mut impl FnMut(Kind, usize, &str)) {
    let mut is_doc = 0;
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => walk(group.stream(), strings, docs, add),
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                is_doc = if name == "doc" { 2 } else { 0 };
                add(Kind::Name, line, &name);
                continue;
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let counts = if is_doc == 1 { docs } else { strings };
                if counts && text.contains('"') {
                    // Each line of a long text is found where it stands.
                    for (at, part) in text.lines().enumerate() {
                        add(Kind::Message, line + at, part);
                    }
                }
            }
            TokenTree::Punct(_) => {}
        }
        is_doc = usize::from(is_doc == 2);
    }
}

/// Holds what the allow list lets pass, and which of its entries were needed.
#[derive(Debug)]
pub struct Permits {
    entries: Vec<(Allowed, bool)>,
}

impl Permits {
    /// Begins with no entry used.
    pub fn new(allowed: Vec<Allowed>) -> Self {
        Self {
            entries: allowed.into_iter().map(|entry| (entry, false)).collect(),
        }
    }

    /// Returns the text without what is allowed there.
    fn strip(&mut self, path: &str, text: &str) -> String {
        let mut left = text.to_owned();
        for (entry, is_used) in &mut self.entries {
            if path.starts_with(entry.path.as_str()) && left.contains(entry.text.as_str()) {
                left = left.replace(entry.text.as_str(), " ");
                *is_used |= !entry.text.is_empty();
            }
        }
        left
    }

    /// Returns the entries that allowed nothing.
    pub fn unused(&self) -> Vec<&Allowed> {
        self.entries
            .iter()
            .filter(|(_, is_used)| !is_used)
            .map(|(entry, _)| entry)
            .collect()
    }
}

/// Checks the files of the repository, by their paths from `root`.
pub fn check_files(root: &Path, paths: &[String], allowed: &mut Permits) -> Vec<Finding> {
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
        || name.ends_with(".lock")
        || name == "package-lock.json"
        || path.starts_with("crates/source-checks/")
        || path.starts_with("fuzz/seeds/")
}
