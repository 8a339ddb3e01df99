//! Permissions by owner and mode.

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

/// Returns why a directory must not be used, or `None`. `link` is the metadata of the path itself, `found`
/// that of its target. A link of another user could lead anywhere, so only links of this user and of the
/// system are followed.
pub(super) fn fault(link: &Metadata, found: &Metadata) -> Option<&'static str> {
    let user = geteuid().as_raw();
    if link.is_symlink() && ![user, ROOT].contains(&link.uid()) {
        return Some("it is a link that belongs to another user");
    }
    if !found.is_dir() {
        return Some("it is not a directory");
    }
    if found.uid() != user {
        return Some("it belongs to another user");
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Some("other users may write to it");
    }
    None
}

/// Returns whether other users have any permission on a file or directory.
pub(super) fn is_open(found: &Metadata) -> bool {
    found.mode() & OTHERS != 0
}

/// Makes a directory private that other users may read, and the files of the store in it: a later copy of
/// it should be private too (docs/hostile.md H154). A warning reports that other users could have read it.
pub(super) fn restrict(path: &Path, is_store_file: fn(&str) -> bool) -> io::Result<()> {
    if !is_open(&fs::metadata(path)?) {
        return Ok(());
    }
    tracing::warn!(
        "other users could read {}; it is private now",
        path.display()
    );
    fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_store_file) {
            restrict_entry(&entry)?;
        }
    }
    Ok(())
}

/// Makes a file private, or a directory with everything in it. Links are not changed.
fn restrict_entry(entry: &DirEntry) -> io::Result<()> {
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
            restrict_entry(&entry?)?;
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

/// Returns whether the error is that of opening a link, a socket or a directory (to write).
pub(super) fn is_no_file(error: &io::Error) -> bool {
    let not_files = [Errno::LOOP, Errno::MLINK, Errno::NXIO, Errno::ISDIR];
    Errno::from_io_error(error).is_some_and(|error| not_files.contains(&error))
}
