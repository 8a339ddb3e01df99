//! One request to the token endpoint and its response, and what the non-interactive grants share: they send
//! it within a deadline, and some of them present an assertion.

use std::time::{Duration, SystemTime};

use crate::{
    discovery::Discovery,
    dpop::{ProofGenerator, expected_scheme},
    error::{HttpError, NonInteractiveGrantError},
    platform::{AssertionErrorKind, AssertionSource, Platform, Request, Response},
    proto::{
        assertion::{Assertion, assertion_request},
        client_auth::ClientAuth,
        scope::Scope,
        token::{TokenError, TokenSet},
    },
    token_request,
};

/// A response of the token endpoint.
pub(crate) struct TokenResponse {
    /// The whole response.
    pub(crate) response: Response,
    /// The tokens in it, or the reason why it cannot be used.
    pub(crate) tokens: Result<TokenSet, TokenError>,
}

/// Sends a token request and parses the response; lifetimes count from the time of the request. With a
/// `proof_generator` the tokens are bound to its key. An error repeats neither the client's secrets nor what
/// was `sent`.
pub(crate) async fn send(
    platform: &Platform,
    discovery: &Discovery,
    client: &ClientAuth<'_>,
    message: impl Fn(&ClientAuth<'_>) -> Request,
    sent: &[&str],
    proof_generator: Option<&ProofGenerator>,
) -> Result<TokenResponse, HttpError> {
    let now = platform.clock.now();
    let response = token_request::send(platform, client, message, proof_generator).await?;
    let (quirks, issuer) = (&discovery.quirks, discovery.issuer());
    let response = quirks.token_response(response);
    let secrets: Vec<&str> = sent.iter().copied().chain(client.secrets()).collect();
    let scheme = expected_scheme(proof_generator);
    let tokens = quirks.tokens(issuer, &response, now, &secrets, scheme);
    Ok(TokenResponse { response, tokens })
}

/// Holds the parameters of a non-interactive token request.
pub(crate) struct NonInteractiveRequest<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) discovery: &'a Discovery,
    pub(crate) client: &'a ClientAuth<'a>,
    /// The generator of proofs, if the tokens are to be bound to a key.
    pub(crate) proof_generator: Option<&'a ProofGenerator>,
    pub(crate) scope: Option<&'a Scope>,
    /// The deadline.
    pub(crate) end: SystemTime,
}

impl NonInteractiveRequest<'_> {
    /// Sends the assertion to the token endpoint of the discovered server, and to no other URL.
    pub(super) async fn present(
        &self,
        assertion: &Assertion,
    ) -> Result<TokenSet, NonInteractiveGrantError> {
        let endpoint = &self.discovery.metadata.token_endpoint;
        let (address_space, scope) = (self.discovery.address_space, self.scope);
        let resource = self.discovery.resource_parameter();
        let message = |client: &ClientAuth<'_>| {
            assertion_request(endpoint, address_space, client, resource, scope, assertion)
        };
        self.send(message, Some(assertion.expose())).await
    }

    /// Sends a message to the token endpoint and returns the tokens in the response. An error does not repeat
    /// what was `sent`.
    pub(super) async fn send(
        &self,
        message: impl Fn(&ClientAuth<'_>) -> Request,
        sent: Option<&str>,
    ) -> Result<TokenSet, NonInteractiveGrantError> {
        let client = self.client.with_time(self.platform.clock.now())?;
        let message = self.within_deadline(message);
        let (discovery, sent) = (self.discovery, sent.as_slice());
        send(
            self.platform,
            discovery,
            &client,
            message,
            sent,
            self.proof_generator,
        )
        .await
        .map_err(NonInteractiveGrantError::Http)?
        .tokens
        .map_err(|cause| {
            let url = discovery.metadata.token_endpoint.as_url().clone();
            NonInteractiveGrantError::Response { url, cause }
        })
    }

    /// Returns the same message, which ends with this request.
    pub(super) fn within_deadline(
        &self,
        message: impl Fn(&ClientAuth<'_>) -> Request,
    ) -> impl Fn(&ClientAuth<'_>) -> Request {
        move |client| {
            let mut message = message(client);
            message.deadline = message.deadline.min(self.left());
            message
        }
    }

    /// Reads an assertion, or another token, from its source; `malformed` is the error if it is not one.
    pub(super) async fn read<T>(
        &self,
        source: &AssertionSource,
        parse: impl Fn(&str) -> Option<T>,
        malformed: AssertionErrorKind,
    ) -> Result<T, NonInteractiveGrantError> {
        let text = source.read(&*self.platform.clock, self.left()).await?;
        Ok(parse(text.expose()).ok_or_else(|| source.error(malformed))?)
    }

    fn left(&self) -> Duration {
        let now = self.platform.clock.now();
        self.end.duration_since(now).unwrap_or_default()
    }
}
