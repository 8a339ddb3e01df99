//! The file of a private key.

use std::path::Path;

use mcp_client_oauth::proto::private_key::PrivateKey;

use crate::{
    config::read_whole_secret,
    exit::{Failure, quoted},
};

/// Reads the key of a client. A file that others can read is no secret (H180).
pub(crate) fn read(path: &Path) -> Result<PrivateKey, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    // Asked before it is opened, because opening a pipe may wait for ever.
    let found = std::fs::metadata(path).map_err(failed)?;
    let shown = path.display();
    if !found.is_file() {
        let message = format!("{shown} is not a file");
        return Err(Failure::usage(message, "name the PEM file of the key"));
    }
    if is_open(&found) {
        return Err(Failure::usage(
            format!("others can read the private key in {shown}"),
            format!("chmod 600 {}", quoted(&shown.to_string())),
        ));
    }
    let text = read_whole_secret(std::fs::File::open(path).map_err(failed)?, path)?;
    PrivateKey::from_pem(text.expose()).map_err(|error| {
        Failure::usage(
            format!("the private key in {shown} cannot be used: {error}"),
            "name the PEM file of the key",
        )
    })
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
