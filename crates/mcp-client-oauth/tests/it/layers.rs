//! The arrows of ARCHITECTURE.md, as a test: which module may use which, and what is pure.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Each module with the modules that it may use: rows above its own, and not all of them.
const LAYERS: &[(&str, &[&str])] = &[
    ("mutex", &[]),
    ("secret", &[]),
    ("redact", &[]),
    ("server_url", &[]),
    ("platform", &["mutex", "secret", "server_url"]),
    ("proto", &["secret", "redact", "server_url", "platform"]),
    ("quirks", &["platform", "proto"]),
    ("error", &["server_url", "platform", "proto"]),
    ("prover", &["mutex", "platform", "proto"]),
    ("token_request", &["platform", "proto", "prover"]),
    (
        "discovery",
        &["server_url", "platform", "proto", "error", "quirks"],
    ),
    (
        "identity",
        &["secret", "platform", "proto", "error", "discovery"],
    ),
    (
        "machine",
        &[
            "platform",
            "proto",
            "error",
            "prover",
            "token_request",
            "discovery",
            "identity",
        ],
    ),
    (
        "grant",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "prover",
            "token_request",
            "discovery",
            "identity",
            "machine",
        ],
    ),
    (
        "store",
        &[
            "mutex",
            "secret",
            "server_url",
            "proto",
            "error",
            "discovery",
            "identity",
            "machine",
        ],
    ),
    (
        "session",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "discovery",
            "machine",
            "prover",
            "token_request",
            "store",
        ],
    ),
    (
        "authorized",
        &["mutex", "platform", "proto", "error", "prover", "session"],
    ),
    ("sse", &["platform", "proto"]),
    (
        "login",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "prover",
            "discovery",
            "identity",
            "machine",
            "grant",
            "store",
            "session",
        ],
    ),
    (
        "logout",
        &[
            "platform",
            "proto",
            "error",
            "prover",
            "token_request",
            "discovery",
            "identity",
            "store",
        ],
    ),
    (
        "interactive",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "prover",
            "store",
            "session",
            "login",
        ],
    ),
    (
        "sessions",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "machine",
            "store",
            "session",
            "authorized",
            "login",
            "logout",
        ],
    ),
    (
        "mcp",
        &[
            "platform",
            "proto",
            "error",
            "store",
            "session",
            "authorized",
            "sessions",
        ],
    ),
    (
        "adapters",
        &["mutex", "secret", "error", "store", "session", "authorized"],
    ),
    ("testing", &["mutex", "platform"]),
];

/// Arrows that only some files of a module have: whose path begins so, may use that.
const EXCEPTIONS: &[(&str, &str)] = &[("store/vault", "platform")];

/// Whether the file is one of those that may use a module which their own may not.
fn is_exception(path: &Path, used: &str) -> bool {
    let path = path.to_string_lossy().replace('\\', "/");
    EXCEPTIONS
        .iter()
        .any(|(start, allowed)| path.starts_with(start) && *allowed == used)
}

/// A source file: the module that it belongs to, its path, and its code without comments and tests.
struct Source {
    module: String,
    path: PathBuf,
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(Path::new(SOURCES), &mut found);
    assert!(found.len() > 30, "the sources were not found");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
            continue;
        }
        let relative = path.strip_prefix(SOURCES).unwrap().to_path_buf();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let ends = ["\n#[cfg(test)]", "\n#[cfg(all(test,"].map(|tests| text.find(tests));
        let code = &text[..ends.into_iter().flatten().min().unwrap_or(text.len())];
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        found.push(Source {
            module: first.trim_end_matches(".rs").to_owned(),
            path: relative,
            code: code.collect::<Vec<_>>().join("\n"),
        });
    }
}

/// The modules of this crate that `code` names: `crate::x`, or `x` in `crate::{...}`.
fn used(code: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(heads(group));
        } else {
            found.insert(rest.chars().take_while(|&c| is_name(c)).collect());
        }
    }
    found
}

/// The first name of each path in a group of imports, up to the brace that closes it.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut expecting, mut heads) = (0, true, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(String::new());
                expecting = true;
            }
            ':' if depth == 0 => expecting = false,
            c if depth == 0 && expecting && !c.is_whitespace() => {
                heads.last_mut().unwrap().push(c);
            }
            _ => {}
        }
    }
    heads
}

#[test]
fn a_row_uses_only_rows_above_it() {
    for (at, (module, uses)) in LAYERS.iter().enumerate() {
        for used in *uses {
            let above = LAYERS[..at].iter().any(|(name, _)| name == used);
            assert!(above, "`{module}` reaches down to `{used}`");
        }
    }
}

#[test]
fn every_arrow_points_the_way_that_data_flows() {
    let modules: BTreeSet<&str> = LAYERS.iter().map(|(module, _)| *module).collect();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let row = LAYERS.iter().find(|(module, _)| *module == source.module);
        let (module, allowed) = row.unwrap_or_else(|| panic!("`{}` has no row", source.module));
        for used in used(&source.code) {
            if !modules.contains(used.as_str()) || used == *module {
                continue;
            }
            let path = source.path.display();
            assert!(
                allowed.contains(&used.as_str()) || is_exception(&source.path, &used),
                "{path}: `{module}` must not use `{used}`"
            );
        }
    }
}

#[test]
fn no_arrow_is_allowed_that_nobody_uses() {
    let sources = sources();
    for (start, arrow) in EXCEPTIONS {
        let is_used = sources
            .iter()
            .any(|source| is_exception(&source.path, arrow) && used(&source.code).contains(*arrow));
        assert!(is_used, "`{start}` no longer uses `{arrow}`: take it out");
    }
    for (module, allowed) in LAYERS {
        let own = sources.iter().filter(|source| source.module == *module);
        let used: BTreeSet<String> = own.flat_map(|source| used(&source.code)).collect();
        for arrow in *allowed {
            assert!(
                used.contains(*arrow),
                "`{module}` no longer uses `{arrow}`: take it out"
            );
        }
    }
}

#[test]
fn protocol_rules_are_pure() {
    for source in sources().iter().filter(|source| source.module == "proto") {
        for impure in [
            ".await", "async ", "now()", "tokio::", "std::fs", "std::net", "std::env",
        ] {
            let path = source.path.display();
            assert!(!source.code.contains(impure), "{path} has `{impure}`");
        }
    }
}

#[test]
fn random_bytes_are_drawn_in_one_place_of_the_protocol() {
    let drawing = |source: &Source| source.code.contains("rand::");
    let drawn: Vec<_> = sources()
        .into_iter()
        .filter(|s| s.module == "proto")
        .filter(drawing)
        .map(|s| s.path)
        .collect();
    assert_eq!(drawn, [PathBuf::from("proto/pkce.rs")]);
}
