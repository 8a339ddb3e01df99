//! The listener of a login, over raw TCP: whom it turns away, and how little it says (H58-H62).

use std::time::Duration;

use mcp_client_oauth::LoginOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Fixture, Person, Waiting, approve, bounded};

/// Eight KiB, and a bit.
const TOO_MUCH: usize = 8 * 1024 + 100;

async fn waiting() -> (Fixture, Waiting) {
    let fixture = Fixture::start().await.for_person(Person::who_waits());
    let waiting = fixture.begin(LoginOptions::default()).await;
    (fixture, waiting)
}

/// Sends what is given and reads to the end.
async fn raw(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // The listener may have hung up before it has read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut response = Vec::new();
    let _ = bounded(stream.read_to_end(&mut response)).await;
    String::from_utf8(response).unwrap()
}

/// A request with these extra header lines.
async fn ask(port: u16, line: &str, host: &str, headers: &str) -> String {
    raw(
        port,
        &format!("{line} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"),
    )
    .await
}

fn status(response: &str) -> u16 {
    response
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

/// The person decides after all, and the login has taken no harm.
async fn goes_on(waiting: Waiting) {
    let pages = approve(waiting.url.clone()).await;
    assert_eq!(pages.last().unwrap().status, 200);
    waiting.ended().await.unwrap();
}

#[tokio::test]
async fn a_foreign_name_for_this_machine_is_turned_away() {
    let (_fixture, waiting) = waiting().await;
    let port = waiting.port();
    let other = port ^ 1;
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1:{other}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1.evil.example:{port}"),
        format!("user@127.0.0.1:{port}"),
        String::new(),
    ] {
        let response = ask(port, "GET /callback?code=1&state=x", &host, "").await;
        assert_eq!(status(&response), 421, "{host}: {response}");
    }
    let nameless = raw(port, "GET /callback?code=1&state=x HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&nameless), 421);
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(
            status(&ask(port, "GET /callback", &host, "").await),
            400,
            "{host}"
        );
    }
    goes_on(waiting).await;
}

#[tokio::test]
async fn only_a_navigation_to_the_callback_is_answered() {
    let (_fixture, waiting) = waiting().await;
    let host = format!("127.0.0.1:{}", waiting.port());
    for (line, headers, expected) in [
        (
            "POST /callback?code=1&state=x",
            "Content-Length: 0\r\n",
            405,
        ),
        ("PUT /callback?code=1&state=x", "Content-Length: 0\r\n", 405),
        ("OPTIONS /callback", "", 405),
        ("HEAD /callback", "", 405),
        (
            "GET /callback?code=1&state=x",
            "Sec-Fetch-Mode: no-cors\r\n",
            405,
        ),
        (
            "GET /callback?code=1&state=x",
            "Sec-Fetch-Mode: cors\r\n",
            405,
        ),
        (
            "GET /callback?code=1&state=x",
            "Sec-Fetch-Mode: navigate\r\n",
            400,
        ),
        ("GET /callback?code=1&state=x", "", 400),
        ("GET /favicon.ico", "", 404),
        ("GET /", "", 404),
        ("GET /callback/", "", 404),
        ("GET /callback/../callback/x", "", 404),
        ("GET /CALLBACK", "", 404),
        ("GET //callback", "", 404),
    ] {
        let response = ask(waiting.port(), line, &host, headers).await;
        assert_eq!(status(&response), expected, "{line} {headers}: {response}");
    }
    goes_on(waiting).await;
}

#[tokio::test]
async fn a_page_is_the_same_whatever_was_sent() {
    let (_fixture, waiting) = waiting().await;
    let host = format!("127.0.0.1:{}", waiting.port());
    let payloads = [
        "<script>alert(1)</script>",
        "\"><img%20src=x%20onerror=alert(1)>",
        "'-alert(1)-'",
        "</style><script>alert(1)</script>",
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "javascript:alert(1)",
        "<svg/onload=alert(1)>",
        "<iframe%20src=//evil>",
        "${alert(1)}",
        "{{7*7}}",
        "<!--",
        "]]>",
        "%00<script>",
        "%0d%0aX-Evil:%201",
        "%E2%80%AE<b>",
        "&lt;script&gt;",
        "+ADw-script+AD4-",
        "<base%20href=//evil>",
        "<meta%20http-equiv=refresh>",
        "%ff%fe<x>",
    ];
    let mut pages = Vec::new();
    for payload in payloads {
        let encoded: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        for line in [
            format!("GET /callback?error={payload}&error_description={payload}&state=x"),
            format!("GET /callback?error={encoded}&error_description={encoded}&state=x"),
            format!("GET /callback?code={encoded}&state={encoded}"),
        ] {
            let referer = format!("Referer: {payload}\r\n");
            let response = ask(waiting.port(), &line, &host, &referer).await;
            assert_eq!(status(&response), 400, "{line}: {response}");
            assert!(!response.to_lowercase().contains("x-evil"), "{response}");
            // What no browser would send is no HTTP, and gets no page at all.
            pages.extend(Some(body(&response).to_owned()).filter(|page| !page.is_empty()));
        }
    }
    assert!(pages.len() > 20, "{}", pages.len());
    pages.dedup();
    assert_eq!(pages.len(), 1);
    goes_on(waiting).await;
}

