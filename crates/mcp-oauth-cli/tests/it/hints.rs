//! Each command of a hint is executed as it was printed, in the situation that prints it.
//!
//! Not executed, with the reason: hints without a command; `vault …`, which is another program;
//! `--allow-http` and the name of another host, which would leave loopback; hints about records in a Vault
//! (`vault.rs` runs one).

use std::path::Path;

use mcp_oauth_testbed::{
    Builder, ConfidentialClient, DpopPolicy, Fault, Legacy, Peer, PrmForm, Testbed, test_user,
};
use serde_json::json;

use crate::{
    device::devices,
    support::{Does, Home, Output, Running, bounded},
};

mod non_interactive;
mod stored;

/// The commands in the hint of a failed run.
#[track_caller]
fn commands(failed: &Output) -> Vec<String> {
    let hint = failed
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("hint: "));
    let hint = hint.unwrap_or_else(|| panic!("no hint in {failed:#?}"));
    let starts = hint.match_indices("mcp-oauth ").map(|(at, _)| at);
    let starts = starts.filter(|at| !hint[..*at].ends_with('`'));
    let command = |at| {
        let rest = &hint[at..];
        let ends = ["  (", "; ", ", or ", ", and "].iter();
        let end = ends.filter_map(|end| rest.find(end)).min();
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    starts.map(command).collect()
}

/// The options for running a proposed command.
#[derive(Clone, Copy, Default)]
struct Paste<'a> {
    /// The values for the placeholders in capitals.
    fill: &'a [(&'a str, &'a str)],
    variables: &'a [(&'a str, &'a str)],
    /// The text on stdin.
    stdin: &'a str,
}

/// Runs a command as a user pastes it into a shell, and approves where a browser or a code is shown.
async fn paste(home: &Home, line: &str, how: Paste<'_>) -> Output {
    let filled = line.split(' ').map(|part| {
        let fill = how
            .fill
            .iter()
            .find(|(placeholder, _)| *placeholder == part);
        fill.map_or(part, |(_, value)| *value)
    });
    let filled = filled.collect::<Vec<_>>().join(" ");
    let own = Path::new(env!("CARGO_BIN_EXE_mcp-oauth")).parent().unwrap();
    let mut shell = home.program("/bin/sh");
    shell
        .args(["-c", &format!("exec {filled}")])
        .env("PATH", format!("{}:/usr/bin:/bin", own.display()))
        .envs(how.variables.iter().copied());
    let mut running = Running::start(shell, how.stdin).await;
    if let Some(url) = bounded(running.url()).await {
        if filled.contains("--device") {
            let code = bounded(running.user_code()).await.unwrap();
            test_user::approve_device(&url, &code).await.unwrap();
        } else {
            test_user::approve(&url).await.unwrap();
        }
    }
    Output {
        line: filled,
        ..bounded(running.end()).await
    }
}

/// A login that fails, what its hint says, and what the user does about it.
struct Row<'a> {
    builder: Builder,
    /// The arguments after `login notes URL`.
    typed: &'a [&'a str],
    does: Does,
    /// The start of the hint.
    lead: &'a str,
    how: Paste<'a>,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self {
            builder: Testbed::builder(),
            typed: &[],
            does: Does::Approve,
            lead: "",
            how: Paste::default(),
        }
    }
}

impl Row<'_> {
    /// Runs both, and checks that the login is good for a request then.
    async fn run(self) {
        let home = Home::with(self.builder).await;
        let url = home.url();
        let typed = [&["login", "notes", url.as_str()], self.typed].concat();
        let failed = home
            .attended(&typed, home.command(&typed), self.does, "")
            .await;
        assert_ne!(failed.code, 0, "{failed:#?}");
        failed.says(&format!("hint: {}", self.lead));
        let proposed = commands(&failed);
        let [proposed] = &proposed[..] else {
            panic!("{proposed:?} in {failed:#?}");
        };
        paste(&home, proposed, self.how).await.succeeded();
        home.run(&["request", "notes", "notes"]).await.succeeded();
    }
}

