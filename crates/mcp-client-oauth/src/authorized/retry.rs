//! Sending again: a refused token is replaced once, a wider scope is asked for and a nonce is taken a
//! bounded number of times.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::credentials::Credentials;
use crate::{
    dpop::{DpopProof, ProofGenerator},
    error::{AuthorizationError, Error},
    platform::{AddressSpace, HttpError},
    proto::{
        challenge::Challenge,
        dpop,
        token::{AccessToken, AuthScheme},
    },
    session::TokenSource,
};

/// Says how often a request is sent again because the server wants a wider scope (spec-checklist G6).
const UPGRADES: usize = 3;
/// Says how often a request is sent again because the server wants another nonce in the proof (H181).
const NONCES: usize = 2;

/// Holds what of an answer says whether it is a challenge, and what the next proof needs.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

impl Head {
    pub(crate) fn of<B>(response: &http::Response<B>) -> Self {
        Self::new(response.status(), response.headers())
    }

    /// Only the headers that matter here are copied.
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

/// As [`with_token`], for answers with a `head`. They are sent again as long as one `may_again`.
pub(crate) async fn exchange<T, F, Fut>(
    source: &dyn TokenSource,
    method: &Method,
    url: &Url,
    send: F,
    head: impl Fn(&T) -> Option<Head>,
    may_again: impl Fn() -> bool,
) -> Result<T, Error>
where
    F: Fn(Credentials) -> Fut,
    Fut: Future<Output = T>,
{
    let attempt = |credentials: Credentials| {
        let bound = credentials.proof.is_some();
        let (answer, head) = (send(credentials), &head);
        async move {
            let outcome = answer.await;
            let head = head(&outcome);
            // An answer that is no challenge may have the nonce of the next request too.
            if bound && let (Some(prover), Some(head)) = (source.prover(), &head) {
                prover.store_nonce(url, &head.headers);
            }
            let challenge =
                head.and_then(|head| Challenge::from_headers(head.status, &head.headers));
            Ok((outcome, challenge))
        }
    };
    let refusal =
        |(_, challenge): &(T, Option<Challenge>)| challenge.clone().filter(|_| may_again());
    let (outcome, _) = with_token(source, method, url, attempt, refusal).await?;
    Ok(outcome)
}

/// Calls `send` with what a request of this `method` to `url` needs. While `challenge` finds a
/// refusal in what it brings, again: with another token once if the token is refused, and a few
/// times if its scope is too small (H71, H94); with another proof if that one was refused, once for
/// each nonce that the server gives and twice in all (H181). A token goes nowhere but to its resource (H90), and so does a
/// proof.
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
        let bond = RequestProof::of(source, &token, method, url)?;
        let proof = bond.as_ref().map(|bond| bond.proof.header.clone());
        let outcome = send(Credentials::new(token.header(), proof)).await?;
        let Some(challenge) = challenge(&outcome) else {
            return Ok(outcome);
        };
        if let Some(bond) = bond.filter(|_| challenge.refuses_proof()) {
            if bond.is_outdated(url, &challenge) && tries.another_nonce() {
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

/// Says how often a request has been sent again, and why.
#[derive(Default)]
struct Tries {
    replaced: bool,
    upgrades: usize,
    nonces: usize,
}

impl Tries {
    fn another_nonce(&mut self) -> bool {
        self.nonces += 1;
        self.nonces <= NONCES
    }

    fn another_token(&mut self, challenge: &Challenge) -> bool {
        if challenge.is_insufficient_scope() {
            self.upgrades += 1;
            self.upgrades <= UPGRADES
        } else {
            !std::mem::replace(&mut self.replaced, true)
        }
    }
}

/// Holds what binds one request to the key of its token.
pub(super) struct RequestProof {
    prover: Arc<ProofGenerator>,
    pub(super) proof: DpopProof,
}

impl RequestProof {
    /// Returns none for a bearer token.
    pub(super) fn of(
        source: &dyn TokenSource,
        token: &AccessToken,
        method: &Method,
        url: &Url,
    ) -> Result<Option<Self>, Error> {
        if token.scheme() != AuthScheme::DPoP {
            return Ok(None);
        }
        let Some(prover) = source.prover() else {
            return Ok(None);
        };
        let proof = prover.prove(method, url, Some(token))?;
        Ok(Some(Self { prover, proof }))
    }

    /// Returns whether the server has given another nonce than the one in the proof.
    pub(super) fn is_outdated(&self, url: &Url, challenge: &Challenge) -> bool {
        if let Some(nonce) = &challenge.dpop_nonce {
            self.prover.remember(url, nonce.clone());
        }
        self.prover.knows_better(url, &self.proof)
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

/// Before the first login the resource is not known; then the server's own origin is the limit. What is
/// not encrypted goes to no public place, as far as its text tells, whoever sends it.
fn check(source: &dyn TokenSource, url: &Url) -> Result<(), Error> {
    let (server, resource) = (source.server(), source.resource());
    AddressSpace::for_server(server)
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
