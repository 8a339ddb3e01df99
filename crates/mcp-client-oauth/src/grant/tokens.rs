//! One request to the token endpoint, and what is done with its response: tokens that cannot be used
//! are revoked.

use std::time::Duration;

use url::Url;

use crate::{
    discovery::Discovery,
    dpop::{ProofGenerator, expected_scheme},
    error::Error,
    platform::{Platform, Request, Response},
    proto::{
        client_auth::ClientAuth,
        id_token::{Nonce, NonceCheck, check_nonce},
        revocation,
        token::{self, TokenError, TokenSet},
    },
    token_request,
};

/// Says how long the revocation of tokens that cannot be used may take, before the login fails.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a token request, and reads the answer with the clock of the moment it was sent. With a
/// `prover` the tokens are bound to its key, and with a `nonce` an ID token must repeat it.
pub(super) async fn request_tokens(
    platform: &Platform,
    discovery: &Discovery,
    client: &ClientAuth<'_>,
    request: impl Fn(&ClientAuth<'_>) -> Request,
    sent: &[&str],
    prover: Option<&ProofGenerator>,
    nonce: Option<&Nonce>,
) -> Result<TokenSet, Error> {
    let url: Url = discovery.metadata.token_endpoint.as_url().clone();
    let now = platform.clock.now();
    let answer = token_request::send(platform, client, request, prover).await?;
    let answer = discovery.quirks.token_answer(answer);
    let secrets: Vec<&str> = sent.iter().copied().chain(client.secrets()).collect();
    let (quirks, issuer) = (&discovery.quirks, discovery.issuer());
    let tokens = quirks
        .tokens(issuer, &answer, now, &secrets, expected_scheme(prover))
        .and_then(|tokens| require_nonce(&answer, nonce).map(|()| tokens));
    if tokens.is_err() {
        revoke_issued(platform, discovery, client, &answer, prover).await;
    }
    tokens.map_err(|cause| Error::TokenExchange { url, cause })
}

/// Revokes what the server issued in a response that cannot be used (RFC 7009), where it takes
/// revocations: the failed login leaves no tokens alive if the server can help it. A failure here is
/// logged, and hides nothing of why the response cannot be used.
async fn revoke_issued(
    platform: &Platform,
    discovery: &Discovery,
    client: &ClientAuth<'_>,
    answer: &Response,
    prover: Option<&ProofGenerator>,
) {
    let issued = token::issued(answer);
    if issued.is_empty() {
        return;
    }
    let server = discovery.issuer();
    let Some(endpoint) = &discovery.metadata.revocation_endpoint else {
        tracing::warn!(%server, "the server has issued tokens that are not used, and revokes none");
        return;
    };
    let end = platform.clock.now() + REVOCATION_TIMEOUT;
    for (token, kind) in &issued {
        // An assertion is good for one request (RFC 7523 §3, `jti`), and the token request has had it.
        let client = &match client.with_time(platform.clock.now()) {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%server, ?kind, %error, "a token that cannot be used is still valid");
                continue;
            }
        };
        let request = |client: &ClientAuth<'_>| {
            revocation::request(endpoint, discovery.reach, client, token.expose(), *kind)
        };
        let left = end.duration_since(platform.clock.now()).unwrap_or_default();
        let revoked = match token_request::revoke(platform, client, request, prover, left).await {
            Ok(answer) => {
                let secrets: Vec<&str> =
                    client.secrets().chain([token.expose().as_str()]).collect();
                revocation::response(&answer, &secrets).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match revoked {
            Ok(()) => tracing::warn!(%server, ?kind, "a token that cannot be used was revoked"),
            Err(error) => {
                tracing::warn!(%server, ?kind, %error, "a token that cannot be used is still valid");
            }
        }
    }
}

/// Refuses an ID token of another login (OpenID Connect Core §3.1.3.7, rule 11).
///
/// A response without an ID token, or with one that has no nonce or cannot be read, is accepted:
/// an attacker gains nothing by it, because PKCE binds the code to this login (RFC 9700 §2.1.1) and
/// nothing is read from the ID token.
fn require_nonce(answer: &Response, nonce: Option<&Nonce>) -> Result<(), TokenError> {
    match nonce.map(|nonce| check_nonce(answer, nonce)) {
        Some(NonceCheck::Differs) => Err(TokenError::NonceMismatch),
        None | Some(NonceCheck::Matches) => Ok(()),
        Some(found) => {
            tracing::debug!(?found, "the nonce of this login was not confirmed");
            Ok(())
        }
    }
}
