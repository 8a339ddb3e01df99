//! Conversion of reqwest's errors.

use std::error::Error as _;

use rustls::{AlertDescription, InvalidMessage};

use super::{address_policy::UrlPolicyError, http_error::HttpErrorKind};

/// The number of characters of a reason that are kept.
const LONGEST_REASON: usize = 200;

pub(crate) fn cause_of(error: &reqwest::Error) -> HttpErrorKind {
    for inner in causes(error) {
        if let Some(forbidden) = inner.downcast_ref::<UrlPolicyError>() {
            return HttpErrorKind::Forbidden(forbidden.clone());
        }
        if let Some(broken) = inner.downcast_ref::<hyper::Error>()
            && broken.is_parse_too_large()
        {
            return HttpErrorKind::HeadTooLarge;
        }
        match inner.downcast_ref::<rustls::Error>() {
            Some(refused @ rustls::Error::InvalidCertificate(_)) => {
                return HttpErrorKind::Certificate(escape(&refused.to_string()));
            }
            Some(rustls::Error::AlertReceived(alert)) if is_about_client_certificate(*alert) => {
                return HttpErrorKind::CertificateRequired;
            }
            // RFC 8446 §5.1: the first byte of a record is its content type, and none of them begins
            // a response of HTTP/1.1.
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                return HttpErrorKind::NotTls;
            }
            _ => {}
        }
    }
    let text = chain(error);
    if error.is_connect() {
        HttpErrorKind::Connect(text)
    } else {
        HttpErrorKind::Interrupted(text)
    }
}

/// Returns whether a server sends this alert because it requires a client certificate, or another one (RFC
/// 8446 §6.2). It has not read the request then.
fn is_about_client_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// Returns the innermost reason: the outer ones repeat "error sending request" and may hold the URL. It may
/// repeat a server's text, such as names in its certificate, so it is shortened and escaped.
pub(super) fn chain(error: &reqwest::Error) -> String {
    match causes(error).last() {
        Some(innermost) => escape(&innermost.to_string()),
        None => "the request failed".to_owned(),
    }
}

/// Returns the sources of an error. An I/O error does not report the error that it wraps as its source.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |error| {
        let error: &(dyn std::error::Error + 'static) = *error;
        let Some(io) = error.downcast_ref::<std::io::Error>() else {
            return error.source();
        };
        Some(io.get_ref()? as _)
    })
}

fn escape(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() || c == ' ';
    let shown = text.chars().take(LONGEST_REASON);
    let shown = shown.map(|c| if is_plain(c) { c } else { '?' });
    let rest = text.chars().nth(LONGEST_REASON).map(|_| "...");
    shown.chain(rest.unwrap_or_default().chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_shortened_and_escaped() {
        assert_eq!(escape("connection refused"), "connection refused");
        assert_eq!(escape("a\u{1b}[2Jb\nc\u{202e}é"), "a?[2Jb?c??");
        let long = escape(&"x".repeat(5000));
        assert_eq!(long.len(), LONGEST_REASON + 3);
    }
}
