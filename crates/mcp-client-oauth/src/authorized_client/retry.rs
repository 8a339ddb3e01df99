//! Retries: a refused token is replaced once; step-up authorization and DPoP nonces are repeated a bounded
//! number of times.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::credentials::Credentials;
use crate::{
    dpop::{DpopProof, ProofGenerator},
    error::{AuthorizationError, Error},
    platform::HttpError,
    proto::{
        challenge::Challenge,
        dpop,
        token::{AccessToken, AuthScheme},
    },
    token_source::TokenSource,
};

/// The number of step-up retries of a request (MCP authorization, Step-Up Authorization Flow: "no more than
/// a few times").
const MAX_STEP_UPS: usize = 3;
/// The number of retries of a request with another nonce in its proof (RFC 9449 §9).
const MAX_NONCES: usize = 2;

/// Holds the status and the headers of a response that are needed to parse its challenge and its nonce.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

impl Head {
    /// Copies only the headers that are needed here.
    pub(crate) fn new(status: StatusCode, all: &HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        for name in [header::WWW_AUTHENTICATE, dpop::NONCE] {
            for value in all.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        Self { status, headers }
    }
}

/// Does the same as [`with_token`], for outcomes with a `head`. Retries as long as `may_retry` returns true.
pub(crate) async fn exchange<T, F, Fut>(
    source: &dyn TokenSource,
    method: &Method,
    url: &Url,
    send: F,
    head: impl Fn(&T) -> Option<Head>,
    may_retry: impl Fn(&T) -> bool,
) -> Result<T, Error>
where
    F: Fn(Credentials) -> Fut,
    Fut: Future<Output = T>,
{
    let attempt = |credentials: Credentials| {
        let bound = credentials.proof.is_some();
        let (sending, head) = (send(credentials), &head);
        async move {
            let outcome = sending.await;
            let head = head(&outcome);
            // Any response may have the nonce for the next request (RFC 9449 §8.2, §9).
            if bound && let (Some(proof_generator), Some(head)) = (source.proof_generator(), &head)
            {
                proof_generator.store_nonce(url, &head.headers);
            }
            let challenge =
                head.and_then(|head| Challenge::from_headers(head.status, &head.headers));
            Ok((outcome, challenge))
        }
    };
    let refusal = |(outcome, challenge): &(T, Option<Challenge>)| {
        challenge.clone().filter(|_| may_retry(outcome))
    };
    let (outcome, _) = with_token(source, method, url, attempt, refusal).await?;
    Ok(outcome)
}

/// Calls `send` with the credentials of a request with this `method` to `url`, and again while `challenge`
/// returns a refusal for the outcome: once with another token if the token is refused (RFC 6750 §3.1), a
/// few times if its scope is insufficient (MCP authorization, Step-Up Authorization Flow), and twice at
/// most with another proof, once for each nonce (RFC 9449 §9). Tokens and proofs are sent to their
/// resource only (RFC 8707 §1).
pub(crate) async fn with_token<T, F, Fut>(
    source: &dyn TokenSource,
    method: &Method,
    url: &Url,
    send: F,
    challenge: impl Fn(&T) -> Option<Challenge>,
) -> Result<T, Error>
where
    F: Fn(Credentials) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut token = token_for(source, url).await?;
    let mut tries = Tries::default();
    loop {
        let request_proof = RequestProof::of(source, &token, method, url)?;
        let proof = request_proof
            .as_ref()
            .map(|request_proof| request_proof.proof.header.clone());
        let outcome = send(Credentials::new(token.header(), proof)).await?;
        let Some(challenge) = challenge(&outcome) else {
            return Ok(outcome);
        };
        if let Some(request_proof) = request_proof.filter(|_| challenge.refuses_proof()) {
            if request_proof.is_outdated(url, &challenge) && tries.another_nonce() {
                continue;
            }
            return Ok(outcome);
        }
        if !tries.another_token(&challenge) {
            return Ok(outcome);
        }
        token = source.refresh_after_rejection(&token, &challenge).await?;
    }
}

/// Counts the retries of a request by their reason.
#[derive(Default)]
struct Tries {
    replaced: bool,
    step_ups: usize,
    nonces: usize,
}

impl Tries {
    fn another_nonce(&mut self) -> bool {
        self.nonces += 1;
        self.nonces <= MAX_NONCES
    }

    fn another_token(&mut self, challenge: &Challenge) -> bool {
        if challenge.is_insufficient_scope() {
            self.step_ups += 1;
            self.step_ups <= MAX_STEP_UPS
        } else {
            !std::mem::replace(&mut self.replaced, true)
        }
    }
}

/// The proof of one request with a token that is bound to a key.
pub(super) struct RequestProof {
    proof_generator: Arc<ProofGenerator>,
    pub(super) proof: DpopProof,
}

impl RequestProof {
    /// Creates a proof; none for a bearer token.
    pub(super) fn of(
        source: &dyn TokenSource,
        token: &AccessToken,
        method: &Method,
        url: &Url,
    ) -> Result<Option<Self>, Error> {
        if token.scheme() != AuthScheme::DPoP {
            return Ok(None);
        }
        let Some(proof_generator) = source.proof_generator() else {
            return Ok(None);
        };
        let proof = proof_generator.prove(method, url, Some(token))?;
        Ok(Some(Self {
            proof_generator,
            proof,
        }))
    }

    /// Returns whether the server provided another nonce than the one in the proof.
    pub(super) fn is_outdated(&self, url: &Url, challenge: &Challenge) -> bool {
        if let Some(nonce) = &challenge.dpop_nonce {
            self.proof_generator.remember(url, nonce.clone());
        }
        self.proof_generator.has_newer_nonce(url, &self.proof)
    }
}

pub(super) async fn token_for(source: &dyn TokenSource, url: &Url) -> Result<AccessToken, Error> {
    check(source, url)?;
    let token = match source.cached_token() {
        Some(token) => token,
        None => source.token().await?,
    };
    check(source, url)?;
    Ok(token)
}

/// Checks that a token may be sent to `url`. Before the first login the resource is not known; then `url`
/// must have the server's origin. An unencrypted URL must not have a public address, even if another HTTP
/// client sends the request.
fn check(source: &dyn TokenSource, url: &Url) -> Result<(), Error> {
    let (server, resource) = (source.server(), source.resource());
    source
        .address_space()
        .check_url(url)
        .map_err(|cause| HttpError::new(url, cause.into()))?;
    let covered = match &resource {
        Some(resource) => resource.covers(url),
        None => server.as_url().origin() == url.origin(),
    };
    if covered || server.covers(url) {
        return Ok(());
    }
    let resource = resource.map_or_else(|| server.to_string(), |own| own.as_str().to_owned());
    Err(AuthorizationError::OutsideResource {
        url: url.clone(),
        resource,
    }
    .into())
}
