//! Device authorization (RFC 8628): the user enters a code on another device, and this client polls the
//! token endpoint for the decision.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::{
    flow::InteractiveFlow,
    request::{GrantRequest, no_grant},
    tokens::request_tokens,
};
use crate::{
    error::{AuthorizationError, Error, HttpError, HttpErrorKind},
    platform::{Clock, DevicePrompt, Platform},
    proto::{
        client_auth::ClientAuth,
        device::{self, DeviceCode, DevicePollResult, LONGEST_INTERVAL, SLOW_DOWN},
        server_metadata::ServerMetadata,
        token::TokenSet,
    },
    token_request,
};

pub(super) const NAME: &str = "device_code";

pub(super) struct DeviceCodeGrant;

#[async_trait]
impl InteractiveFlow for DeviceCodeGrant {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_offered_by(&self, server: &ServerMetadata) -> bool {
        server.device_authorization_endpoint.is_some()
    }

    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        let requested_at = platform.clock.now();
        let code = request_code(platform, &request).await?;
        let limit = Limit::of(&code, request.timeout);
        let countdown = Countdown::from(requested_at, limit.length());
        let prompt = prompt(&code, &request, requested_at + limit.length());
        let polling = poll(platform, &request, &code, countdown);
        let showing = platform.interaction.show_code(&prompt);
        tokio::pin!(polling, showing);
        // The code is shown before the first poll, even if the clock's sleep returns at once.
        let tokens = tokio::select! {
            biased;
            () = &mut showing => polling.await,
            tokens = &mut polling => tokens,
        };
        tokens?.ok_or_else(|| limit.error().into())
    }
}

/// Requests the codes.
async fn request_code(
    platform: &Platform,
    request: &GrantRequest<'_>,
) -> Result<DeviceCode, Error> {
    let discovery = request.discovery;
    let client = &request.client_now(platform)?;
    let server = &discovery.metadata;
    let endpoint = server
        .device_authorization_endpoint
        .as_ref()
        .ok_or_else(|| no_grant(request))?;
    let (address_space, resource) = (discovery.address_space, request.resource_parameter());
    let message = |client: &ClientAuth<'_>| {
        device::request(endpoint, address_space, client, resource, request.scope())
    };
    let response = token_request::send(platform, client, message, None).await?;
    let secrets: Vec<&str> = client.secrets().collect();
    device::response(&response, endpoint, address_space, &secrets).map_err(|cause| {
        let url = endpoint.as_url().clone();
        AuthorizationError::Device { url, cause }.into()
    })
}

fn prompt(code: &DeviceCode, request: &GrantRequest<'_>, expires_at: SystemTime) -> DevicePrompt {
    let at = code.verification_uri.as_url().clone();
    let complete = code.verification_uri_complete.as_ref();
    DevicePrompt {
        verification_uri_complete: complete.map(|complete| complete.as_url().clone()),
        is_third_party_host: code.is_third_party_host(request.discovery.issuer()),
        ..DevicePrompt::new(code.user_code.to_string(), at, expires_at)
    }
}

/// Polls until the user has decided; none if the time limit is reached first.
async fn poll(
    platform: &Platform,
    request: &GrantRequest<'_>,
    code: &DeviceCode,
    mut countdown: Countdown,
) -> Result<Option<TokenSet>, Error> {
    let mut pace = Pace::new(code.interval);
    while countdown.sleep(&*platform.clock, pace.wait()).await {
        let response = poll_once(platform, request, code, countdown.left).await?;
        match response {
            DevicePollResult::Tokens(tokens) => return Ok(Some(tokens)),
            DevicePollResult::Pending => pace.keep(),
            DevicePollResult::SlowDown(requested_wait) => pace.slow_down(requested_wait),
            DevicePollResult::Unavailable(requested_wait) => pace.back_off(requested_wait),
            DevicePollResult::Denied(error) => return Err(AuthorizationError::Denied(error).into()),
            DevicePollResult::Expired => return Err(AuthorizationError::CodeExpired.into()),
        }
    }
    Ok(None)
}

