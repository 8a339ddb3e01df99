//! What the crates of `mcp-client-oauth` share and is not OAuth: atomic writes of files, and the redaction of
//! secrets in what a server sends.

#[cfg(feature = "atomic-file")]
pub mod atomic_file;
pub mod redact;
