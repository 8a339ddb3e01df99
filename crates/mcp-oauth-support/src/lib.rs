//! What the crates of `mcp-client-oauth` share and is not OAuth: atomic writes of files, secrets and their
//! redaction in what a server sends, and text that is not trusted.

#[cfg(feature = "atomic-file")]
pub mod atomic_file;
pub mod redact;
mod secret;
mod untrusted_text;

pub use secret::Secret;
pub use untrusted_text::UntrustedText;
