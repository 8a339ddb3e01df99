//! Sends every request that a client authenticates: token, device authorization and revocation requests.

use std::time::Duration;

use crate::{
    dpop::{self, ProofGenerator},
    platform::{HttpError, Platform, Request, Response},
    proto::{
        client_auth::ClientAuth,
        revocation,
        token::{self, TokenError},
    },
};

/// Sends the request that `build` makes for `client`. With a `proof_generator` it carries a proof (RFC
/// 9449).
///
/// A client with `client_secret_basic` that is refused (`invalid_client`, or HTTP 401 with
/// `unauthorized_client`) is sent once more with `client_id` in the form too, within the deadline of
/// the first request. A success is remembered with the client. The servers that require it check the
/// client first, so the first request does not consume its code or refresh token.
pub(crate) async fn send<B>(
    platform: &Platform,
    client: &ClientAuth<'_>,
    build: B,
    proof_generator: Option<&ProofGenerator>,
) -> Result<Response, HttpError>
where
    B: Fn(&ClientAuth<'_>) -> Request,
{
    let client = &client.as_learned();
    let begun = platform.clock.now();
    let request = build(client);
    let deadline = request.deadline;
    let first = dpop::send_with_proof(platform, request, proof_generator).await?;
    let Some(again) = client.with_client_id_in_form() else {
        return Ok(first);
    };
    let refusal = token::refusal(&first, &[]).filter(TokenError::refuses_client);
    let spent = platform.clock.now().duration_since(begun);
    let left = deadline.saturating_sub(spent.unwrap_or_default());
    if refusal.is_none() || left.is_zero() {
        return Ok(first);
    }
    tracing::debug!("the client was refused; sending it again with `client_id` in the form");
    let mut request = build(&again);
    request.deadline = request.deadline.min(left);
    // The server may have processed a request without a response, so that failure is reported, and not
    // the first refusal.
    let second = dpop::send_with_proof(platform, request, proof_generator).await?;
    Ok(match Outcome::of(&second) {
        Outcome::Accepted => {
            again.learn();
            second
        }
        Outcome::Refused => first,
        Outcome::Unknown => second,
    })
}

/// The outcome of the second request for the client.
enum Outcome {
    /// The server has authenticated the client, even if it refused the request.
    Accepted,
    /// The client was refused again, so the first refusal is reported.
    Refused,
    /// The server failed, and may have processed the request.
    Unknown,
}

impl Outcome {
    fn of(response: &Response) -> Self {
        let Some(error) = token::refusal(response, &[]) else {
            return Self::Accepted;
        };
        match error {
            TokenError::Unavailable { .. } => Self::Unknown,
            _ if error.refuses_client() => Self::Refused,
            // RFC 6749 §5.2: a server that treats this as two authentication mechanisms responds with
            // `invalid_request`. The Python MCP SDK sends the same code for a missing field, after it
            // has authenticated the client.
            _ if error.has_code("invalid_request") && !revocation::requires_secret(response) => {
                Self::Refused
            }
            TokenError::Refused { .. } => Self::Accepted,
            TokenError::Malformed { .. }
            | TokenError::TokenTypeDowngrade
            | TokenError::NonceMismatch => Self::Refused,
        }
    }
}

/// Sends a revocation request as [`send`] does, within `deadline`. A server that requires the field
/// `client_secret` gets an empty one, once.
pub(crate) async fn revoke<B>(
    platform: &Platform,
    client: &ClientAuth<'_>,
    build: B,
    proof_generator: Option<&ProofGenerator>,
    deadline: Duration,
) -> Result<Response, HttpError>
where
    B: Fn(&ClientAuth<'_>) -> Request,
{
    let end = platform.clock.now() + deadline;
    let build = |client: &ClientAuth<'_>| {
        let left = end.duration_since(platform.clock.now()).unwrap_or_default();
        let mut request = build(client);
        request.deadline = request.deadline.min(left);
        request
    };
    let first = send(platform, client, build, proof_generator).await?;
    let again = client.as_learned().with_empty_secret();
    let Some(again) = again.filter(|_| revocation::requires_secret(&first)) else {
        return Ok(first);
    };
    if platform.clock.now() >= end {
        return Ok(first);
    }
    dpop::send_with_proof(platform, build(&again), proof_generator).await
}
