//! Ctrl-C, SIGTERM and SIGHUP.

#![cfg(unix)]

use std::net::TcpListener;

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer};
use tokio::process::Command;

use crate::support::{Home, Output, Running};

pub(crate) fn send(signal: &str, running: &Running) {
    kill(signal, running.child.id().unwrap());
}

pub(crate) fn kill(signal: &str, process: u32) {
    let id = process.to_string();
    let sent = std::process::Command::new("kill")
        .args([signal, &id])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn an_interrupted_login_leaves_nothing_and_frees_its_port() {
    let home = Home::new().await;
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let port = free.to_string();
    let typed = ["login", "notes", &home.url(), "--port", &port];
    let mut running = Running::start(home.command(&typed), "").await;
    running.url().await.unwrap();
    send("-INT", &running);
    running.end().await.ended(130).says("interrupted");
    TcpListener::bind(("127.0.0.1", free)).unwrap();
    assert!(!home.data().join("servers.json").exists());
    home.run(&["token", &home.url()]).await.ended(3);
}

/// Sends a signal to a program while its refresh is at the server, and returns how it ended.
async fn signalled_amid_refresh(home: &Home, command: Command, signal: &str) -> Output {
    home.testbed
        .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    let exchanged = home
        .testbed
        .count(Peer::AuthorizationServer, "POST", "/token");
    let running = Running::start(command, "").await;
    home.testbed
        .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", exchanged + 1)
        .await;
    send(signal, &running);
    home.testbed.release();
    running.end().await
}

/// SIGHUP is sent when the terminal window is closed or the SSH connection is lost.
#[tokio::test]
async fn a_refresh_in_progress_is_stored_before_a_signal_ends_the_command() {
    for (signal, expected) in [("-TERM", 143), ("-HUP", 129)] {
        let home = Home::logged_in().await;
        let command = home.command(&["refresh", "notes"]);
        let ended = signalled_amid_refresh(&home, command, signal).await;
        assert!([expected, 0].contains(&ended.code), "{ended:?}");
        // The old refresh token is used up: this works only with the new one.
        home.run(&["refresh", "notes"]).await.succeeded();
    }
}

#[tokio::test]
async fn a_command_under_nohup_survives_the_end_of_its_terminal() {
    let home = Home::logged_in().await;
    let mut command = home.program("nohup");
    command.args([env!("CARGO_BIN_EXE_mcp-oauth"), "refresh", "notes"]);
    let ended = signalled_amid_refresh(&home, command, "-HUP").await;
    ended.succeeded();
}

#[tokio::test]
async fn a_refresh_in_progress_is_stored_after_the_timeout() {
    let home = Home::logged_in().await;
    home.testbed.revoke_access_tokens();
    home.testbed
        .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    let typed = ["test", "notes", "--timeout", "1s", "-v"];
    let mut running = Running::start(home.command(&typed), "").await;
    running
        .wait_for_stderr("waiting for pending refreshes and saves")
        .await;
    home.testbed.release();
    running.end().await.ended(4).says("did not respond within");
    // The old refresh token is used up: this works only with the new one.
    home.run(&["refresh", "notes"]).await.succeeded();
}

#[tokio::test]
async fn an_interrupted_command_writes_its_one_document_too() {
    let home = Home::new().await;
    let url = home.url();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let typed = ["login", "notes", &url, "--json"];
        let mut running = Running::start(home.command(&typed), "").await;
        running.url().await.unwrap();
        send(signal, &running);
        let document = running.end().await.ended(code).json();
        assert_eq!(document["error"]["code"], "interrupted");
    }
}

#[tokio::test]
async fn a_demo_that_is_killed_leaves_no_directory() {
    for signal in ["-HUP", "-TERM", "-INT"] {
        let temporary = tempfile::tempdir().unwrap();
        let home = Home::new().await;
        let mut command = home.command(&["demo"]);
        command.env("TMPDIR", temporary.path());
        // A browser that does nothing: the demo waits for the consent.
        command.env("BROWSER", "/usr/bin/true");
        let mut running = Running::start(command, "").await;
        running.url().await.unwrap();
        assert!(temporary.path().read_dir().unwrap().next().is_some());
        send(signal, &running);
        running.end().await;
        assert!(
            temporary.path().read_dir().unwrap().next().is_none(),
            "{signal}"
        );
    }
}
