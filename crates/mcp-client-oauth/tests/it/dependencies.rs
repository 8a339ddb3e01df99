//! `docs/dependencies.md` names every crate that we depend on, and no other.

use std::{collections::BTreeSet, fs, path::Path};

fn text(path: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(path),
    )
    .unwrap()
}

/// The keys of `[workspace.dependencies]` but our own crates.
fn in_the_manifest() -> BTreeSet<String> {
    let manifest = text("Cargo.toml");
    let (_, table) = manifest.split_once("[workspace.dependencies]").unwrap();
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let others = lines.filter(|line| !line.contains(r#"path = "crates/"#));
    let keys = others.filter_map(|line| line.split_once('=').map(|(key, _)| key.trim()));
    keys.map(str::to_owned).collect()
}

/// The first cell of each row of the tables whose header begins with `crate`.
fn in_the_document() -> BTreeSet<String> {
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
fn each_crate_that_we_depend_on_has_its_reason() {
    assert_eq!(in_the_document(), in_the_manifest());
}
