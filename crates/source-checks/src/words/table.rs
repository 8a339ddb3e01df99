//! The glossary of `CONTRIBUTING.md` as data, and the search for its phrases in a text.
//!
//! A phrase matches whole words, in any case; a name is split at `_`, `-` and capitals first, so
//! `ByHand`, `by_hand` and "by hand" are one phrase.

use std::{collections::HashMap, sync::OnceLock};

/// The kinds of text that the table distinguishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// An identifier, a file name or a key.
    Name,
    /// Text that a user reads on a terminal: a string of the sources, or the help.
    Message,
    /// Everything else: documentation and comments.
    Prose,
}

/// One line of the table: the words to avoid, and those to write.
struct Row {
    /// The words to write.
    instead: &'static str,
    /// Phrases to avoid in all text: names, messages, and prose.
    nowhere: &'static [&'static str],
    /// Phrases to avoid in names and messages.
    names_and_messages: &'static [&'static str],
    /// Phrases to avoid in names; in a sentence they can be plain English.
    names: &'static [&'static str],
    /// Phrases to avoid in messages.
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

/// One phrase of the table, split into words.
struct Phrase {
    words: Vec<String>,
    text: &'static str,
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
                        text: phrase,
                        instead: row.instead,
                        kinds,
                    });
                }
            }
        }
        table
    })
}

/// Returns the phrases of the table in a text, each with the words to write.
pub fn phrases(kind: Kind, text: &str) -> Vec<(&'static str, &'static str)> {
    let words = split(text);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        for phrase in table().get(word).into_iter().flatten() {
            if phrase.kinds.contains(&kind) && words[at..].starts_with(&phrase.words) {
                found.push((phrase.text, phrase.instead));
            }
        }
    }
    found
}

/// Splits a text into words in lower case: at characters that are neither letters nor digits, and before
/// capitals.
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
