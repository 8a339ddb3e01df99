//! Hints of non-interactive logins: the missing option, or a login in a browser.

use mcp_oauth_testbed::{Algorithm, Builder, ConfidentialClient, Fault, KeyPair, Testbed};
use serde_json::json;

use super::{Paste, commands, paste, with};
use crate::{
    non_interactive::{AT_BOTH, enterprise},
    support::{Home, Output},
};

fn robot() -> Builder {
    Testbed::builder()
        .confidential_client(ConfidentialClient::with_secret("robot", "planted-secret"))
}

const SECRET: Paste<'static> = Paste {
    fill: &[("ID", "robot")],
    variables: &[],
    stdin: "planted-secret\n",
};

/// Runs the one command of a hint, and uses the tokens.
async fn fixed(home: &Home, failed: &Output, how: Paste<'_>, name: &str) {
    let proposed = commands(failed);
    let [proposed] = &proposed[..] else {
        panic!("{proposed:?} in {failed:#?}");
    };
    paste(home, proposed, how).await.succeeded();
    home.run(&["request", name, "notes"]).await.succeeded();
}

#[tokio::test]
async fn a_client_credentials_login_gets_its_missing_options() {
    for (typed, variables) in [
        // No client, one without a secret, and one with a wrong one.
        (&["--client-credentials"][..], &[][..]),
        (&["--client-credentials", "--client-id", "robot"], &[]),
        (
            &["--client-credentials", "--client-id", "robot"],
            &[("MCP_OAUTH_CLIENT_SECRET", "wrong")],
        ),
    ] {
        let home = Home::with(robot()).await;
        let url = home.url();
        let typed = [&["login", "robot", url.as_str()], typed].concat();
        let failed = home.run_in(variables, &typed).await.ended(1);
        for option in ["--client-credentials", "--client-secret-stdin"] {
            assert!(commands(&failed)[0].contains(option), "{failed:#?}");
        }
        fixed(&home, &failed, SECRET, "robot").await;
    }
}

/// The secret was removed with the login, so the remembered method alone would fail again.
#[tokio::test]
async fn a_login_without_its_client_secret_requests_the_secret() {
    let home = Home::with(robot()).await;
    let url = home.url();
    let typed = [
        "login",
        "robot",
        &url,
        "--client-credentials",
        "--client-id",
        "robot",
    ];
    home.run_with("MCP_OAUTH_CLIENT_SECRET", "planted-secret", &typed)
        .await
        .succeeded();
    home.run(&["logout", "robot"]).await.succeeded();
    let missing = home.run(&["token", "robot"]).await.ended(3);
    assert_eq!(commands(&missing), ["mcp-oauth login robot"]);
    let missing = paste(&home, "mcp-oauth login robot", Paste::default()).await;
    let missing = missing.ended(1);
    fixed(&home, &missing, SECRET, "robot").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_with_an_unsupported_algorithm_gets_a_hint_to_replace_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let (wrong, right) = (
        KeyPair::generate(Algorithm::Es256).unwrap(),
        KeyPair::generate(Algorithm::Rs256).unwrap(),
    );
    let member = "token_endpoint_auth_signing_alg_values_supported".to_owned();
    let builder = with([Fault::MetadataField(member, json!(["RS256"]))]);
    let client = ConfidentialClient::with_key("robot", right.public());
    let home = Home::with(builder.confidential_client(client)).await;
    let key = |name: &str, pair: &KeyPair| {
        let file = home.file(name, pair.private_pem());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    };
    let (wrong, right) = (key("wrong.pem", &wrong), key("right.pem", &right));
    let url = home.url();
    let typed = [
        "login",
        "robot",
        &url,
        "--client-credentials",
        "--client-id",
        "robot",
        "--private-key",
        &wrong,
    ];
    let failed = home.run(&typed).await.ended(1);
    failed.says("hint: use a key of another kind: ");
    let how = Paste {
        fill: &[(wrong.as_str(), "unused"), ("FILE", right.as_str())],
        ..Paste::default()
    };
    fixed(&home, &failed, how, "robot").await;
}

