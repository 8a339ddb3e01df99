//! TLS settings: the trusted certificate authorities, and the client certificate for servers that request
//! one.

use std::fmt;

use mcp_oauth_support::Secret;
use reqwest::{Certificate, ClientBuilder, Identity};

use super::{http_error::HttpErrorKind, reqwest_error::chain};

/// The TLS settings. The default trusts the system's certificate authorities and has no client certificate.
#[derive(Default)]
pub(super) struct TlsConfig {
    roots: Vec<Certificate>,
    /// Says whether only these roots are trusted, and not the system's certificate authorities.
    is_exclusive: bool,
    identity: Option<Identity>,
}

impl TlsConfig {
    pub(super) fn with_only_roots(&mut self, bundle: &[u8]) -> Result<(), HttpErrorKind> {
        self.roots = certificates(bundle)?;
        self.is_exclusive = true;
        Ok(())
    }

    pub(super) fn with_extra_roots(&mut self, bundle: &[u8]) -> Result<(), HttpErrorKind> {
        self.roots.extend(certificates(bundle)?);
        Ok(())
    }

    /// Sets the client certificate and key. The copies in `reqwest` and rustls are not wiped from memory.
    pub(super) fn with_client_identity(
        &mut self,
        pem: &Secret<Vec<u8>>,
    ) -> Result<(), HttpErrorKind> {
        let identity = Identity::from_pem(pem.expose()).map_err(|_| {
            let reason = "expected a certificate and its key, not encrypted, both in PEM form";
            HttpErrorKind::Setup(reason.to_owned())
        })?;
        self.identity = Some(identity);
        Ok(())
    }

    pub(super) fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        let roots = self.roots.iter().cloned();
        let builder = match (self.is_exclusive, self.roots.is_empty()) {
            (true, _) => builder.tls_certs_only(roots),
            (false, false) => builder.tls_certs_merge(roots),
            (false, true) => builder,
        };
        match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    }
}

fn certificates(bundle: &[u8]) -> Result<Vec<Certificate>, HttpErrorKind> {
    let roots = Certificate::from_pem_bundle(bundle);
    let roots = roots.map_err(|error| HttpErrorKind::Setup(chain(&error)))?;
    if roots.is_empty() {
        let reason = "the CA bundle has no certificate in PEM form";
        return Err(HttpErrorKind::Setup(reason.to_owned()));
    }
    Ok(roots)
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("roots", &self.roots.len())
            .field("is_exclusive", &self.is_exclusive)
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
