//! The listener of a login, over raw TCP: which requests it rejects (DNS rebinding, Fetch Metadata),
//! and that its pages repeat nothing of the request (RFC 9700 §4.2.4).

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Fixture, PendingLogin, TestUser, approve, bounded};

/// A little more than the limit of 8 KiB, in bytes.
const OVERSIZED: usize = 8 * 1024 + 100;

async fn pending_login() -> (Fixture, PendingLogin) {
    let fixture = Fixture::start().await.with_user(TestUser::idle());
    let waiting = fixture.start_login(|login| login).await;
    (fixture, waiting)
}

/// Sends `request` and reads the response to its end.
async fn send_raw(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // The listener may have closed the connection before it has read the whole request.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut response = Vec::new();
    let _ = bounded(stream.read_to_end(&mut response)).await;
    String::from_utf8(response).unwrap()
}

/// Sends a request with these extra header lines.
async fn request(port: u16, line: &str, host: &str, headers: &str) -> String {
    send_raw(
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

/// Asserts that the login is still pending: the user decides, and it succeeds.
async fn assert_still_pending(waiting: PendingLogin) {
    let pages = approve(waiting.url.clone()).await;
    assert_eq!(pages.last().unwrap().status, 200);
    waiting.finish().await.unwrap();
}

#[tokio::test]
async fn a_request_with_another_host_header_is_rejected() {
    let (_fixture, waiting) = pending_login().await;
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
        let response = request(port, "GET /callback?code=1&state=x", &host, "").await;
        assert_eq!(status(&response), 421, "{host}: {response}");
    }
    let nameless = send_raw(port, "GET /callback?code=1&state=x HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&nameless), 421);
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(
            status(&request(port, "GET /callback", &host, "").await),
            400,
            "{host}"
        );
    }
    assert_still_pending(waiting).await;
}

#[tokio::test]
async fn only_a_get_of_the_callback_path_is_accepted() {
    let (_fixture, waiting) = pending_login().await;
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
        let response = request(waiting.port(), line, &host, headers).await;
        assert_eq!(status(&response), expected, "{line} {headers}: {response}");
    }
    assert_still_pending(waiting).await;
}

#[tokio::test]
async fn the_page_does_not_depend_on_the_request() {
    let (_fixture, waiting) = pending_login().await;
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
            let response = request(waiting.port(), &line, &host, &referer).await;
            assert_eq!(status(&response), 400, "{line}: {response}");
            assert!(!response.to_lowercase().contains("x-evil"), "{response}");
            // A request that is not HTTP, and that no browser sends, gets no page.
            pages.extend(Some(body(&response).to_owned()).filter(|page| !page.is_empty()));
        }
    }
    assert!(pages.len() > 20, "{}", pages.len());
    pages.dedup();
    assert_eq!(pages.len(), 1);
    assert_still_pending(waiting).await;
}

#[tokio::test]
async fn every_page_forbids_scripts_frames_caching_and_referrers() {
    let (fixture, waiting) = pending_login().await;
    let host = format!("127.0.0.1:{}", waiting.port());
    let mut responses = Vec::new();
    for line in [
        "GET /callback",
        "GET /x",
        "POST /callback",
        "GET /callback/done",
        "GET /callback/denied",
    ] {
        responses.push(request(waiting.port(), line, &host, "").await);
    }
    responses.push(request(waiting.port(), "GET /callback", "evil.example", "").await);
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
    assert_still_pending(waiting).await;
    assert_eq!(fixture.testbed.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn the_last_page_has_no_code_in_its_url() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let pages = fixture.user.pages().await;
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
async fn an_oversized_request_head_is_rejected() {
    let (_fixture, waiting) = pending_login().await;
    let host = format!("127.0.0.1:{}", waiting.port());
    let padding = format!("X-Padding: {}\r\n", "x".repeat(OVERSIZED));
    let long = format!("GET /callback?code={}", "x".repeat(OVERSIZED));
    let responses = [
        request(waiting.port(), "GET /callback", &host, &padding).await,
        request(waiting.port(), &long, &host, "").await,
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
        let response = send_partial(waiting.port(), nonsense).await;
        assert!(
            [0, 400, 505].contains(&status(&response)),
            "{nonsense:?}: {response}"
        );
    }
    assert_still_pending(waiting).await;
}

/// Sends as [`send_raw`], and then nothing more.
async fn send_partial(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.shutdown().await;
    let mut response = Vec::new();
    let _ = bounded(stream.read_to_end(&mut response)).await;
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn slow_connections_do_not_block_the_browser() {
    let (_fixture, waiting) = pending_login().await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(("127.0.0.1", waiting.port()))
            .await
            .unwrap();
        // A connection that was replaced by a newer one may be closed already.
        let _ = stream.write_all(b"GET /callback?co").await;
        idle.push(stream);
    }
    // The oldest connection was closed for a newer one, not by the timeout.
    let mut rest = Vec::new();
    let end = idle[0].read_to_end(&mut rest);
    assert!(
        tokio::time::timeout(Duration::from_secs(2), end)
            .await
            .is_ok()
    );
    assert_still_pending(waiting).await;
    drop(idle);
}

#[tokio::test]
async fn every_connection_closes_with_the_login() {
    let (_fixture, waiting) = pending_login().await;
    let mut idle = TcpStream::connect(("127.0.0.1", waiting.port()))
        .await
        .unwrap();
    assert_still_pending(waiting).await;
    let mut rest = Vec::new();
    let read = bounded(idle.read_to_end(&mut rest)).await;
    assert!(read.is_err() || rest.is_empty());
}