#[tokio::test]
async fn every_page_forbids_scripts_frames_copies_and_referrers() {
    let (fixture, waiting) = waiting().await;
    let host = format!("127.0.0.1:{}", waiting.port());
    let mut responses = Vec::new();
    for line in [
        "GET /callback",
        "GET /x",
        "POST /callback",
        "GET /callback/done",
        "GET /callback/denied",
    ] {
        responses.push(ask(waiting.port(), line, &host, "").await);
    }
    responses.push(ask(waiting.port(), "GET /callback", "evil.example", "").await);
    for response in responses {
        let head = response.split_once("\r\n\r\n").unwrap().0.to_lowercase();
        for line in [
            "cache-control: no-store",
            "content-security-policy: default-src 'none'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "content-type: text/html; charset=utf-8",
        ] {
            assert!(head.contains(line), "{line}: {head}");
        }
        assert!(!body(&response).contains("<script"), "{response}");
    }
    goes_on(waiting).await;
    assert_eq!(fixture.testbed.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn the_last_page_has_no_code_in_its_url() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let pages = fixture.person.pages().await;
    let [callback, last] = &pages[..] else {
        panic!("{pages:?}")
    };
    assert_eq!((callback.status, callback.body.as_str()), (303, ""));
    assert_eq!(
        (last.status, last.url.query(), last.url.path()),
        (200, None, "/callback/done")
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (_fixture, waiting) = waiting().await;
    let host = format!("127.0.0.1:{}", waiting.port());
    let padding = format!("X-Padding: {}\r\n", "x".repeat(TOO_MUCH));
    let long = format!("GET /callback?code={}", "x".repeat(TOO_MUCH));
    let responses = [
        ask(waiting.port(), "GET /callback", &host, &padding).await,
        ask(waiting.port(), &long, &host, "").await,
    ];
    for response in responses {
        assert!([0, 414, 431].contains(&status(&response)), "{response}");
    }
    for nonsense in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "GET /callback HTTP/9.9\r\n\r\n",
    ] {
        let response = raw_half(waiting.port(), nonsense).await;
        assert!(
            [0, 400, 505].contains(&status(&response)),
            "{nonsense:?}: {response}"
        );
    }
    goes_on(waiting).await;
}

/// As [`raw`], and nothing more will come.
async fn raw_half(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.shutdown().await;
    let mut response = Vec::new();
    let _ = bounded(stream.read_to_end(&mut response)).await;
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn a_flood_of_slow_connections_does_not_keep_the_browser_out() {
    let (_fixture, waiting) = waiting().await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(("127.0.0.1", waiting.port()))
            .await
            .unwrap();
        // One that was ended for a newer one may be closed by now.
        let _ = stream.write_all(b"GET /callback?co").await;
        idle.push(stream);
    }
    // The oldest was ended for a newer one, and not by the clock.
    let mut rest = Vec::new();
    let end = idle[0].read_to_end(&mut rest);
    assert!(
        tokio::time::timeout(Duration::from_secs(2), end)
            .await
            .is_ok()
    );
    goes_on(waiting).await;
    drop(idle);
}

#[tokio::test]
async fn every_connection_ends_with_the_login() {
    let (_fixture, waiting) = waiting().await;
    let mut idle = TcpStream::connect(("127.0.0.1", waiting.port()))
        .await
        .unwrap();
    goes_on(waiting).await;
    let mut rest = Vec::new();
    let read = bounded(idle.read_to_end(&mut rest)).await;
    assert!(read.is_err() || rest.is_empty());
}
