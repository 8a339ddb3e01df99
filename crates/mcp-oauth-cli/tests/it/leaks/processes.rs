//! No secret is in an argument or in the environment of a process that the command starts, by the system
//! calls (`docs/hostile.md` H68, H151, H152).

use std::{collections::BTreeSet, fs};

use mcp_oauth_testbed::{Builder, Testbed};
use serde_json::json;
use test_support::strace;
use tokio::process::Command;

use super::secrets;
use crate::{
    proxy::{App, add, initialize},
    support::{Does, Home, bounded},
};

/// The secrets that the user passes in environment variables.
const GIVEN: [(&str, &str); 4] = [
    ("MCP_OAUTH_CLIENT_SECRET", "planted-client-secret"),
    ("MCP_OAUTH_PASSWORD", "planted-password"),
    ("VAULT_TOKEN", "planted-vault-token"),
    ("MCP_OAUTH_PROXY_TOKEN", "planted-proxy-token"),
];

/// A home that traces its commands, with a browser that does nothing.
struct Watched {
    home: Home,
    browser: String,
}

impl Watched {
    async fn with(testbed: Builder) -> Self {
        let home = Home::with(testbed).await;
        let browser = program(&home, "browser", "#!/bin/sh\nexit 0\n");
        Self { home, browser }
    }

    /// Returns the command under strace, which records the start of every process.
    fn command(&self, run: &str, arguments: &[&str]) -> Command {
        let mut command = self.home.program("strace");
        command
            .args(["-f", "-v", "-s", "100000", "-e", "trace=execve", "-o"])
            .arg(self.home.path(&format!("{run}.execve")))
            .arg(env!("CARGO_BIN_EXE_mcp-oauth"))
            .args(arguments);
        command
            .envs(GIVEN)
            .env("BROWSER", &self.browser)
            .env("PATH", "/usr/bin:/bin");
        command
    }

    /// Returns the `execve` call of a run itself, and those of the processes that it has started.
    fn processes(&self, run: &str) -> (String, Vec<String>) {
        let path = self.home.path(&format!("{run}.execve"));
        let trace = fs::read_to_string(path).unwrap();
        let mut begun = trace
            .lines()
            .filter(|line| line.contains("execve("))
            .map(str::to_owned);
        (begun.next().unwrap(), begun.collect())
    }

    fn secrets(&self) -> BTreeSet<String> {
        let mut secrets = secrets(&self.home);
        secrets.extend(GIVEN.map(|(_, secret)| secret.to_owned()));
        secrets
    }
}

fn program(home: &Home, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let program = home.file(name, text);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    program
}

fn assert_no_secret(processes: &[String], secrets: &BTreeSet<String>) {
    for line in processes {
        for secret in secrets {
            assert!(!line.contains(secret), "{secret} is in {line}");
        }
    }
}

#[tokio::test]
async fn no_process_that_a_login_starts_gets_a_secret() {
    if !strace::is_installed() {
        return;
    }
    let client = Testbed::builder().client("me", Some("planted-client-secret"));
    let watched = Watched::with(client).await;
    let url = watched.home.url();
    let arguments = ["login", "notes", &url, "--client-id", "me", "-vv"];
    let command = watched.command("login", &arguments);
    watched
        .home
        .attended(&arguments, command, Does::Approve, "")
        .await
        .succeeded();
    for verb in ["refresh", "tools", "token", "logout"] {
        let mut command = watched.command(verb, &[verb, "notes"]);
        let status = bounded(command.status()).await.unwrap();
        assert!(status.success(), "{verb}");
    }
    let secrets = watched.secrets();
    assert!(secrets.len() > 8, "{secrets:?}");
    let (own, started) = watched.processes("login");
    // The program that opens the browser, and the browser.
    assert!(started.len() >= 2, "{started:?}");
    assert!(started.iter().any(|line| line.contains(&watched.browser)));
    assert_no_secret(&started, &secrets);
    for verb in ["refresh", "tools", "token", "logout"] {
        let (_, started) = watched.processes(verb);
        assert_eq!(started, [""; 0], "{verb} starts nothing");
    }
    // The secrets of the user's shell are in the environment of the command, and not in its arguments.
    let (arguments, _) = own.split_once("], [").unwrap();
    assert!(!arguments.contains("planted"), "{arguments}");
}

#[tokio::test]
async fn no_program_that_prints_an_assertion_gets_a_secret() {
    if !strace::is_installed() {
        return;
    }
    let watched =
        Watched::with(Testbed::builder().workload_issuer("https://cluster.example")).await;
    let jwt = watched.home.testbed.workload_jwt(&json!({})).unwrap();
    let jwt = watched.home.file("jwt", jwt);
    let program = program(
        &watched.home,
        "bring",
        &format!("#!/bin/sh\nexec cat {jwt}\n"),
    );
    let url = watched.home.url();
    let typed = [
        "login",
        "job",
        &url,
        "--workload-token",
        &format!("cmd:{program}"),
    ];
    let mut command = watched.command("job", &typed);
    let status = bounded(command.status()).await.unwrap();
    assert!(status.success());
    let (_, started) = watched.processes("job");
    assert!(
        started.iter().any(|line| line.contains(&program)),
        "{started:?}"
    );
    assert_no_secret(&started, &watched.secrets());
}

#[tokio::test]
async fn no_process_that_a_proxy_starts_gets_a_secret() {
    if !strace::is_installed() {
        return;
    }
    let watched = Watched::with(Testbed::builder()).await;
    let url = watched.home.url();
    let command = watched.command("proxy", &["proxy", &url, "-vv"]);
    let mut app = App::run(command);
    app.request(&initialize(0)).await;
    app.approve().await;
    app.notification("notifications/tools/list_changed").await;
    app.request(&add(1)).await;
    assert_eq!(app.close().await, 0);
    let (_, started) = watched.processes("proxy");
    assert!(started.len() >= 2, "{started:?}");
    assert_no_secret(&started, &watched.secrets());
}
