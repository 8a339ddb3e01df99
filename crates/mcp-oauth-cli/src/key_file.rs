//! The file of a private key.

use std::path::Path;

use mcp_client_oauth::{Secret, flow::PrivateKey};

use crate::{config::read_whole_secret, error::Failure, shell::quoted};

/// Reads the key of a client.
pub(crate) fn read(path: &Path) -> Result<PrivateKey, Failure> {
    PrivateKey::from_pem(read_text(path)?.expose()).map_err(|error| {
        let shown = path.display();
        Failure::usage(
            format!("cannot use the private key in {shown}: {error}"),
            "give the PEM file of the key",
        )
    })
}

/// Reads a file with a key in it.
pub(crate) fn read_text(path: &Path) -> Result<Secret<String>, Failure> {
    check(path)?;
    let file = std::fs::File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    read_whole_secret(file, path)
}

/// Checks that `path` is a file that other users cannot read. It is checked before the file is opened,
/// because opening a pipe may block for ever.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    let found = std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?;
    let shown = path.display();
    if !found.is_file() {
        let message = format!("{shown} is not a file");
        return Err(Failure::usage(message, "give the PEM file of the key"));
    }
    if is_open(&found) {
        return Err(Failure::usage(
            format!("other users can read the private key in {shown}"),
            format!("chmod 600 {}", quoted(&shown.to_string())),
        ));
    }
    Ok(())
}

#[cfg(unix)]
fn is_open(found: &std::fs::Metadata) -> bool {
    const OTHERS_READ: u32 = 0o044;
    std::os::unix::fs::MetadataExt::mode(found) & OTHERS_READ != 0
}

#[cfg(not(unix))]
fn is_open(_: &std::fs::Metadata) -> bool {
    false
}
