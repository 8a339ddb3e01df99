//! Why there is no response.

use std::time::Duration;

use url::Url;

use super::{address_policy::UrlPolicyError, without_query::without_query};

/// The network failed before there was a response.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no answer from {url}: {cause}")]
#[non_exhaustive]
pub struct HttpError {
    /// Says where the request went, without its query.
    pub url: Url,
    /// Says why nothing came back.
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
    /// The request was never sent: the server's certificate does not prove who it is.
    #[error("the certificate of the server is not accepted ({0})")]
    Certificate(String),
    /// The request was never sent: what listens at that port does not speak TLS, as where `https` is
    /// written and the server is on `http`.
    #[error("the server does not speak TLS at this port")]
    NotTls,
    /// The request was not read: the server wants to see a certificate of the client's, and there is
    /// none, or not one that it takes.
    #[error("the server wants a certificate of the client that it accepts")]
    CertificateRequired,
    /// The request was sent, and the connection broke before the whole answer was here.
    #[error("the connection broke ({0})")]
    Interrupted(String),
    /// The time for the request was over.
    #[error("no complete answer within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// More came than was asked for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The head of the answer has more lines, or longer ones, than any honest one (H15).
    #[error("the head of the answer is too large")]
    HeadTooLarge,
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot start ({0})")]
    Setup(String),
    /// The request was never sent, because it needs a proof of possession and there is none.
    #[error("not sent: {0}")]
    Unproven(String),
}

impl HttpError {
    /// An error at `url`, whose query is dropped.
    pub fn new(url: &Url, cause: HttpErrorKind) -> Self {
        Self {
            url: without_query(url),
            cause,
        }
    }

    /// Returns whether one side does not accept the certificate of the other.
    pub fn is_about_certificates(&self) -> bool {
        matches!(
            self.cause,
            HttpErrorKind::Certificate(_) | HttpErrorKind::CertificateRequired
        )
    }

    /// Returns whether the request surely did not reach the server, so that it may be sent again.
    pub fn never_sent(&self) -> bool {
        matches!(
            self.cause,
            HttpErrorKind::Connect(_)
                | HttpErrorKind::Certificate(_)
                | HttpErrorKind::CertificateRequired
                | HttpErrorKind::NotTls
                | HttpErrorKind::Unproven(_)
        )
    }
}
