//! `headers` without a login: one begins in the browser, and outlives the command.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use mcp_oauth_testbed::test_user;
use tokio::process::Command;
use url::Url;

use super::{headers, token};
use crate::support::{Home, Output, bounded};

/// A home with the name `notes` and no login, and a browser that gives each URL to the test.
struct Browsing {
    home: Home,
    browser: String,
    opened: PathBuf,
}

impl Browsing {
    async fn start() -> Self {
        let home = Home::logged_in().await;
        home.run(&["logout", "notes"]).await.succeeded();
        let opened = home.path("opened");
        let made = std::process::Command::new("mkfifo").arg(&opened).status();
        assert!(made.unwrap().success());
        let log = home.path("log").display().to_string();
        let script = format!(
            "#!/bin/sh\necho opened >> {log}\nprintf %s \"$1\" > {}\n",
            opened.display()
        );
        let browser = home.file("browser", script);
        std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self {
            home,
            browser,
            opened,
        }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = self.home.command(&[&["headers", "notes"], more].concat());
        command
            .env("BROWSER", &self.browser)
            .env("PATH", "/usr/bin:/bin");
        command
    }

    async fn run(&self, more: &[&str]) -> Output {
        self.home
            .finish(&["headers", "notes"], self.command(more))
            .await
    }

    /// Waits for the URL that the browser opens.
    async fn url(&self) -> Url {
        let opened = self.opened.clone();
        let url = tokio::task::spawn_blocking(move || std::fs::read_to_string(opened).unwrap());
        bounded(url).await.unwrap().parse().unwrap()
    }

    /// Returns how many times a browser was opened.
    fn times_opened(&self) -> usize {
        let log = std::fs::read_to_string(self.home.path("log"));
        log.unwrap_or_default().lines().count()
    }

    /// Runs the command until it has a token.
    async fn token(&self) -> String {
        let token = async {
            loop {
                let output = self.run(&[]).await;
                if output.code == 0 {
                    return token(&output);
                }
            }
        };
        bounded(token).await
    }
}

#[tokio::test]
async fn a_login_that_completes_at_once_gives_the_header() {
    let browsing = Browsing::start().await;
    let approve = async {
        test_user::approve(&browsing.url().await).await.unwrap();
    };
    let (output, ()) = tokio::join!(browsing.run(&[]), approve);
    let output = output.succeeded();
    assert!(!token(&output).is_empty());
    output.says("not logged in to notes: opening the browser");
    assert_eq!(browsing.times_opened(), 1);
}

/// The application kills the process group of a command that it no longer waits for.
#[tokio::test]
async fn one_login_waits_for_the_user_after_the_command_and_its_group_have_ended() {
    let browsing = Browsing::start().await;
    let mut command = browsing.command(&[]);
    let child = command.process_group(0).spawn().unwrap();
    let group = child.id().unwrap();
    let url = browsing.url().await;
    let output = bounded(child.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    for text in ["a login is open in the browser", "mcp-oauth login notes"] {
        assert!(stderr.contains(text), "{stderr}");
    }
    let group = format!("-{group}");
    let killed = std::process::Command::new("kill")
        .args(["-KILL", "--", &group])
        .output();
    assert!(
        !killed.unwrap().status.success(),
        "a process of the group is left"
    );
    let second = browsing.run(&["--json"]).await.ended(3);
    assert_eq!(second.json()["error"]["code"], "login_pending");
    assert_eq!(browsing.times_opened(), 1);
    test_user::approve(&url).await.unwrap();
    browsing.token().await;
    assert_eq!(browsing.times_opened(), 1);
}

/// An application connects again and again: a user who has declined must not get a tab each time.
#[tokio::test]
async fn a_declined_login_is_not_repeated_by_the_next_command() {
    let browsing = Browsing::start().await;
    let deny = async {
        test_user::deny(&browsing.url().await).await.unwrap();
    };
    let (declined, ()) = tokio::join!(browsing.run(&["--json"]), deny);
    assert_eq!(declined.ended(3).json()["error"]["code"], "denied");
    let next = browsing.run(&[]).await.ended(3);
    next.says("the last login failed: ")
        .says("hint: mcp-oauth login notes");
    assert_eq!(browsing.times_opened(), 1);
    // The user decides otherwise.
    let url = browsing.home.url();
    browsing.home.login(&["notes", &url]).await.succeeded();
    headers(&browsing.home, &[]).await.succeeded();
}

#[tokio::test]
async fn a_browser_that_does_not_start_is_reported() {
    let browsing = Browsing::start().await;
    let mut command = browsing.command(&["--json"]);
    // No other browser of this machine is opened instead.
    command
        .env("BROWSER", "/nowhere/browser")
        .env("PATH", "/nowhere");
    let output = browsing.home.finish(&["headers"], command).await.ended(3);
    assert_eq!(output.json()["error"]["code"], "no_browser");
}
