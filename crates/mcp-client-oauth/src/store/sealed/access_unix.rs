//! Who may do what, by owner and mode.

use std::{
    fs::{self, DirBuilder, Metadata, OpenOptions, Permissions},
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

/// Why a directory must not be used, if so. `link` is what its path names, `found` what that
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

/// A directory that others may only look into is closed. (That others could have looked before
/// is worth a word.)
pub(super) fn mend(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.mode() & OTHERS == 0 {
        return Ok(());
    }
    tracing::warn!("{} was open to others; it is closed now", path.display());
    fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY))
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

/// What opening a link, a socket or a directory (to write) says.
pub(super) fn is_no_file(error: &io::Error) -> bool {
    let not_files = [Errno::LOOP, Errno::MLINK, Errno::NXIO, Errno::ISDIR];
    Errno::from_io_error(error).is_some_and(|error| not_files.contains(&error))
}
