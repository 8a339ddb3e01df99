//! The forwarding over stdio, and the end of the proxy (`docs/hostile.md` H163 to H165).

use std::time::Duration;

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, ProtocolEra, ResponseForm, Testbed};
use serde_json::json;

use super::{App, add, call, initialize, request, sum};
use crate::{
    signals,
    support::{Home, bounded},
};

#[tokio::test]
async fn a_message_is_forwarded_unchanged_with_the_token() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    let odd = r#"{ "id" : "\u0061/b", "method":"no/such",	"x":[1.50E+2,{"k":1,"k":2}],"params":{"_":"\u0000"} ,"jsonrpc":"2.0"}"#;
    app.write(format!("{odd}\n")).await;
    let response = app.response(&json!("a/b")).await;
    assert_eq!(response["error"]["code"], -32601);
    let sent = home.testbed.requests();
    let sent = sent.iter().rfind(|sent| sent.method == "POST").unwrap();
    assert_eq!(String::from_utf8(sent.body.clone()).unwrap(), odd);
    assert!(sent.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(sent.header("mcp-protocol-version"), Some("2025-11-25"));
    assert!(sent.header("mcp-session-id").is_some());
    assert_eq!(app.close().await, 0);
    assert_eq!(home.testbed.count(Peer::Mcp, "DELETE", "/mcp"), 1);
}

#[tokio::test]
async fn a_response_of_several_lines_is_written_as_one() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    // The testbed's event streams write each message in several lines, with a notification before it.
    let response = app.request(&add(1)).await;
    assert_eq!(sum(&response), Some(2));
    app.notification("notifications/message").await;
}

#[tokio::test]
async fn the_stateless_revision_gets_its_headers() {
    let home = Home::with(
        Testbed::builder()
            .protocol_era(ProtocolEra::Stateless)
            .response_form(ResponseForm::Json),
    )
    .await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let mut app = App::start(&home, &[]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    let discover = request(1, "server/discover", &json!({"_meta": meta}));
    let response = app.request(&discover).await;
    assert_eq!(
        response["result"]["supportedVersions"],
        json!(["2026-07-28"])
    );
    let params = json!({"name": "add", "arguments": {"a": 1, "b": 2}, "_meta": meta});
    let response = app.request(&request(2, "tools/call", &params)).await;
    assert_eq!(sum(&response), Some(3));
    let sent = home.testbed.requests().pop().unwrap();
    assert_eq!(sent.header("mcp-name"), Some("add"));
    // An argument that the tool requests in a header.
    let schema = json!({"properties": {"a": {"type": "number", "x-mcp-header": "First"}}});
    let listed = json!({"tools": [{"name": "add", "inputSchema": schema}]});
    let listed = json!({"jsonrpc": "2.0", "id": 4, "result": listed});
    home.testbed.set_fault(Fault::Corrupt(
        Endpoint::Mcp,
        Corruption::Raw {
            content_type: "application/json".to_owned(),
            body: listed.to_string().into_bytes(),
        },
    ));
    app.request(&request(4, "tools/list", &json!({"_meta": meta})))
        .await;
    home.testbed.clear_faults();
    app.request(&request(5, "tools/call", &params)).await;
    let sent = home.testbed.requests().pop().unwrap();
    assert_eq!(sent.header("mcp-param-first"), Some("1"));
    // The server's error for an unknown method is forwarded, although the status is 404.
    let response = app
        .request(&request(3, "no/such", &json!({"_meta": meta})))
        .await;
    assert_eq!(response["error"]["code"], -32601);
    assert_eq!(app.close().await, 0);
}

#[tokio::test]
async fn an_invalid_message_gets_an_error_and_the_next_ones_work() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    for (line, code) in [
        (&b"{\n"[..], -32700),
        (b"\xff\xfe\n", -32700),
        (b"\0\n", -32700),
        (b"7\n", -32600),
        (b"{\"id\":1}\n", -32600),
    ] {
        app.write(line).await;
        let error = app.response(&json!(null)).await;
        assert_eq!(error["error"]["code"], code, "{}", line.escape_ascii());
    }
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
}

#[tokio::test]
async fn a_line_that_is_too_long_gets_an_error_and_the_next_one_works() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..80 {
        app.write(&piece).await;
    }
    app.write("\n").await;
    let error = app.response(&json!(null)).await;
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("64 MiB")
    );
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
}

#[tokio::test]
async fn concurrent_calls_get_their_own_responses() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    for id in 1..=300 {
        app.send(&add(id)).await;
    }
    for id in (1..=300).rev() {
        assert_eq!(sum(&app.response(&json!(id)).await), Some(id + 1));
    }
}

#[tokio::test]
async fn a_response_without_a_pending_request_is_dropped() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    let strange = "data: {\"id\":77,\"result\":{}}\n\ndata: no json\n\n\
                   data: {\"id\":5,\"result\":1}\n\ndata: {\"id\":5,\"result\":2}\n\n";
    home.testbed.set_fault(Fault::Corrupt(
        Endpoint::Mcp,
        Corruption::Raw {
            content_type: "text/event-stream".to_owned(),
            body: strange.into(),
        },
    ));
    assert_eq!(app.request(&add(5)).await["result"], 1);
    home.testbed.clear_faults();
    app.send(&add(6)).await;
    let line = app.line().await;
    assert!(line.contains("notifications/message"), "{line}");
}

