//! Who may do what, by owner and mode.

use std::{
    fs::{self, DirBuilder, DirEntry, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::Path,
};

use rustix::{fs::OFlags, io::Errno, process::geteuid};

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
const OTHERS_WRITE: u32 = 0o022;
const OTHERS: u32 = 0o077;
const ROOT: u32 = 0;

/// Returns why a directory must not be used, if so. `link` is what its path names, `found` what that
/// leads to. A link of somebody else could lead us anywhere, so only our own and those of the
/// system are followed.
pub(super) fn fault(link: &Metadata, found: &Metadata) -> Option<&'static str> {
    let us = geteuid().as_raw();
    if link.is_symlink() && ![us, ROOT].contains(&link.uid()) {
        return Some("it is a link that belongs to somebody else");
    }
    if !found.is_dir() {
        return Some("it is not a directory");
    }
    if found.uid() != us {
        return Some("it belongs to somebody else");
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Some("others may write to it");
    }
    None
}

/// Returns whether others may do anything with a file or look into a directory.
pub(super) fn is_open(found: &Metadata) -> bool {
    found.mode() & OTHERS != 0
}

/// Returns a directory that others may only look into is closed, and then what is ours in it: a copy of
/// it that is made later should not be open either (H154). That others could have looked before is
/// worth a word.
pub(super) fn mend(path: &Path, is_ours: fn(&str) -> bool) -> io::Result<()> {
    if !is_open(&fs::metadata(path)?) {
        return Ok(());
    }
    tracing::warn!("{} was open to others; it is closed now", path.display());
    fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_ours) {
            mend_entry(&entry)?;
        }
    }
    Ok(())
}

/// Closes a file, or a directory and all that is in it. What is a link is left alone.
fn mend_entry(entry: &DirEntry) -> io::Result<()> {
    let (path, found) = (entry.path(), entry.metadata()?);
    let private = match found.file_type() {
        kind if kind.is_dir() => PRIVATE_DIRECTORY,
        kind if kind.is_file() => PRIVATE_FILE,
        _ => return Ok(()),
    };
    if is_open(&found) {
        fs::set_permissions(&path, Permissions::from_mode(private))?;
    }
    if found.is_dir() {
        for entry in fs::read_dir(&path)? {
            mend_entry(&entry?)?;
        }
    }
    Ok(())
}

pub(super) fn private_directory(builder: &mut DirBuilder) {
    builder.mode(PRIVATE_DIRECTORY);
}

pub(super) fn private_file(options: &mut OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // The flags are small numbers: the conversion cannot fail.
    options
        .mode(PRIVATE_FILE)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
}

/// Returns what opening a link, a socket or a directory (to write) says.
pub(super) fn is_no_file(error: &io::Error) -> bool {
    let not_files = [Errno::LOOP, Errno::MLINK, Errno::NXIO, Errno::ISDIR];
    Errno::from_io_error(error).is_some_and(|error| not_files.contains(&error))
}
