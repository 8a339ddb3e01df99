//! The HTTP client of a command, with its certificate authorities and its client certificate.

use std::path::{Path, PathBuf};

use mcp_client_oauth::{Secret, error::HttpErrorKind, platform::ReqwestClient};

use crate::{args::NetworkFlags, error::Failure, key_file};

/// Builds the HTTP client with the certificates that were given, if any.
pub(crate) fn network(named: &NetworkFlags) -> Result<ReqwestClient, Failure> {
    let mut network = ReqwestClient::default();
    if let (None, Some(_)) = (&named.client_cert, &named.client_key) {
        return Err(Failure::usage(
            "--client-key needs a certificate, and none is given",
            "add --client-cert FILE",
        ));
    }
    if let Some(file) = &named.ca_cert {
        let bundle = read(file)?;
        network = network
            .with_extra_roots(&bundle)
            .map_err(|cause| unusable(file, &cause, "give a PEM file of certificates"))?;
    }
    if let Some(file) = &named.client_cert {
        let pem = identity(file, named.client_key.as_ref())?;
        network = network.with_identity(&pem).map_err(|cause| {
            let hint = "give the PEM file of the certificate, and its key with --client-key FILE";
            unusable(file, &cause, hint)
        })?;
    }
    Ok(network)
}

/// Returns the certificate and its key, from one file or from two. The file with the key must not be
/// readable by other users.
fn identity(certificate: &Path, key: Option<&PathBuf>) -> Result<Secret<Vec<u8>>, Failure> {
    let own = Secret::new(read(certificate)?);
    if let Some(key) = key {
        return Ok(joined(own.expose(), key_file::read_text(key)?.expose()));
    }
    // A missing key is reported when the certificate is used.
    if memchr::memmem::find(own.expose(), b"PRIVATE KEY-----").is_some() {
        key_file::check(certificate)?;
    }
    Ok(own)
}

/// Returns both in one buffer. It is allocated for all of it, so that growth leaves no copy of the key.
fn joined(certificate: &[u8], key: &str) -> Secret<Vec<u8>> {
    let mut both = Vec::with_capacity(certificate.len() + 1 + key.len());
    both.extend_from_slice(certificate);
    both.push(b'\n');
    both.extend_from_slice(key.as_bytes());
    Secret::new(both)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::file("read", file, &error))
}

fn unusable(file: &Path, cause: &HttpErrorKind, hint: &str) -> Failure {
    Failure::usage(format!("{}: {cause}", file.display()), hint)
}
