//! No secret is in any output, with every log line that there is.

use std::collections::BTreeSet;

use mcp_oauth_testbed::Testbed;

use crate::support::Home;

/// Every secret that the servers have seen: what is used is sent.
fn secrets(home: &Home) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    for request in home.testbed.requests() {
        let bearer = request
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer "));
        secrets.extend(bearer.map(str::to_owned));
        for name in [
            "code",
            "code_verifier",
            "refresh_token",
            "token",
            "client_secret",
        ] {
            secrets.extend(request.form(name));
        }
    }
    secrets
}

#[tokio::test]
async fn no_secret_is_in_any_output_at_the_highest_log_level() {
    let home = Home::with(Testbed::builder().client("me", Some("planted-client-secret"))).await;
    let url = home.url();
    let arguments = [
        "login",
        "notes",
        &url,
        "--client-id",
        "me",
        "--client-secret-stdin",
        "-vv",
    ];
    let command = home.command(&arguments);
    let does = crate::support::Does::Approve;
    home.attended(&arguments, command, does, "planted-client-secret\n")
        .await
        .succeeded();
    for arguments in [
        &["get", "notes"][..],
        &["list"],
        &["test", "notes"],
        &["tools", "notes"],
        &["request", "notes", "notes", "-i"],
        &["refresh", "notes"],
        &["logout", "notes"],
        &["demo"],
    ] {
        let arguments = [arguments, &["-vv"]].concat();
        home.run(&arguments).await.succeeded();
        let arguments = [&arguments[..], &["--json"]].concat();
        home.run(&arguments).await;
    }
    home.run_with("MCP_OAUTH_PASSWORD", "planted-password", &["list", "-vv"])
        .await;

    let mut secrets = secrets(&home);
    secrets.extend([
        "planted-client-secret".to_owned(),
        "planted-password".to_owned(),
    ]);
    assert!(secrets.len() > 8, "{secrets:?}");
    let outputs = home.outputs();
    let login = &outputs[0];
    login
        .says("DEBUG mcp_client_oauth")
        .says("POST url=")
        .says("/token status=200");
    for output in outputs {
        for secret in &secrets {
            let leaks = output.stdout.contains(secret) || output.stderr.contains(secret);
            assert!(!leaks, "{secret} is in the output of {}", output.line);
        }
    }
}