fn remove_source(home: &Home, name: &str) {
    let file = home.data().join("servers.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut names: serde_json::Value = serde_json::from_str(&text).unwrap();
    let server = names["servers"][name].as_object_mut().unwrap();
    assert!(server.remove("workload_token").is_some(), "{server:?}");
    home.file(file, names.to_string());
}

#[tokio::test]
async fn a_rejected_workload_token_gets_a_login_command() {
    let home = Home::with(Testbed::builder().workload_issuer("https://cluster.example")).await;
    let url = home.url();
    let good = home.testbed.workload_jwt(&json!({})).unwrap();
    let good = home.file("good.jwt", good);
    let how = Paste {
        fill: &[("FILE", good.as_str())],
        ..Paste::default()
    };
    let nowhere = home.path("nowhere.jwt").display().to_string();
    let wrong = home.file("wrong.jwt", "no.jwt.at-all");
    for file in [nowhere, wrong] {
        let typed = ["login", "job", &url, "--workload-token", &file];
        let failed = home.run(&typed).await.ended(1);
        let expected = format!("mcp-oauth login job {url} --workload-token FILE");
        assert_eq!(commands(&failed), [expected]);
        fixed(&home, &failed, how, "job").await;
        home.run(&["logout", "--local", "job", "--remove-name"])
            .await
            .succeeded();
    }
    // Earlier versions did not store the source.
    home.run(&["login", "job", &url, "--workload-token", &good])
        .await
        .succeeded();
    remove_source(&home, "job");
    let refused = home.run(&["refresh", "job"]).await.ended(1);
    refused.says("the source of the assertion is not given");
    fixed(&home, &refused, how, "job").await;
    home.run(&["logout", "--local", "job"]).await.succeeded();
    remove_source(&home, "job");
    let failed = home.run(&["login", "job"]).await.ended(2);
    failed.says("hint: give it: ");
    fixed(&home, &failed, how, "job").await;
    // The source is stored with the name, independent of the tokens.
    home.run(&["logout", "--local", "job"]).await.succeeded();
    home.run(&["login", "job"]).await.succeeded();
}

#[tokio::test]
async fn an_enterprise_login_is_fixed_or_falls_back_to_the_browser() {
    let (home, typed) = enterprise().await;
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let file = *typed
        .iter()
        .rfind(|argument| argument.starts_with('/'))
        .unwrap();
    let with_secrets = Paste {
        fill: &[("FILE", file)],
        variables: &AT_BOTH,
        ..Paste::default()
    };
    let failed = home.run_in(&AT_BOTH[..1], &typed).await.ended(1);
    failed.says("hint: check --idp-client-id, and MCP_OAUTH_IDP_CLIENT_SECRET");
    fixed(&home, &failed, with_secrets, "work").await;

    // The server does not accept ID-JAGs any more: the hint is a login in a browser with the URL, for a known
    // name and for a new one.
    let member = "authorization_grant_profiles_supported".to_owned();
    let others = json!(["urn:example:another-profile"]);
    home.testbed.set_fault(Fault::MetadataField(member, others));
    let failed = home.run_in(&AT_BOTH, &["login", "work", "--force"]).await;
    failed.says("hint: log in with a browser: ");
    let expected = format!("mcp-oauth login work {} --force", home.url());
    assert_eq!(commands(&failed), [expected]);
    fixed(&home, &failed, with_secrets, "work").await;
    home.run(&["logout", "work", "--remove-name"])
        .await
        .succeeded();
    let failed = home.run_in(&AT_BOTH, &typed).await.ended(1);
    assert!(!commands(&failed)[0].contains("--idp"), "{failed:#?}");
    fixed(&home, &failed, with_secrets, "work").await;
}

#[tokio::test]
async fn a_secret_without_a_client_names_the_option() {
    let home = Home::with(Testbed::builder().client("me", Some("planted-secret"))).await;
    let typed = ["login", "notes", &home.url(), "--client-secret-stdin"];
    let failed = home.run_typing(&typed, "planted-secret").await.ended(2);
    let how = Paste {
        fill: &[("ID", "me")],
        stdin: "planted-secret\n",
        ..Paste::default()
    };
    fixed(&home, &failed, how, "notes").await;
    // A wrong secret of a login in a browser.
    let home = Home::with(Testbed::builder().client("me", Some("planted-secret"))).await;
    let url = home.url();
    let typed = ["notes", &url, "--client-id", "me"];
    let failed = home
        .login_in(&[("MCP_OAUTH_CLIENT_SECRET", "wrong")], &typed)
        .await
        .ended(1);
    failed.says("hint: check the client ID and its secret: ");
    fixed(&home, &failed, how, "notes").await;
}
