//! The network of this run: whom it trusts, and as whom it comes.

use std::path::{Path, PathBuf};

use mcp_client_oauth::{Secret, error::HttpErrorKind, platform::ReqwestClient};

use crate::{args::NetworkFlags, error::Failure, key_file};

/// Reads the certificates that were named, if any.
pub(crate) fn network(named: &NetworkFlags) -> Result<ReqwestClient, Failure> {
    let mut network = ReqwestClient::default();
    if let (None, Some(_)) = (&named.client_cert, &named.client_key) {
        return Err(Failure::usage(
            "--client-key is the key of a certificate, and none is named",
            "add --client-cert FILE",
        ));
    }
    if let Some(file) = &named.ca_cert {
        let bundle = read(file)?;
        network = network
            .with_extra_roots(&bundle)
            .map_err(|cause| unusable(file, &cause, "name a PEM file of certificates"))?;
    }
    if let Some(file) = &named.client_cert {
        let pem = identity(file, named.client_key.as_ref())?;
        network = network.with_identity(&pem).map_err(|cause| {
            let hint =
                "name the PEM file of the certificate, and with --client-key that of its key";
            unusable(file, &cause, hint)
        })?;
    }
    Ok(network)
}

/// Returns the certificate and its key, from one file or from two. What has the key in it must be closed to
/// others.
fn identity(certificate: &Path, key: Option<&PathBuf>) -> Result<Secret<Vec<u8>>, Failure> {
    let own = Secret::new(read(certificate)?);
    if let Some(key) = key {
        return Ok(joined(own.expose(), key_file::read_text(key)?.expose()));
    }
    // A key that is not there is missed when the certificate is to be used.
    if memchr::memmem::find(own.expose(), b"PRIVATE KEY-----").is_some() {
        key_file::check(certificate)?;
    }
    Ok(own)
}

/// With room for all of it, so that no copy is left behind by growth.
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
