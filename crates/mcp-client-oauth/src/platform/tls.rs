//! Whom a connection trusts, and as whom it comes: certificate authorities, and a certificate of our
//! own where a server asks for one.

use std::fmt;

use reqwest::{Certificate, ClientBuilder, Identity};

use super::{http_error::HttpErrorKind, reqwest_error::chain};
use crate::secret::Secret;

/// The system's authorities, and no certificate of our own, unless something else is said.
#[derive(Default)]
pub(super) struct Trust {
    roots: Vec<Certificate>,
    /// Says whether the system's own are not trusted beside those.
    is_exclusive: bool,
    identity: Option<Identity>,
}

impl Trust {
    pub(super) fn with_only_roots(&mut self, bundle: &[u8]) -> Result<(), HttpErrorKind> {
        self.roots = certificates(bundle)?;
        self.is_exclusive = true;
        Ok(())
    }

    pub(super) fn with_extra_roots(&mut self, bundle: &[u8]) -> Result<(), HttpErrorKind> {
        self.roots.extend(certificates(bundle)?);
        Ok(())
    }

    /// Returns what `reqwest` and rustls keep of the key is not wiped from memory.
    pub(super) fn with_client_identity(
        &mut self,
        pem: &Secret<Vec<u8>>,
    ) -> Result<(), HttpErrorKind> {
        let identity = Identity::from_pem(pem.expose()).map_err(|_| {
            let why = "there has to be a certificate and its key, not encrypted, both in PEM form";
            HttpErrorKind::Setup(why.to_owned())
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
        let why = "the CA bundle has no certificate in PEM form";
        return Err(HttpErrorKind::Setup(why.to_owned()));
    }
    Ok(roots)
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("roots", &self.roots.len())
            .field("is_exclusive", &self.is_exclusive)
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
