//! Requests with proof of possession (RFC 9449): the key of a login, the nonces of its servers, and
//! the requests that carry a proof.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use http::{HeaderMap, HeaderValue, Method};
use mcp_oauth_support::mutex::lock;
use url::{Origin, Url};

use crate::{
    platform::{Clock, HttpError, HttpErrorKind, Platform, Request, Response},
    proto::{
        dpop::{DpopKey, DpopNonce, PROOF, USE_NONCE},
        oauth_error::OAuthErrorResponse,
        token::{AccessToken, AuthScheme},
    },
};

/// Creates the proofs of one login, each with the last nonce of its server.
///
/// The nonces are kept in memory only, because a server that requires one sends it again.
pub struct ProofGenerator {
    key: DpopKey,
    clock: Arc<dyn Clock>,
    /// The last nonce of each server. It is sent to no other server (RFC 9449 §9).
    nonces: Mutex<HashMap<Origin, DpopNonce>>,
}

/// A proof, for one request that is sent once.
#[derive(Clone, Debug)]
pub(crate) struct DpopProof {
    /// The value of the `DPoP` header, marked sensitive.
    pub(crate) header: HeaderValue,
    nonce: Option<DpopNonce>,
}

impl ProofGenerator {
    /// Creates a generator that signs with `key`. `clock` provides the time of each proof.
    pub fn new(key: DpopKey, clock: Arc<dyn Clock>) -> Self {
        Self {
            key,
            clock,
            nonces: Mutex::default(),
        }
    }

    /// Returns the key.
    pub(crate) fn key(&self) -> &DpopKey {
        &self.key
    }

    /// Returns a proof for one request, which carries `token` if it is sent to a resource. Each retry of
    /// the request needs another proof.
    ///
    /// # Errors
    /// [`HttpErrorKind::MissingDpopProof`].
    pub(crate) fn prove(
        &self,
        method: &Method,
        url: &Url,
        token: Option<&AccessToken>,
    ) -> Result<DpopProof, HttpError> {
        let nonce = self.nonces().get(&url.origin()).cloned();
        let now = self.clock.now();
        let proof = self.key.proof(method, url, now, nonce.as_ref(), token);
        let header = proof.map_err(|error| {
            HttpError::new(url, HttpErrorKind::MissingDpopProof(error.to_string()))
        })?;
        Ok(DpopProof { header, nonce })
    }

    /// Stores the nonce of a response that came from `url`, if it has one (RFC 9449 §8.2).
    pub fn store_nonce(&self, url: &Url, headers: &HeaderMap) {
        if let Some(nonce) = DpopNonce::from_headers(headers) {
            self.remember(url, nonce);
        }
    }

    pub(crate) fn remember(&self, url: &Url, nonce: DpopNonce) {
        let origin = url.origin();
        // No two opaque origins are equal, so a nonce that is stored for one would never be found.
        if origin.is_tuple() {
            self.nonces().insert(origin, nonce);
        }
    }

    /// Returns whether the server of `url` has sent another nonce than the one in `proof`, so that a
    /// retry may succeed.
    pub(crate) fn has_newer_nonce(&self, url: &Url, proof: &DpopProof) -> bool {
        let nonces = self.nonces();
        let last = nonces.get(&url.origin());
        last.is_some() && last != proof.nonce.as_ref()
    }

    fn nonces(&self) -> MutexGuard<'_, HashMap<Origin, DpopNonce>> {
        lock(&self.nonces)
    }

    async fn send_with_nonce_retry(
        &self,
        platform: &Platform,
        request: Request,
    ) -> Result<Response, HttpError> {
        let begun = platform.clock.now();
        let (response, proof) = self.send(platform, request.clone()).await?;
        let spent = platform.clock.now().duration_since(begun);
        let left = request.deadline.checked_sub(spent.unwrap_or_default());
        match left {
            Some(left)
                if requires_nonce(&response) && self.has_newer_nonce(&request.url, &proof) =>
            {
                let mut again = request;
                again.deadline = left;
                Ok(self.send(platform, again).await?.0)
            }
            _ => Ok(response),
        }
    }

    async fn send(
        &self,
        platform: &Platform,
        mut request: Request,
    ) -> Result<(Response, DpopProof), HttpError> {
        let url = request.url.clone();
        let proof = self.prove(&request.method, &url, None)?;
        request.headers.insert(PROOF, proof.header.clone());
        let response = platform.http.send(request).await?;
        self.store_nonce(&url, &response.headers);
        Ok((response, proof))
    }
}

/// Sends one request of [`token_request`](crate::token_request). With a `proof_generator` it carries a
/// proof. If the server requires a nonce in the proof (RFC 9449 §8), the request is sent once more, with
/// another proof: the server has not consumed its code or refresh token. It is sent twice at most, within
/// the deadline of the request.
pub(crate) async fn send_with_proof(
    platform: &Platform,
    request: Request,
    proof_generator: Option<&ProofGenerator>,
) -> Result<Response, HttpError> {
    match proof_generator {
        Some(proof_generator) => {
            Box::pin(proof_generator.send_with_nonce_retry(platform, request)).await
        }
        None => platform.http.send(request).await,
    }
}

/// Returns whether the token endpoint requires a nonce: a 4xx with the error `use_dpop_nonce` (RFC 9449 §8).
fn requires_nonce(response: &Response) -> bool {
    response.status.is_client_error()
        && OAuthErrorResponse::parse(&response.body).is_some_and(|error| error.has_code(USE_NONCE))
}

/// Returns the scheme of the expected token: DPoP if a proof was sent, else Bearer.
pub(crate) fn expected_scheme(proof_generator: Option<&ProofGenerator>) -> AuthScheme {
    match proof_generator {
        Some(_) => AuthScheme::DPoP,
        None => AuthScheme::Bearer,
    }
}

impl fmt::Debug for ProofGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofGenerator")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
