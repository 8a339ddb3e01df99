//! No secret is in any output at the highest log level, or in any file.

use std::{collections::BTreeSet, fs, path::Path};

use mcp_oauth_testbed::{ConfidentialClient, DpopPolicy, Testbed};

use crate::support::Home;

#[cfg(target_os = "linux")]
mod processes;

/// Returns every secret that the servers have received.
fn secrets(home: &Home) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    for request in home.testbed.requests() {
        let token = request
            .header("authorization")
            .and_then(|text| text.split(' ').nth(1));
        secrets.extend(token.map(str::to_owned));
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

/// Returns the number of files below `directory`, and the secrets that are in one.
fn in_files(directory: &Path, secrets: &BTreeSet<String>) -> (usize, Vec<String>) {
    let (mut files, mut found) = (0, Vec::new());
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let (more, there) = in_files(&path, secrets);
            files += more;
            found.extend(there);
        } else if path.is_file() {
            files += 1;
            let content = fs::read(&path).unwrap();
            let has = |secret: &&String| {
                let secret = secret.as_bytes();
                content.windows(secret.len()).any(|part| part == secret)
            };
            let there = secrets.iter().filter(has);
            found.extend(there.map(|secret| format!("{secret} in {}", path.display())));
        }
    }
    (files, found)
}

#[tokio::test]
async fn no_secret_is_in_a_file() {
    let robot = ConfidentialClient::with_secret("robot", "planted-client-secret");
    let home = Home::with(
        Testbed::builder()
            .confidential_client(robot)
            .dpop(DpopPolicy::Offered),
    )
    .await;
    let url = home.url();
    home.login(&["notes", &url, "-vv"]).await.succeeded();
    home.login(&["bound", &url, "--account", "bound", "--dpop", "-vv"])
        .await
        .succeeded();
    let typed = [
        "login",
        "robot",
        &url,
        "--account",
        "robot",
        "--client-id",
        "robot",
    ];
    let typed = [&typed[..], &["--client-credentials"]].concat();
    home.run_with("MCP_OAUTH_CLIENT_SECRET", "planted-client-secret", &typed)
        .await
        .succeeded();
    for name in ["notes", "bound", "robot"] {
        home.run(&["refresh", name]).await.succeeded();
        home.run(&["tools", name]).await.succeeded();
    }
    // After a migration to another key, the old key must not be left.
    let password = home.file("password", "planted-password");
    let migrated = ["migrate", "--to", "file", "--password-file", &password];
    home.run(&migrated).await.succeeded();
    fs::remove_file(password).unwrap();

    let mut secrets = secrets(&home);
    secrets.extend(["planted-client-secret", "planted-password"].map(str::to_owned));
    assert!(secrets.len() > 10, "{secrets:?}");
    let (files, found) = in_files(&home.path(""), &secrets);
    assert!(files > 4, "there are only {files} files");
    assert_eq!(found, Vec::<String>::new());
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
        &["show", "notes"][..],
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
