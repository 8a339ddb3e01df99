//! The path of this program, for an entry that outlives this process.

use std::path::{Component, Path, PathBuf};

use crate::{config::absolute_path, error::Failure};

/// The file name of this program, without `.exe`.
pub(super) const PROGRAM: &str = "mcp-oauth";
/// The package that has this program, on npm and `PyPI`: `mcp-oauth` is a package of others there.
const PACKAGE: &str = "mcp-client-oauth";

/// Directories of runners that download a program for one run, and may remove it at any time: the names of
/// directories in a row, and the command that installs it to stay.
const CACHES: [(&[&str], &str); 8] = [
    (&["_npx"], "npm install --global"),
    (&["pnpm", "dlx"], "pnpm add --global"),
    (&["archive-v0"], "uv tool install"),
    (&["environments-v2"], "uv tool install"),
    (&["builds-v0"], "uv tool install"),
    (&[".cache", "uv"], "uv tool install"),
    (&["pipx", ".cache"], "pipx install"),
    (&[".cache", "pipx"], "pipx install"),
];

/// Returns the absolute path of this program: an application that is started from a desktop may have no
/// `PATH`. A path in the cache of a runner is refused, because the program is soon gone from there.
pub(crate) fn stable_path() -> Result<String, Failure> {
    let path = running()?;
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    for path in [&path, &real] {
        check(path)?;
    }
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        let message = format!("the path of this program is not UTF-8: {}", path.display());
        Failure::other("install", message, Some("rename the directory".to_owned()))
    })
}

/// Returns the path of this program for a copy of it.
pub(crate) fn copied_path() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe();
    own.map_err(|_| Failure::other("install", "cannot find the path of this program", None))
}

/// Returns the path in `PATH` that leads to this program, else its own: package managers put a link there
/// that stays the same when they replace the program by a new version in another directory.
fn running() -> Result<PathBuf, Failure> {
    let own = copied_path()?;
    let real = own.canonicalize().unwrap_or_else(|_| own.clone());
    let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let entries = absolute_path().unwrap_or_default();
    let mut linked = std::env::split_paths(&entries).map(|entry| entry.join(&name));
    let linked = linked.find(|path| path.canonicalize().is_ok_and(|found| found == real));
    Ok(linked.unwrap_or(own))
}

fn check(path: &Path) -> Result<(), Failure> {
    let names: Vec<&str> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    for (directories, install) in CACHES {
        if names
            .windows(directories.len())
            .any(|found| found == directories)
        {
            let message = format!(
                "{} is in the cache of a package runner, from where it may be removed at any time",
                path.display()
            );
            return Err(Failure::usage(
                message,
                format!("install it first: {install} {PACKAGE}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str) -> Option<String> {
        let refused = check(Path::new(path)).err()?;
        let rendered = refused.render(None);
        Some(format!("{} {}", rendered.message, rendered.hint?))
    }

    #[test]
    fn a_program_in_the_cache_of_a_runner_is_refused_with_the_command_that_installs_it() {
        for (path, hint) in [
            (
                "/h/.npm/_npx/4f1/node_modules/mcp-oauth/bin/mcp-oauth",
                "npm install --global mcp-client-oauth",
            ),
            (
                "/h/.npm/_npx/4f1/node_modules/.bin/mcp-oauth",
                "npm install --global mcp-client-oauth",
            ),
            (
                "/h/.cache/uv/archive-v0/Zx/bin/mcp-oauth",
                "uv tool install mcp-client-oauth",
            ),
            ("/uv-cache/archive-v0/Zx/bin/mcp-oauth", "uv tool install"),
            ("/h/.cache/pnpm/dlx/1/mcp-oauth", "pnpm add --global"),
        ] {
            let refusal = refusal(path).unwrap();
            assert!(
                refusal.contains(path) && refusal.contains(hint),
                "{refusal}"
            );
        }
        for stays in [
            "/usr/local/bin/mcp-oauth",
            "/h/.local/share/uv/tools/mcp-oauth/bin/mcp-oauth",
            "/h/.cargo/bin/mcp-oauth",
            "/h/my/target/debug/mcp-oauth",
        ] {
            assert_eq!(refusal(stays), None);
        }
    }
}
