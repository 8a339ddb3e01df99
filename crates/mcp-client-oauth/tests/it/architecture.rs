//! Checks the section "Module dependencies" of ARCHITECTURE.md: which module may use which, and which
//! modules are pure.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Each module with the modules that it may use. These have rows above its own.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("server_url", &[]),
    ("platform", &["server_url"]),
    ("proto", &["server_url", "platform"]),
    ("quirks", &["platform", "proto"]),
    ("error", &["server_url", "platform", "proto"]),
    ("dpop", &["platform", "proto"]),
    ("token_request", &["platform", "proto", "dpop"]),
    (
        "token_source",
        &["server_url", "platform", "proto", "error", "dpop"],
    ),
    (
        "discovery",
        &["server_url", "platform", "proto", "quirks", "error"],
    ),
    (
        "client_registration",
        &["platform", "proto", "error", "discovery"],
    ),
    (
        "grant",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "dpop",
            "token_request",
            "discovery",
            "client_registration",
        ],
    ),
    (
        "store",
        &[
            "server_url",
            "proto",
            "error",
            "discovery",
            "client_registration",
            "grant",
        ],
    ),
    (
        "stored_session",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "dpop",
            "token_source",
            "discovery",
            "grant",
            "store",
        ],
    ),
    (
        "authorized_client",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "dpop",
            "token_source",
        ],
    ),
    (
        "login",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "dpop",
            "discovery",
            "client_registration",
            "grant",
            "store",
            "stored_session",
        ],
    ),
    (
        "logout",
        &[
            "platform",
            "proto",
            "error",
            "dpop",
            "token_request",
            "discovery",
            "client_registration",
            "store",
        ],
    ),
    (
        "flow",
        &[
            "platform",
            "proto",
            "quirks",
            "error",
            "dpop",
            "discovery",
            "client_registration",
            "grant",
            "stored_session",
            "login",
            "logout",
        ],
    ),
    (
        "adapters",
        &[
            "server_url",
            "platform",
            "proto",
            "error",
            "token_source",
            "authorized_client",
        ],
    ),
    (
        "client",
        &[
            "server_url",
            "platform",
            "proto",
            "quirks",
            "error",
            "dpop",
            "token_source",
            "client_registration",
            "grant",
            "store",
            "stored_session",
            "authorized_client",
            "login",
            "logout",
            "adapters",
        ],
    ),
    ("fuzz_targets", &["platform", "proto", "server_url"]),
];

/// A source file: its module, its path, and its code without comments and tests.
struct Source {
    module: String,
    path: PathBuf,
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(Path::new(SOURCES), &mut found);
    assert!(found.len() > 30, "sources not found");
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

/// Returns the modules of this crate that `code` uses: `crate::x`, or `x` in `crate::{...}`.
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

/// Returns the first name of each path in a group of imports, up to its closing brace.
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
fn a_module_uses_only_modules_above_it() {
    for (at, (module, uses)) in DEPENDENCIES.iter().enumerate() {
        for used in *uses {
            let above = DEPENDENCIES[..at].iter().any(|(name, _)| name == used);
            assert!(above, "`{module}` must not use `{used}`, which is below it");
        }
    }
}

#[test]
fn every_dependency_is_allowed() {
    let modules: BTreeSet<&str> = DEPENDENCIES.iter().map(|(module, _)| *module).collect();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let row = DEPENDENCIES
            .iter()
            .find(|(module, _)| *module == source.module);
        let (module, allowed) =
            row.unwrap_or_else(|| panic!("`{}` has no row in DEPENDENCIES", source.module));
        for used in used(&source.code) {
            if !modules.contains(used.as_str()) || used == *module {
                continue;
            }
            let path = source.path.display();
            assert!(
                allowed.contains(&used.as_str()),
                "{path}: `{module}` must not use `{used}`"
            );
        }
    }
}

#[test]
fn every_allowed_dependency_is_used() {
    let sources = sources();
    for (module, allowed) in DEPENDENCIES {
        let own = sources.iter().filter(|source| source.module == *module);
        let used: BTreeSet<String> = own.flat_map(|source| used(&source.code)).collect();
        for dependency in *allowed {
            assert!(
                used.contains(*dependency),
                "`{module}` no longer uses `{dependency}`: remove it from DEPENDENCIES"
            );
        }
    }
}

#[test]
fn stored_session_uses_no_interactive_grant() {
    for source in sources().iter().filter(|s| s.module == "stored_session") {
        for interactive in ["GrantFlow", "GrantRequest", "CallbackReceiver", "exchange("] {
            let path = source.path.display();
            assert!(
                !source.code.contains(interactive),
                "{path} must not contain `{interactive}`"
            );
        }
    }
}

#[test]
fn proto_is_pure() {
    for source in sources().iter().filter(|source| source.module == "proto") {
        for impure in [
            ".await", "async ", "now()", "tokio::", "std::fs", "std::net", "std::env",
        ] {
            let path = source.path.display();
            assert!(
                !source.code.contains(impure),
                "{path} must not contain `{impure}`"
            );
        }
    }
}

#[test]
fn proto_draws_random_bytes_in_one_file() {
    let drawing = |source: &Source| source.code.contains("rand::");
    let drawn: Vec<_> = sources()
        .into_iter()
        .filter(|s| s.module == "proto")
        .filter(drawing)
        .map(|s| s.path)
        .collect();
    assert_eq!(drawn, [PathBuf::from("proto/pkce.rs")]);
}
