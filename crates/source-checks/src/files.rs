//! The files of the repository.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two folders below the root")
        .to_path_buf()
}

/// Returns the files that git tracks or would add, by their paths from `root`, in order.
pub fn tracked(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .expect("git lists the files of the repository");
    assert!(listed.status.success(), "git could not list the files");
    let text = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let mut paths: Vec<String> = text
        .split_terminator('\0')
        .filter(|path| root.join(path).is_file())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths
}

/// Returns the crates of the workspace: the folders of `crates` that have sources.
pub fn crates(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(root.join("crates"))
        .expect("the folder of crates can be read")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.join("src").is_dir())
        .collect();
    found.sort();
    found
}
