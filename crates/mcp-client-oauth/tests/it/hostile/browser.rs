//! A browser that sends the callbacks of a case over raw TCP, without any normalization.

use mcp_oauth_testbed::test_user::{Decision, decide};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Url, form_urlencoded};

use super::placeholders::Placeholders;
use crate::support::parameter;

/// A response that the browser received.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// Approves, and then sends each of `callbacks`: `honest` is the real one; a text that begins with `?`
/// is a query for the redirect URI; any other is a complete request.
pub(super) async fn walk(
    url: &Url,
    callbacks: &[String],
    mut placeholders: Placeholders,
) -> Vec<Page> {
    let honest = decide(url, Decision::Approve).await.unwrap();
    let port = honest.port().unwrap();
    placeholders.set("port", port.to_string());
    placeholders.set("path", honest.path());
    for name in ["state", "code", "iss"] {
        let value = honest.query_pairs().find(|(key, _)| key == name);
        let value = value
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        placeholders.set(name, encoded);
    }
    placeholders.set("upper-state", parameter(url, "state").to_uppercase());
    let mut pages = Vec::new();
    for callback in callbacks {
        let target = match callback.as_str() {
            "honest" => Some(honest[url::Position::BeforePath..].to_owned()),
            query if query.starts_with('?') => {
                Some(format!("{}{}", honest.path(), placeholders.fill(query)))
            }
            _ => None,
        };
        let request = match &target {
            Some(target) => format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            None => placeholders.fill(callback),
        };
        let Some(page) = send(port, &request).await else {
            continue;
        };
        let next = page.location();
        pages.push(page);
        if let Some(next) = next {
            let request = format!("GET {next} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            pages.extend(send(port, &request).await);
        }
    }
    pages
}

/// Sends a request and reads the response to its end; returns none without a response.
async fn send(port: u16, request: &str) -> Option<Page> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    // The server may close the connection before the end.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8_lossy(&response);
    let (head, body) = response.split_once("\r\n\r\n")?;
    Some(Page {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

impl Page {
    fn location(&self) -> Option<String> {
        let mut lines = self.head.lines();
        lines.find_map(|line| Some(line.strip_prefix("location: ")?.to_owned()))
    }
}
