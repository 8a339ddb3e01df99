//! Errors of an HTTP request.

use std::time::Duration;

use url::Url;

use super::{address_policy::UrlPolicyError, without_query::without_query};

/// The network failed before there was a response.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no response from {url}: {cause}")]
#[non_exhaustive]
pub struct HttpError {
    /// The URL of the request, without its query.
    pub url: Url,
    /// The reason.
    #[source]
    pub cause: HttpErrorKind,
}

/// Says why there is no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// The network policy forbids the URL, or the address that its name resolves to.
    #[error(transparent)]
    Forbidden(#[from] UrlPolicyError),
    /// The request was never sent: no such host, connection refused, no version of TLS in common.
    #[error("cannot connect ({0})")]
    Connect(String),
    /// The request was never sent: the server's certificate is invalid for it.
    #[error("the server certificate is not accepted ({0})")]
    Certificate(String),
    /// The request was never sent: the server does not speak TLS at that port. The URL has `https`, for
    /// example, and the server speaks `http`.
    #[error("the server does not speak TLS at this port")]
    NotTls,
    /// The server did not read the request: it requires a client certificate, and there is none or not
    /// one that it accepts.
    #[error("the server requires a client certificate that it accepts")]
    CertificateRequired,
    /// The request was sent, and the connection broke before the end of the response.
    #[error("the connection broke ({0})")]
    Interrupted(String),
    /// The time limit of the request was exceeded.
    #[error("no complete response within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// The response exceeds the size limit.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// The head of the response has too many or too long lines.
    #[error("the head of the response is too large")]
    HeadTooLarge,
    /// The HTTP client could not be built, or the request could not.
    #[error("cannot set up the HTTP client ({0})")]
    Setup(String),
    /// The request was never sent, because it needs a proof of possession and there is none.
    #[error("not sent: {0}")]
    MissingDpopProof(String),
}

impl HttpError {
    /// Creates an error at `url`. The query is removed.
    pub fn new(url: &Url, cause: HttpErrorKind) -> Self {
        Self {
            url: without_query(url),
            cause,
        }
    }

    /// Returns whether one side did not accept the certificate of the other.
    pub(crate) fn is_about_certificates(&self) -> bool {
        matches!(
            self.cause,
            HttpErrorKind::Certificate(_) | HttpErrorKind::CertificateRequired
        )
    }

    /// Returns whether the request certainly did not reach the server, so that it may be sent again.
    pub fn never_sent(&self) -> bool {
        matches!(
            self.cause,
            HttpErrorKind::Connect(_)
                | HttpErrorKind::Certificate(_)
                | HttpErrorKind::CertificateRequired
                | HttpErrorKind::NotTls
                | HttpErrorKind::MissingDpopProof(_)
        )
    }
}
