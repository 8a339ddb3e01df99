//! Each message that `docs/troubleshooting.md` explains exists.

use std::{fs, path::Path};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Appends every source file of the library to `text`.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Returns the messages in the headings; `…` stands for the variable parts.
fn quoted(document: &str) -> Vec<&str> {
    let headings = document
        .lines()
        .filter_map(|line| line.strip_prefix("### `"));
    headings
        .map(|heading| heading.strip_suffix('`').unwrap())
        .collect()
}

#[test]
fn every_explained_message_exists() {
    let document = Path::new(ROOT).join("../../docs/troubleshooting.md");
    let document = fs::read_to_string(document).unwrap();
    let mut code = String::new();
    for folder in ["src", "../mcp-oauth-store/src"] {
        sources(&Path::new(ROOT).join(folder), &mut code);
    }
    let messages = quoted(&document);
    assert!(messages.len() > 20, "the headings were not found");
    for message in messages {
        // The parts are on one line of the source, in this order.
        let is_there = code.lines().any(|line| {
            let mut rest = line;
            message.split('…').all(|part| {
                let found = rest.find(part.trim_matches([' ', '`']));
                rest = found.map_or(rest, |at| &rest[at..]);
                found.is_some()
            })
        });
        assert!(is_there, "no message `{message}`");
    }
}
