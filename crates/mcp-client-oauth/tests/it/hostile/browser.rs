//! A browser that goes where a case sends it, over raw TCP: nothing is put in order on the way.

use mcp_oauth_testbed::test_user::{Decision, decide};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Url, form_urlencoded};

use super::words::Words;
use crate::support::parameter;

/// What the browser was shown.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// Approves, and then goes to each of `callbacks`: `honest` is the true one; what begins with `?`
/// is a query for its place; anything else is a request, as it goes over the wire.
pub(super) async fn walk(url: &Url, callbacks: &[String], mut words: Words) -> Vec<Page> {
    let honest = decide(url, Decision::Approve).await.unwrap();
    let port = honest.port().unwrap();
    words.set("port", port.to_string());
    words.set("path", honest.path());
    for name in ["state", "code", "iss"] {
        let value = honest.query_pairs().find(|(key, _)| key == name);
        let value = value
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        words.set(name, encoded);
    }
    words.set("upper-state", parameter(url, "state").to_uppercase());
    let mut pages = Vec::new();
    for callback in callbacks {
        let target = match callback.as_str() {
            "honest" => Some(honest[url::Position::BeforePath..].to_owned()),
            query if query.starts_with('?') => {
                Some(format!("{}{}", honest.path(), words.fill(query)))
            }
            _ => None,
        };
        let request = match &target {
            Some(target) => format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
            None => words.fill(callback),
        };
        let Some(page) = ask(port, &request).await else {
            continue;
        };
        let next = page.location();
        pages.push(page);
        if let Some(next) = next {
            let request = format!("GET {next} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            pages.extend(ask(port, &request).await);
        }
    }
    pages
}

/// Sends a request and reads to the end; nothing if nobody is there, or nothing is said.
async fn ask(port: u16, request: &str) -> Option<Page> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    // Who hangs up before the end has heard enough.
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
