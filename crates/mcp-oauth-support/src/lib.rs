//! What the crates of `mcp-client-oauth` share and is not OAuth: atomic writes of files, secrets and their
//! redaction in what a server sends, text that is not trusted, mutexes and the time of the system.

#[cfg(feature = "atomic-file")]
pub mod atomic_file;
pub mod mutex;
pub mod redact;
mod secret;
pub mod system_time;
mod untrusted_text;

pub use secret::Secret;
pub use untrusted_text::UntrustedText;