/// Polls once. The code is sent only to the token endpoint of the metadata that named the device
/// endpoint.
async fn poll_once(
    platform: &Platform,
    request: &GrantRequest<'_>,
    code: &DeviceCode,
    left: Duration,
) -> Result<DevicePollResult, Error> {
    let discovery = request.discovery;
    // Each poll needs its own assertion (RFC 7523 §3, `jti`).
    let client = &request.client_now(platform)?;
    let endpoint = &discovery.metadata.token_endpoint;
    let resource = discovery.resource_parameter();
    let message = |client: &ClientAuth<'_>| {
        let (address_space, code) = (discovery.address_space, &code.device_code);
        let mut message = device::poll_request(endpoint, address_space, client, resource, code);
        message.deadline = message.deadline.min(left);
        message
    };
    let (sent, proof_generator) = (
        [code.device_code.expose().as_str()],
        request.proof_generator(),
    );
    match request_tokens(
        platform,
        discovery,
        client,
        message,
        &sent,
        proof_generator,
        None,
    )
    .await
    {
        Ok(tokens) => Ok(DevicePollResult::Tokens(tokens)),
        Err(Error::TokenExchange { url, cause }) => {
            DevicePollResult::read(Err(cause)).map_err(|cause| Error::TokenExchange { url, cause })
        }
        Err(Error::Http(error)) if is_transient(&error) => Ok(DevicePollResult::Unavailable(None)),
        Err(other) => Err(other),
    }
}

/// Returns whether the same request may succeed later (RFC 8628 §3.5).
fn is_transient(error: &HttpError) -> bool {
    match error.cause {
        HttpErrorKind::Connect(_) | HttpErrorKind::Interrupted(_) | HttpErrorKind::TimedOut(_) => {
            true
        }
        HttpErrorKind::Forbidden(_)
        | HttpErrorKind::TooLarge(_)
        | HttpErrorKind::HeadTooLarge
        | HttpErrorKind::Certificate(_)
        | HttpErrorKind::CertificateRequired
        | HttpErrorKind::NotTls
        | HttpErrorKind::Setup(_)
        | HttpErrorKind::MissingDpopProof(_) => false,
    }
}

/// The limit that ends the wait: the lifetime of the code, or the timeout of the login.
#[derive(Clone, Copy)]
enum Limit {
    Code(Duration),
    Login(Duration),
}

impl Limit {
    fn of(code: &DeviceCode, timeout: Duration) -> Self {
        if timeout < code.expires_in {
            Self::Login(timeout)
        } else {
            Self::Code(code.expires_in)
        }
    }

    fn length(self) -> Duration {
        match self {
            Self::Code(length) | Self::Login(length) => length,
        }
    }

    fn error(self) -> AuthorizationError {
        match self {
            Self::Code(_) => AuthorizationError::CodeExpired,
            Self::Login(timeout) => AuthorizationError::TimedOut(timeout),
        }
    }
}

/// Counts the time that is left. A sleep counts in full even if the clock was set back meanwhile, so
/// that polling always ends.
struct Countdown {
    left: Duration,
    seen: SystemTime,
}

impl Countdown {
    fn from(start: SystemTime, length: Duration) -> Self {
        Self {
            left: length,
            seen: start,
        }
    }

    /// Sleeps, and returns whether there is time left.
    async fn sleep(&mut self, clock: &dyn Clock, wait: Duration) -> bool {
        self.spend(clock, Duration::ZERO);
        let wait = wait.min(self.left);
        clock.sleep(wait).await;
        self.spend(clock, wait);
        !self.left.is_zero()
    }

    fn spend(&mut self, clock: &dyn Clock, at_least: Duration) {
        let now = clock.now();
        let gone = now.duration_since(self.seen).unwrap_or_default();
        self.left = self.left.saturating_sub(gone.max(at_least));
        self.seen = now;
    }
}

/// Computes the wait before the next poll.
struct Pace {
    /// The regular wait. Each `slow_down` increases it permanently (RFC 8628 §3.5).
    interval: Duration,
    /// An exception from it: after each failure twice the last wait (RFC 8628 §3.5), until there is a
    /// response again; or, once, the wait that the server requested.
    next_wait: Option<Duration>,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            next_wait: None,
        }
    }

    fn wait(&self) -> Duration {
        self.next_wait.unwrap_or(self.interval)
    }

    fn keep(&mut self) {
        self.next_wait = None;
    }

    fn slow_down(&mut self, requested_wait: Option<Duration>) {
        self.interval = (self.interval + SLOW_DOWN).min(LONGEST_INTERVAL);
        let longer = requested_wait.filter(|wait| *wait > self.interval);
        self.next_wait = longer.map(|wait| wait.min(LONGEST_INTERVAL));
    }

    fn back_off(&mut self, requested_wait: Option<Duration>) {
        let longer = (self.wait() * 2).max(requested_wait.unwrap_or_default());
        self.next_wait = Some(longer.min(LONGEST_INTERVAL));
    }
}