#[tokio::test]
async fn a_tool_can_be_hidden() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &["--ignore-tool", "write_*"]).await;
    let list = app.request(&request(1, "tools/list", &json!({}))).await;
    let names = list["result"]["tools"].as_array().unwrap();
    assert!(names.len() == 3 && !list.to_string().contains("write_note"));
    let refused = app
        .request(&call(2, "write_note", &json!({"text": "x"})))
        .await;
    assert_eq!(refused["error"]["code"], -32602);
    let batch = json!([add(3), call(4, "write_note", &json!({"text": "x"}))]);
    app.send(&batch).await;
    for id in [3, 4] {
        assert_eq!(app.response(&json!(id)).await["error"]["code"], -32602);
    }
    assert_eq!(home.testbed.notes().len(), 1);
}

#[tokio::test]
async fn a_rejected_batch_frees_its_request_ids() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    app.send(&json!([add(1), add(1)])).await;
    assert_eq!(app.response(&json!(null)).await["error"]["code"], -32600);
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
}

#[tokio::test]
async fn a_header_of_the_user_is_sent_and_never_printed() {
    let home = Home::logged_in().await;
    let more = ["--header", "X-Team: planted", "-vv"];
    let mut app = App::ready(&home, &more).await;
    app.request(&add(1)).await;
    let sent = home.testbed.requests();
    let sent = sent.iter().rfind(|sent| sent.method == "POST").unwrap();
    assert_eq!(sent.header("x-team"), Some("planted"));
    app.close().await;
    assert!(!app.stderr().contains("planted"), "{}", app.stderr());
}

#[tokio::test]
async fn a_server_without_authorization_works_without_a_login() {
    let home = Home::with(Testbed::builder().unprotected(true)).await;
    let mut app = App::ready(&home, &[]).await;
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
}

#[tokio::test]
async fn the_last_responses_are_written_after_the_end_of_stdin() {
    let home = Home::logged_in().await;
    let mut app = App::start(&home, &[]);
    app.send(&initialize(0)).await;
    app.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    app.send(&add(1)).await;
    assert_eq!(app.close().await, 0);
    assert_eq!(sum(&app.response(&json!(1)).await), Some(2));
}

#[tokio::test]
async fn a_single_message_before_the_end_of_stdin_gets_a_response() {
    let home = Home::logged_in().await;
    for (line, id) in [
        (initialize(0).to_string(), json!(0)),
        ("{".to_owned(), json!(null)),
    ] {
        let mut app = App::start(&home, &[]);
        app.write(line).await;
        assert_eq!(app.close().await, 0);
        app.response(&id).await;
    }
}

#[tokio::test]
async fn the_last_responses_on_a_legacy_stream_are_written() {
    let home = Home::with(Testbed::builder().protocol_era(ProtocolEra::HttpWithSse)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let mut app = App::ready(&home, &[]).await;
    for id in 1..=20 {
        app.send(&add(id)).await;
    }
    assert_eq!(app.close().await, 0);
    for id in 1..=20 {
        assert_eq!(sum(&app.response(&json!(id)).await), Some(id + 1));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_refresh_in_progress_is_stored_before_the_proxy_ends() {
    for ends in ["stdin", "SIGTERM"] {
        let home = Home::logged_in().await;
        let mut app = App::ready(&home, &[]).await;
        home.testbed.revoke_access_tokens();
        home.testbed
            .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
        let before = home
            .testbed
            .count(Peer::AuthorizationServer, "POST", "/token");
        app.send(&add(1)).await;
        let token = (Peer::AuthorizationServer, "POST", "/token");
        bounded(
            home.testbed
                .wait_for_requests(token.0, token.1, token.2, before + 1),
        )
        .await;
        if ends == "SIGTERM" {
            signals::kill("-TERM", app.child.id().unwrap());
            home.testbed.release();
            assert_eq!(bounded(app.child.wait()).await.unwrap().code(), Some(143));
        } else {
            home.testbed.release();
            assert_eq!(app.close().await, 0);
        }
        // The old refresh token is used up: this works only with the new one.
        home.run(&["refresh", "notes"]).await.succeeded();
    }
}

#[tokio::test]
async fn a_proxy_ends_when_stdout_is_closed() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    app.stop_reading();
    for id in 1..=3 {
        app.send(&add(id)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(5), app.child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_pending_request_does_not_delay_the_end_of_the_proxy() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed
        .set_fault(Fault::Corrupt(Endpoint::Mcp, Corruption::NeverResponds));
    app.send(&add(1)).await;
    let ended = tokio::time::timeout(Duration::from_secs(2), app.close()).await;
    assert_eq!(ended.unwrap(), 0);
}
