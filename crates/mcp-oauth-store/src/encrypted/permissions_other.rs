//! Nothing is checked or set: a file in the profile of a user inherits its permissions.

use std::{
    fs::{DirBuilder, Metadata, OpenOptions},
    io,
    path::Path,
};

pub(super) fn fault(_link: &Metadata, found: &Metadata) -> Option<&'static str> {
    (!found.is_dir()).then_some("it is not a directory")
}

pub(super) fn is_open(_found: &Metadata) -> bool {
    false
}

pub(super) fn restrict(_path: &Path, _is_store_file: fn(&str) -> bool) -> io::Result<()> {
    Ok(())
}

pub(super) fn private_directory(_builder: &mut DirBuilder) {}

pub(super) fn private_file(_options: &mut OpenOptions) {}

pub(super) fn is_no_file(_error: &io::Error) -> bool {
    false
}
