//! The check that `docs/dependencies.md` names every direct dependency, and no other crate.

use std::{collections::BTreeSet, fs, path::Path};

fn text(path: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(path),
    )
    .unwrap()
}

/// Returns the keys of `[workspace.dependencies]` without the crates of this workspace.
fn manifest_crates() -> BTreeSet<String> {
    let manifest = text("Cargo.toml");
    let (_, table) = manifest.split_once("[workspace.dependencies]").unwrap();
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let others = lines.filter(|line| !line.contains(r#"path = "crates/"#));
    let keys = others.filter_map(|line| line.split_once('=').map(|(key, _)| key.trim()));
    keys.map(str::to_owned).collect()
}

/// Returns the crates in the first cell of each row.
fn documented_crates() -> BTreeSet<String> {
    let document = text("docs/dependencies.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        row.split('|')
            .nth(1)
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
    })
    .map(str::to_owned)
    .collect()
}

#[test]
fn every_direct_dependency_has_a_reason() {
    assert_eq!(documented_crates(), manifest_crates());
}
