//! The hints for a failure with only its remedy, and for the network.

use mcp_client_oauth::{
    Remedy, ServerUrl,
    error::{HttpError, HttpErrorKind},
};
use url::Url;

use super::subject::Subject;
use crate::servers::is_loopback;

pub(super) fn general_hint(remedy: Remedy, subject: &Subject) -> String {
    match remedy {
        Remedy::LogIn => subject.login().to_string(),
        Remedy::Retry => "try the same command again later".to_owned(),
        Remedy::ContactServerOperator => {
            "contact the operator of the server; -v shows each step".to_owned()
        }
        _ => format!("see `mcp-oauth login --help`, then: {}", subject.login()),
    }
}

pub(super) fn network_hint(error: &HttpError, remedy: Remedy, subject: &Subject) -> String {
    match &error.cause {
        HttpErrorKind::Connect(_) => "check the URL and the network, then try again".to_owned(),
        HttpErrorKind::NotTls => plain_http_hint(&error.url, subject),
        HttpErrorKind::Certificate(_) => {
            "if an authority of your own network signed it, run the same command with --ca-cert FILE; \
             else contact the operator of the server"
                .to_owned()
        }
        HttpErrorKind::CertificateRequired => {
            "run the same command with --client-cert FILE, and --client-key FILE for its key".to_owned()
        }
        _ => general_hint(remedy, subject),
    }
}

/// Returns the hint for a server without TLS. Plain http is proposed only for the server itself and on this
/// machine: elsewhere the network could read the token.
fn plain_http_hint(at: &Url, subject: &Subject) -> String {
    let server = subject
        .server_url()
        .filter(|server| is_loopback(server.as_url()));
    let plain = server.filter(|server| server.as_url().origin() == at.origin());
    let plain = plain.and_then(|server| {
        let text = server.as_str().strip_prefix("https://")?;
        format!("http://{text}").parse::<ServerUrl>().ok()
    });
    match plain {
        Some(url) => format!(
            "if the server on this machine has no TLS: {}",
            subject.login_at(&url)
        ),
        None => "check the port in the URL: it must serve https".to_owned(),
    }
}
