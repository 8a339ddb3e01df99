//! The configuration files of applications that run MCP servers: which file, which entry, and how it is
//! changed.

mod catalog;
mod entry;
mod entry_file;
mod file;
mod location;
mod merge;
mod own_program;
mod text;

pub(crate) use entry::{Request, entry};
pub(crate) use entry_file::{EntryFile, printed};
pub(crate) use location::file_of;
pub(crate) use merge::{Entry, is_own, merged, server_of};
pub(crate) use own_program::{copied_path, stable_path};
