//! The direct refusal of an authorization endpoint that does not know the client, or not with this
//! redirect URI (RFC 6749 §4.1.2.1): the server "MUST NOT automatically redirect the user-agent", so
//! the client can detect it only if it sends the request itself.

use super::oauth_error::OAuthErrorResponse;
use crate::platform::Response;

/// The error codes that name the client, whatever the status is.
const NAME_THE_CLIENT: [&str; 2] = ["invalid_client", "unauthorized_client"];
/// The error codes that may mean the client: the Python MCP SDK sends `invalid_request`.
const MAY_MEAN_THE_CLIENT: [&str; 2] = ["invalid_request", "invalid_redirect_uri"];

/// Returns whether `response` refuses the client of an authorization request.
///
/// A redirect is never a refusal: it leads to a login page, or returns an error to the redirect URI.
/// Neither is a 401, 403 or 404 without an OAuth error: a server that requires the browser to
/// authenticate, a firewall and a proxy send these to any client. Nor is a 400 with a page that does
/// not mention a client. If these counted as refusals, every login would register one more client.
pub(crate) fn refuses_client(response: &Response) -> bool {
    if !response.status.is_client_error() {
        return false;
    }
    let status = response.status.as_u16();
    match OAuthErrorResponse::parse(&response.body) {
        Some(error) => {
            let is_one_of = |codes: &[&str]| codes.iter().any(|code| error.has_code(code));
            is_one_of(&NAME_THE_CLIENT)
                || (matches!(status, 400 | 401) && is_one_of(&MAY_MEAN_THE_CLIENT))
        }
        // An error page: FastMCP's OAuthProxy shows one to browsers.
        None => status == 400 && may_name_the_client(&response.body),
    }
}

fn may_name_the_client(page: &[u8]) -> bool {
    let name = b"client";
    let is_named = |part: &[u8]| part.eq_ignore_ascii_case(name);
    page.is_empty() || page.windows(name.len()).any(is_named)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        Response::new(status, HeaderMap::new(), body.to_owned())
    }

    /// The responses of real servers to a request of an unknown client.
    #[test]
    fn the_refusals_of_real_servers_are_recognized() {
        for (name, status, body) in [
            (
                "mcp (Python) 2.3.0",
                400,
                r#"{"error":"invalid_request","error_description":"Client ID '70a8f0c4' not found","state":"s"}"#,
            ),
            (
                "@modelcontextprotocol/sdk 1.32.2",
                400,
                r#"{"error":"invalid_client","error_description":"Invalid client_id"}"#,
            ),
            (
                "fastmcp 4.2.3 (OAuthProxy)",
                400,
                "\n    <!DOCTYPE html>\n    <html lang=\"en\">\n    <h1>Client Not Registered</h1>",
            ),
        ] {
            assert!(refuses_client(&response(status, body)), "{name}");
        }
        assert!(refuses_client(&response(400, "")), "it says nothing else");
    }

    #[test]
    fn a_response_that_does_not_mention_the_client_is_no_refusal() {
        for (status, body) in [
            (200, r#"{"error":"invalid_client"}"#),
            (302, r#"{"error":"invalid_client"}"#),
            (303, ""),
            (400, r#"{"error":"invalid_scope"}"#),
            (400, r#"{"error":"invalid_target"}"#),
            (400, r#"{"error":"unsupported_response_type"}"#),
            (400, "<html><title>400 Bad Request</title>"),
            (400, "Unsupported browser"),
            (401, ""),
            (401, "<html>Log in</html>"),
            (403, "<html>Attention Required!</html>"),
            (403, r#"{"error":"invalid_request"}"#),
            (404, "not here"),
            (405, ""),
            (408, ""),
            (429, r#"{"error":"invalid_request"}"#),
            (500, r#"{"error":"invalid_client"}"#),
            (503, ""),
        ] {
            assert!(!refuses_client(&response(status, body)), "{status} {body}");
        }
    }
}
