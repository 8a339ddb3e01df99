//! The leniencies that the client applies without a flag, as they appear in the requests.

use http::header;

use crate::wire::Exchange;

/// Returns the leniencies that the server needed, in words for the table.
pub(crate) fn needed<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Vec<&'static str> {
    let mut found = Vec::new();
    for exchange in exchanges
        .into_iter()
        .filter(|exchange| exchange.status.is_success())
    {
        found.extend(in_one(exchange));
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn in_one(exchange: &Exchange) -> Option<&'static str> {
    let sent = exchange.sent_json();
    if exchange.is_registration() {
        let is_public = sent["token_endpoint_auth_method"] == "none";
        return (is_public && exchange.member("client_secret").is_some())
            .then_some("registration: it returns a secret that was not requested");
    }
    if exchange.form("token").is_some() && exchange.form("client_secret").as_deref() == Some("") {
        return Some("revocation: an empty `client_secret`, which it demands of public clients");
    }
    let has_header = exchange
        .request_headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| {
            value
                .to_str()
                .is_ok_and(|value| value.starts_with("Basic "))
        });
    (has_header && exchange.form("client_id").is_some())
        .then_some("`client_id` in the form beside Basic, after it refused Basic alone")
}
