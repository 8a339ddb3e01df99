//! Changes the file of another application atomically, and keeps a copy of the old file beside it.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use mcp_oauth_support::atomic_file::{WriteOptions, retry_while_in_use};
use similar::TextDiff;

use crate::error::Failure;

/// The largest number of copies of old files.
const BACKUPS: u32 = 1000;

/// The largest number of links that lead to a file.
const LINKS: usize = 40;

/// A change of a file that is not written yet.
#[derive(Debug)]
pub(crate) struct Edit {
    path: PathBuf,
    before: Option<String>,
    after: String,
}

impl Edit {
    /// Reads the file; a missing one is empty.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let before = content(path)?;
        Ok(Self {
            path: path.to_owned(),
            after: before.clone().unwrap_or_default(),
            before,
        })
    }

    /// Returns the text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.after
    }

    /// Sets the new text.
    pub(crate) fn set(&mut self, text: String) {
        self.after = text;
    }

    /// Returns whether the new text differs from the file.
    pub(crate) fn is_change(&self) -> bool {
        self.before.as_deref().unwrap_or_default() != self.after
    }

    /// Returns the change as a unified diff.
    pub(crate) fn diff(&self) -> String {
        let path = self.path.display().to_string();
        let old = match self.before {
            Some(_) => path.as_str(),
            None => "/dev/null",
        };
        let before = self.before.as_deref().unwrap_or_default();
        let diff = TextDiff::from_lines(before, &self.after);
        diff.unified_diff().header(old, &path).to_string()
    }

    /// Writes the file, and returns the path of the copy of the old one, if there was one. The target of a
    /// link is written, and its permissions stay.
    pub(crate) fn write(&self) -> Result<Option<PathBuf>, Failure> {
        let failed = |action| move |error: io::Error| Failure::file(action, &self.path, &error);
        let target = target(&self.path).map_err(failed("follow the link"))?;
        let directory = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(failed("create the directory of"))?;
        let mut options = WriteOptions::default();
        let Some(before) = &self.before else {
            let written = options.create_new().write(&target, self.after.as_bytes());
            return match written {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(self.modified()),
                written => written.map(|()| None).map_err(failed("write")),
            };
        };
        let backup = back_up(&target)?;
        if let Ok(old) = fs::metadata(&target) {
            options = options.permissions(old.permissions());
        }
        // Some applications keep their state in the same file, and write it often.
        if content(&target)?.as_ref() != Some(before) {
            drop(fs::remove_file(backup));
            return Err(self.modified());
        }
        let written = options.write(&target, self.after.as_bytes());
        written.map_err(failed("write"))?;
        Ok(Some(backup))
    }

    fn modified(&self) -> Failure {
        Failure::other(
            "file",
            format!(
                "{} was modified concurrently (left unchanged)",
                self.path.display()
            ),
            Some("run the same command again".to_owned()),
        )
    }
}

/// Returns the text of a file; none if it is missing.
fn content(path: &Path) -> Result<Option<String>, Failure> {
    let bytes = match retry_while_in_use(|| fs::read(path)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before = &error.as_bytes()[..valid];
            let line = before.split(|byte| *byte == b'\n').count();
            let tail = before.rsplit(|byte| *byte == b'\n').next();
            let column = String::from_utf8_lossy(tail.unwrap_or_default())
                .chars()
                .count()
                + 1;
            let message = format!(
                "cannot change {} (left unchanged): it is not UTF-8 on line {line} column {column}",
                path.display()
            );
            Err(Failure::other("file", message, None))
        }
    }
}

/// Returns the file that a link leads to, whether or not it exists.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => {
                let directory = path.parent().unwrap_or(Path::new("")).to_owned();
                path = directory.join(next);
            }
            // It is no link, or it does not exist.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Copies the file to a free name beside it.
fn back_up(path: &Path) -> Result<PathBuf, Failure> {
    let named = |number| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 0 {
            ".bak".to_owned()
        } else {
            format!(".bak{number}")
        });
        PathBuf::from(name)
    };
    let free = (0..BACKUPS).map(named).find(|backup| !backup.exists());
    let backup = free.ok_or_else(|| {
        let message = format!("there are too many copies beside {}", path.display());
        Failure::other("file", message, None)
    })?;
    fs::copy(path, &backup).map_err(|error| Failure::file("copy", path, &error))?;
    Ok(backup)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn put(path: &Path, text: &str) {
        let mut file = fs::File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_file_that_another_program_has_changed_meanwhile_is_left_unchanged() {
        let home = tempfile::tempdir().unwrap();
        let (old, new) = (home.path().join("old"), home.path().join("new"));
        put(&old, "1");
        for path in [&old, &new] {
            let mut edit = Edit::read(path).unwrap();
            edit.set("2".to_owned());
            put(path, "3");
            let refused = edit.write().unwrap_err().render(None);
            assert!(
                refused.message.contains("modified concurrently"),
                "{}",
                refused.message
            );
            assert_eq!(fs::read_to_string(path).unwrap(), "3");
        }
        assert_eq!(
            fs::read_dir(home.path()).unwrap().count(),
            2,
            "a copy was left"
        );
    }

    #[test]
    fn each_copy_of_an_old_file_has_its_own_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        put(&path, "0");
        for (text, copy) in [("1", "a.bak"), ("2", "a.bak1"), ("3", "a.bak2")] {
            let mut edit = Edit::read(&path).unwrap();
            edit.set(text.to_owned());
            assert_eq!(edit.write().unwrap(), Some(home.path().join(copy)));
        }
        assert_eq!(fs::read_to_string(home.path().join("a.bak1")).unwrap(), "1");
    }
}
