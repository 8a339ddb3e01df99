//! The check that no files of one crate depend on each other in a cycle.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{fs, path::PathBuf};

use source_checks::{cycles, files};

#[test]
fn no_crate_has_a_cycle_of_files() {
    let root = files::root();
    let mut found = String::new();
    for folder in files::crates(&root) {
        for start in ["src/lib.rs", "src/main.rs"] {
            let start = folder.join(start);
            if !start.is_file() {
                continue;
            }
            let dependencies = cycles::dependencies(&start);
            for cycle in cycles::find(&dependencies) {
                found.push_str(&cycles::describe(&dependencies, &cycle, &root));
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// Writes a crate of these files to a new folder, and returns its cycles.
#[expect(clippy::disallowed_methods, reason = "a file of the test alone")]
fn cycles_of(name: &str, sources: &[(&str, &str)]) -> Vec<Vec<PathBuf>> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    for (path, text) in sources {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    cycles::find(&cycles::dependencies(&folder.join("lib.rs")))
}

#[test]
fn two_files_that_name_each_other_are_a_cycle() {
    let found = cycles_of(
        "two_files",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub(crate) struct A(B);"),
            (
                "b.rs",
                "pub(crate) struct B; impl B { fn a(a: super::a::A) {} }",
            ),
        ],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].len(), 2);
}

#[test]
fn a_parent_that_defines_what_its_child_uses_and_uses_the_child_is_a_cycle() {
    let found = cycles_of(
        "parent_and_child",
        &[
            ("lib.rs", "mod parent;"),
            (
                "parent/mod.rs",
                "mod child; pub(crate) struct P; fn f() { child::run(); }",
            ),
            ("parent/child.rs", "use super::P; pub(crate) fn run() {}"),
        ],
    );
    assert_eq!(found.len(), 1);
}

#[test]
fn a_cycle_through_a_renamed_reexport_is_found() {
    let found = cycles_of(
        "reexport",
        &[
            ("lib.rs", "mod a; mod b; pub use a::A as Renamed;"),
            ("a.rs", "use crate::b; pub struct A; fn f() { b::g(); }"),
            (
                "b.rs",
                "use crate::Renamed; pub(crate) fn g() {} fn h(a: Renamed) {}",
            ),
        ],
    );
    assert_eq!(found.len(), 1);
}

#[test]
fn a_parent_that_only_lists_and_reexports_its_children_is_in_no_cycle() {
    let found = cycles_of(
        "facade",
        &[
            ("lib.rs", "mod parent;"),
            ("parent.rs", "mod low; mod high; pub(crate) use high::High;"),
            ("parent/low.rs", "pub(crate) struct Low;"),
            (
                "parent/high.rs",
                "use super::low::Low; pub(crate) struct High(Low);",
            ),
        ],
    );
    assert_eq!(found, Vec::<Vec<PathBuf>>::new());
}

#[test]
fn a_dependency_of_tests_only_is_in_no_cycle() {
    let found = cycles_of(
        "tests_only",
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub(crate) struct A(B);"),
            (
                "b.rs",
                "pub(crate) struct B; #[cfg(test)] mod tests { use crate::a::A; }",
            ),
        ],
    );
    assert_eq!(found, Vec::<Vec<PathBuf>>::new());
}