fn with(faults: impl IntoIterator<Item = Fault>) -> Builder {
    faults.into_iter().fold(Testbed::builder(), Builder::fault)
}

const ID: &[(&str, &str)] = &[("ID", "me")];

fn refused_registration(status: u16, code: &str, lead: &'static str) -> Row<'static> {
    let refusal = Fault::Status {
        path: "/register".to_owned(),
        status,
        body: json!({ "error": code }).to_string(),
        headers: Vec::new(),
        times: None,
    };
    Row {
        builder: with([refusal]).client("me", None),
        lead,
        how: Paste {
            fill: ID,
            ..Paste::default()
        },
        ..Row::default()
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one table of servers and their hints"
)]
#[tokio::test]
async fn hints_about_the_server_lead_to_a_login() {
    let other = "http://localhost:1";
    for row in [
        Row {
            builder: Testbed::builder().legacy(Legacy::Endpoints),
            lead: "if the server implements MCP 2025-03-26: ",
            ..Row::default()
        },
        Row {
            builder: with([Fault::NoPkceMethods]),
            typed: &["--scope", "notes:read"],
            lead: "many servers check PKCE without listing it in their metadata. If",
            ..Row::default()
        },
        // Both on loopback: what the server calls itself is in the command.
        Row {
            builder: with([Fault::CallbackIss(other.to_owned())]),
            lead: "nothing was stored. Only if the operator of the server",
            ..Row::default()
        },
        Row {
            builder: with([Fault::CallbackIss("https://other.example".to_owned())]),
            lead: "nothing was stored. Only if the operator of the server",
            how: Paste {
                fill: &[("ISSUER", "https://other.example")],
                ..Paste::default()
            },
            ..Row::default()
        },
        Row {
            builder: Testbed::builder()
                .dynamic_registration(false)
                .client("me", None),
            typed: &["--account", "it's me"],
            lead: "register a client with that server, then: ",
            how: Paste {
                fill: ID,
                ..Paste::default()
            },
            ..Row::default()
        },
        refused_registration(
            403,
            "access_denied",
            "the server may accept only clients on an allow list: ",
        ),
        refused_registration(
            404,
            "access_denied",
            "if it fails again, register a client there, then: ",
        ),
        refused_registration(
            400,
            "invalid_redirect_uri",
            "if it fails again, register a client there, then: ",
        ),
        Row {
            builder: Testbed::builder().legacy(Legacy::Metadata),
            lead: "to use that authorization server: ",
            ..Row::default()
        },
        Row {
            typed: &["--scope", "unknown"],
            lead: "request a scope that the server allows: ",
            how: Paste {
                fill: &[("SCOPE", "notes:read")],
                ..Paste::default()
            },
            ..Row::default()
        },
    ] {
        row.run().await;
    }
}

#[tokio::test]
async fn hints_about_the_login_itself_lead_to_one() {
    for row in [
        Row {
            does: Does::Deny,
            typed: &["--scope", "notes:read"],
            lead: "mcp-oauth login notes http",
            ..Row::default()
        },
        Row {
            does: Does::Nothing,
            typed: &["--timeout", "1s"],
            lead: "mcp-oauth login notes http",
            ..Row::default()
        },
        Row {
            builder: Testbed::builder().client_id_metadata_documents(true),
            typed: &["--client-metadata-url", "https://app.example"],
            lead: "host the document at such a URL: ",
            how: Paste {
                fill: &[(
                    "https://HOST/client.json",
                    "https://app.example/client.json",
                )],
                ..Paste::default()
            },
            ..Row::default()
        },
        Row {
            builder: with([Fault::MetadataField(
                "dpop_signing_alg_values_supported".to_owned(),
                json!(["RS256"]),
            )]),
            typed: &["--dpop"],
            lead: "log in with bearer tokens: ",
            ..Row::default()
        },
        Row {
            typed: &["--redirect-uri", "http://elsewhere.example/callback"],
            lead: "let the system choose a port of this machine: ",
            ..Row::default()
        },
    ] {
        row.run().await;
    }
}

#[tokio::test]
async fn hints_about_the_method_of_the_login_lead_to_one() {
    let metadata = |member: &str| Fault::MetadataWithout(member.to_owned());
    for row in [
        Row {
            typed: &["--device"],
            lead: "log in with a browser: ",
            ..Row::default()
        },
        Row {
            builder: devices().fault(metadata("authorization_endpoint")),
            typed: &["--no-browser"],
            lead: "log in with a code: ",
            ..Row::default()
        },
        Row {
            builder: with([metadata("authorization_endpoint")])
                .confidential_client(ConfidentialClient::with_secret("robot", "planted-secret")),
            lead: "if you have a client ID of the server: ",
            how: Paste {
                fill: &[("ID", "robot")],
                stdin: "planted-secret\n",
                ..Paste::default()
            },
            ..Row::default()
        },
    ] {
        row.run().await;
    }
}

#[tokio::test]
async fn an_expired_device_code_is_replaced_by_another() {
    let brief = devices().fault(Fault::DeviceField("expires_in".to_owned(), 1.into()));
    let home = Home::with(brief).await;
    let url = home.url();
    let expired = home
        .run(&["login", "notes", &url, "--device"])
        .await
        .ended(3);
    home.testbed.clear_faults();
    home.testbed
        .set_fault(Fault::DeviceField("interval".to_owned(), 1.into()));
    let proposed = &commands(&expired)[0];
    assert_eq!(*proposed, format!("mcp-oauth login notes {url} --device"));
    paste(&home, proposed, Paste::default()).await.succeeded();
}

#[tokio::test]
async fn a_busy_port_is_replaced_by_a_free_one() {
    let home = Home::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let url = home.url();
    let busy = home.run(&["login", "notes", &url, "--port", &port]).await;
    paste(&home, &commands(&busy.ended(1))[0], Paste::default())
        .await
        .succeeded();
    home.run(&["token", "notes"]).await.succeeded();
}

/// `--force` registers again, which a client that the user registered cannot be.
#[tokio::test]
async fn a_login_of_a_preregistered_client_keeps_its_port_after_a_timeout() {
    let home = Home::with(Testbed::builder().client("me", None)).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let url = home.url();
    let typed = ["notes", &url, "--client-id", "me", "--port", &port];
    home.login(&typed).await.succeeded();
    let again = ["login", "notes", &url, "--force", "--timeout", "1s"];
    let command = home.command(&again);
    let timed_out = home.attended(&again, command, Does::Nothing, "").await;
    let callback = format!("127.0.0.1%3A{port}%2Fcallback");
    timed_out.clone().ended(3).says(&callback);
    let proposed = commands(&timed_out);
    assert_eq!(proposed, ["mcp-oauth login notes --timeout 10m --force"]);
    let login = paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
    login.says(&callback);
}

/// The error of the server tells the user which option to change, so the hint names the help.
#[tokio::test]
async fn an_unknown_refusal_gets_the_login_command_again() {
    let home = Home::with(with([Fault::CallbackError {
        error: "invalid_request".to_owned(),
        description: None,
    }]))
    .await;
    let url = home.url();
    let refused = home.login(&["notes", &url]).await.ended(1);
    refused.says("hint: see `mcp-oauth login --help`, then: ");
    let proposed = commands(&refused);
    assert_eq!(proposed, [format!("mcp-oauth login notes {url}")]);
    home.testbed.clear_faults();
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();

    // A callback that cannot be trusted ends the login.
    let home = Home::with(with([Fault::CallbackWithoutIss])).await;
    let url = home.url();
    let refused = home.login(&["notes", &url, "--timeout", "5s"]).await;
    let proposed = commands(&refused);
    home.testbed.clear_faults();
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
}

/// A stored DPoP requirement that the server cannot meet is removed by the proposed command.
#[tokio::test]
async fn a_remembered_dpop_requirement_can_be_removed() {
    let builder = Testbed::builder().dpop(DpopPolicy::Offered);
    let home = Home::with(builder).await;
    home.login(&["notes", &home.url(), "--dpop"])
        .await
        .succeeded();
    home.testbed.set_fault(Fault::MetadataField(
        "dpop_signing_alg_values_supported".to_owned(),
        json!(["RS256"]),
    ));
    let refused = home.run(&["login", "notes", "--force"]).await.ended(1);
    let proposed = commands(&refused);
    let expected = format!("mcp-oauth login notes {} --force", home.url());
    assert_eq!(proposed, [expected]);
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
}

/// An issuer that the MCP server names instead of the one that a client id was registered with.
#[tokio::test]
async fn another_issuer_gets_another_client() {
    let home = Home::with(Testbed::builder().client("me", None)).await;
    let url = home.url();
    let other = Testbed::builder().client("new", None).resource(&url);
    let other = other.start().await.unwrap();
    home.login(&["notes", &url, "--client-id", "me"])
        .await
        .succeeded();
    let issuers = json!([other.issuer()]);
    home.testbed
        .set_fault(Fault::PrmField("authorization_servers".to_owned(), issuers));
    let refused = home.run(&["login", "notes", "--force"]).await.ended(1);
    refused.says("hint: get a client ID of the new issuer, then: ");
    let how = Paste {
        fill: &[("ID", "new")],
        ..Paste::default()
    };
    paste(&home, &commands(&refused)[0], how).await.succeeded();
    assert_eq!(other.token_requests("authorization_code"), 1);
}

/// 127.0.0.1 for `localhost`, and the root of a server with the endpoint `/mcp`: the metadata names the
/// right URL, as that of the Python SDK 1.23.0 (`resource_server_url`) and of `FastMCP` 2.13.2
/// (`base_url`) does; `wrong_url.rs` of the library has their messages.
#[tokio::test]
async fn another_url_of_the_same_server_is_proposed() {
    let base = |home: &Home| home.url().trim_end_matches("/mcp").to_owned();
    let by_name = |home: &Home| home.url().replace("127.0.0.1", "localhost");
    for (form, typed) in [
        (PrmForm::Header, by_name as fn(&Home) -> String),
        (PrmForm::RootOnly, base),
    ] {
        let home = Home::with(Testbed::builder().prm_at(form)).await;
        let refused = home.run(&["login", "notes", &typed(&home)]).await.ended(1);
        refused.says("hint: the server gives another URL as its own: ");
        let proposed = commands(&refused);
        assert_eq!(proposed, [format!("mcp-oauth login notes {}", home.url())]);
        paste(&home, &proposed[0], Paste::default())
            .await
            .succeeded();
        home.run(&["tools", "notes"]).await.succeeded();
    }
}

#[tokio::test]
async fn a_url_of_another_host_from_a_server_is_in_no_command() {
    for named in [
        "https://evil.example/mcp",
        "http://127.0.0.1:1/mcp",
        "http://evil.example/mcp",
    ] {
        let other = Fault::PrmField("resource".to_owned(), named.into());
        let home = Home::with(with([other])).await;
        let refused = home.run(&["login", "notes", &home.url()]).await.ended(1);
        refused.says("hint: contact the operator of the server");
        assert!(commands(&refused).is_empty(), "{refused:#?}");
    }
}

#[tokio::test]
async fn https_to_a_port_of_plain_http_names_the_cause_and_the_url() {
    let home = Home::new().await;
    let url = home.url().replace("http://", "https://");
    let refused = home.run(&["login", "notes", &url]).await.ended(1);
    refused
        .says("the server does not speak TLS at this port")
        .says("hint: if the server on this machine has no TLS: ");
    assert!(!refused.stderr.contains("corrupt"), "{refused:#?}");
    paste(&home, &commands(&refused)[0], Paste::default())
        .await
        .succeeded();
    // Also by a URL without a name.
    let refused = home.run(&["token", &url]).await.ended(3);
    assert_eq!(commands(&refused), [format!("mcp-oauth login {url}")]);
    let refused = home.run(&["login", &url]).await.ended(1);
    assert_eq!(
        commands(&refused),
        [format!("mcp-oauth login {}", home.url())]
    );
}

#[tokio::test]
async fn a_path_without_an_mcp_server_is_not_reported_as_legacy() {
    let home = Home::with(Testbed::builder().prm_at(PrmForm::PathOnly)).await;
    let url = home.url().replace("/mcp", "/wrong");
    let refused = home.run(&["login", "notes", &url]).await.ended(1);
    refused
        .says("no MCP server responds at ")
        .says("(HTTP 404)")
        .says("hint: check the URL");
    assert!(!refused.stderr.contains("--legacy"), "{refused:#?}");
    let document = home.run(&["login", "notes", &url, "--json"]).await.json();
    assert_eq!(document["error"]["code"], "not_mcp");
    assert!(commands(&refused).is_empty(), "{refused:#?}");
    // Where no path was typed, the usual one is proposed.
    let url = home.url().replace("/mcp", "");
    let refused = home.run(&["login", "notes", &url]).await.ended(1);
    let proposed = commands(&refused);
    assert_eq!(proposed, [format!("mcp-oauth login notes {}", home.url())]);
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
}

#[tokio::test]
async fn a_misspelt_name_gets_a_suggestion() {
    let home = Home::logged_in().await;
    for command in ["token", "show", "tools", "test", "refresh", "logout"] {
        let unknown = home.run(&[command, "nots"]).await.ended(2);
        unknown.says("did you mean `notes`?");
        let proposed = commands(&unknown);
        assert_eq!(proposed, [format!("mcp-oauth {command} notes")]);
        paste(&home, &proposed[0], Paste::default())
            .await
            .succeeded();
    }
    // For `login`, the name may be a new one without its URL.
    let unknown = home.run(&["login", "nots"]).await.ended(2);
    let [near, new] = &commands(&unknown)[..] else {
        panic!("{unknown:#?}");
    };
    paste(&home, near, Paste::default()).await.succeeded();
    let how = Paste {
        fill: &[("URL", &home.url())],
        ..Paste::default()
    };
    paste(&home, new, how).await.succeeded();
    home.run(&["token", "nots"]).await.succeeded();
    // The arguments of a request may be secret, so they are not repeated.
    let unknown = home
        .run(&["request", "nost", "notes", "-H", "X: planted"])
        .await;
    unknown.says("hint: the same command with `not");
    assert!(!unknown.stderr.contains("planted"), "{unknown:#?}");
    let asked = home.testbed.count(Peer::Mcp, "GET", "/mcp/notes");
    assert_eq!(asked, 0);
}

/// Hints repeat the global options, so that they use the same data directory.
#[tokio::test]
async fn the_global_options_are_repeated_in_hints() {
    let home = Home::new().await;
    let directory = home.path("another place").display().to_string();
    let url = home.url();
    let typed = ["login", "notes", &url, "--data-dir", &directory];
    let command = home.command(&typed);
    let login = home.attended(&typed, command, Does::Deny, "").await;
    let login = paste(&home, &commands(&login)[0], Paste::default()).await;
    let login = login.succeeded();
    let next = login
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("next: "));
    paste(&home, next.unwrap(), Paste::default())
        .await
        .succeeded();
    assert!(!home.data().exists(), "the default directory is empty");
}

/// No request is sent: it would leave this machine.
#[tokio::test]
async fn a_plaintext_http_hint_names_private_networks_only() {
    let home = Home::new().await;
    let url = "http://mcp-server.example:8080/mcp";
    let expected = format!("mcp-oauth login x {url} --allow-http");
    let refused = home.run(&["login", "x", url]).await.ended(2);
    assert_eq!(commands(&refused), [expected]);
    let refused = home.run(&["token", url]).await.ended(3);
    refused.says("for a private network that you trust: ");
    let expected = format!("mcp-oauth login {url} --allow-http");
    assert_eq!(commands(&refused), [expected]);
}
