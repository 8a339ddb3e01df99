//! Non-interactive logins, and DPoP-bound tokens.

use mcp_oauth_testbed::{Algorithm, ConfidentialClient, DpopPolicy, Fault, KeyPair, Peer, Testbed};
use serde_json::json;

use crate::support::Home;

/// Asserts that the secret is in no output and not in the names file.
#[track_caller]
fn assert_kept(home: &Home, secret: &str) {
    for output in home.outputs() {
        let leaks = output.stdout.contains(secret) || output.stderr.contains(secret);
        assert!(!leaks, "{secret} is in the output of {}", output.line);
    }
    let names = std::fs::read_to_string(home.data().join("servers.json")).unwrap();
    assert!(!names.contains(secret), "{names}");
}

#[tokio::test]
async fn a_client_secret_logs_in_with_client_credentials() {
    let robot = ConfidentialClient::with_secret("robot", "planted-secret");
    let home = Home::with(Testbed::builder().confidential_client(robot)).await;
    let url = home.url();
    let typed = [
        "login",
        "robot",
        &url,
        "--client-credentials",
        "--client-id",
        "robot",
        "-vv",
    ];
    home.run_with("MCP_OAUTH_CLIENT_SECRET", "planted-secret", &typed)
        .await
        .succeeded();
    home.run(&["show", "robot"])
        .await
        .succeeded()
        .says("client_credentials")
        .says("the login is non-interactive");
    home.run(&["refresh", "robot", "-vv"]).await.succeeded();
    // The method is stored with the name, and the secret in the encrypted record.
    home.run(&["login", "robot", "--force"]).await.succeeded();
    home.run(&["tools", "robot"]).await.succeeded();
    assert_eq!(home.testbed.token_requests("client_credentials"), 3);
    assert_kept(&home, "planted-secret");
}

#[cfg(unix)]
#[tokio::test]
async fn a_private_key_logs_in_with_client_credentials_unless_others_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let robot = ConfidentialClient::with_key("robot", pair.public());
    let home = Home::with(Testbed::builder().confidential_client(robot)).await;
    let pem = pair.private_pem();
    let (url, file) = (home.url(), home.file("robot.pem", &pem));
    let typed = [
        "login",
        "robot",
        &url,
        "--client-credentials",
        "--client-id",
        "robot",
        "--private-key",
        &file,
        "-vv",
    ];
    let allow = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(0o640);
    home.run(&typed)
        .await
        .ended(2)
        .says("other users can read the private key")
        .says("hint: chmod 600 ");
    allow(0o600);
    home.run(&typed).await.succeeded();
    std::fs::remove_file(&file).unwrap();
    home.run(&["refresh", "robot", "-vv"]).await.succeeded();
    let get = home.run(&["show", "robot", "--json"]).await.succeeded();
    assert_eq!(get.json()["client"]["key"], "ES256");
    for line in pem.lines().filter(|line| !line.starts_with("---")) {
        assert_kept(&home, line);
    }
}

#[tokio::test]
async fn a_workload_jwt_file_is_read_again_at_each_refresh() {
    let home = Home::with(Testbed::builder().workload_issuer("https://cluster.example")).await;
    let url = home.url();
    let first = home.testbed.workload_jwt(&json!({})).unwrap();
    let file = home.file("token.jwt", &first);
    let typed = ["login", "job", &url, "--workload-token", &file, "-vv"];
    home.run(&typed).await.succeeded();
    let second = home.testbed.workload_jwt(&json!({})).unwrap();
    home.file("token.jwt", &second);
    home.run(&["refresh", "job", "-vv"]).await.succeeded();
    assert_kept(&home, &first);
    assert_kept(&home, &second);
    home.run(&["show", "job"])
        .await
        .succeeded()
        .says("workload");
    std::fs::remove_file(&file).unwrap();
    let failed = home.run(&["login", "job", "--force", "--json"]).await;
    assert_eq!(
        failed.ended(1).json()["error"]["code"],
        "non_interactive_grant"
    );
}

/// Returns an enterprise login with an ID token in a file, and its arguments.
pub(crate) async fn enterprise() -> (Home, Vec<String>) {
    let at_idp = ConfidentialClient::with_secret("app-at-idp", "planted-at-the-idp");
    let builder = Testbed::builder().client("app", Some("planted-secret"));
    let home = Home::with(builder.enterprise(at_idp, "app")).await;
    let issuer = home.testbed.identity_provider().unwrap();
    let id_token = home.testbed.id_token(&json!({})).unwrap();
    let file = home.file("id-token.jwt", id_token);
    let endpoint = format!("{issuer}/oauth2/token");
    let url = home.url();
    let typed = [
        "login",
        "work",
        &url,
        "--client-id",
        "app",
        "--idp",
        &issuer,
        "--idp-token-endpoint",
        &endpoint,
        "--idp-client-id",
        "app-at-idp",
        "--id-token",
        &file,
        "-vv",
    ];
    let typed = typed.map(str::to_owned).to_vec();
    (home, typed)
}

pub(crate) const AT_BOTH: [(&str, &str); 2] = [
    ("MCP_OAUTH_CLIENT_SECRET", "planted-secret"),
    ("MCP_OAUTH_IDP_CLIENT_SECRET", "planted-at-the-idp"),
];

#[tokio::test]
async fn an_identity_provider_logs_in_with_an_id_jag() {
    let (home, typed) = enterprise().await;
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    home.run_in(&AT_BOTH, &typed).await.succeeded();
    home.run(&["show", "work"])
        .await
        .succeeded()
        .says("enterprise")
        .says("the login is non-interactive");
    // The ID token is read again; the secrets are stored encrypted with the login.
    let second = home.testbed.id_token(&json!({})).unwrap();
    home.file("id-token.jwt", &second);
    home.run(&["refresh", "work", "-vv"]).await.succeeded();
    home.run(&["login", "work", "--force", "-vv"])
        .await
        .succeeded();
    home.run(&["tools", "work"]).await.succeeded();
    let exchanges = home
        .testbed
        .count(Peer::IdentityProvider, "POST", "/oauth2/token");
    assert_eq!(exchanges, 3);
    for secret in ["planted-secret", "planted-at-the-idp", &second] {
        assert_kept(&home, secret);
    }
}

#[tokio::test]
async fn a_refresh_token_of_the_identity_provider_logs_in_too() {
    let (home, typed) = enterprise().await;
    let refresh_token = home.testbed.idp_refresh_token();
    let file = home.file("idp-refresh-token", &refresh_token);
    let at = typed
        .iter()
        .position(|argument| argument == "--id-token")
        .unwrap();
    let mut typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    typed[at] = "--idp-refresh-token";
    typed[at + 1] = &file;
    home.run_in(&AT_BOTH, &typed).await.succeeded();
    // It is read again; that it is a refresh token is stored with the login.
    home.run(&["refresh", "work", "-vv"]).await.succeeded();
    assert_kept(&home, &refresh_token);
    let both = [&typed[..], &["--id-token", &file]].concat();
    home.run_in(&AT_BOTH, &both).await.ended(2);
    let neither = [&typed[..at], &typed[at + 2..]].concat();
    home.run_in(&AT_BOTH, &neither).await.ended(2);
}

#[tokio::test]
async fn an_idp_that_rejects_the_request_is_reported() {
    let (home, typed) = enterprise().await;
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let without_idp_secret = [AT_BOTH[0]];
    home.run_in(&without_idp_secret, &typed)
        .await
        .ended(1)
        .says("the identity provider at ");
    // Without the token endpoint of the identity provider the options are incomplete.
    home.run(&typed[..7])
        .await
        .ended(2)
        .says("--idp-token-endpoint");
    let mut unsafe_endpoint = typed.clone();
    unsafe_endpoint[8] = "http://idp.example/token";
    home.run_in(&AT_BOTH, &unsafe_endpoint)
        .await
        .ended(2)
        .says("cannot use the token endpoint of the identity provider");
    // The metadata of the server lists another profile only
    // (draft-ietf-oauth-identity-assertion-authz-grant).
    let member = "authorization_grant_profiles_supported".to_owned();
    let others = json!(["urn:example:another-profile"]);
    home.testbed.set_fault(Fault::MetadataField(member, others));
    home.run_in(&AT_BOTH, &typed)
        .await
        .ended(1)
        .says("does not support ID-JAG");
}

#[tokio::test]
async fn a_dpop_token_is_sent_with_a_proof_and_printed_with_a_warning() {
    let home = Home::with(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    home.login(&["notes", &home.url(), "--dpop"])
        .await
        .succeeded();
    home.run(&["request", "notes", "notes"]).await.succeeded();
    let get = home.run(&["show", "notes", "--json"]).await.succeeded();
    assert!(get.json()["dpop_key"].is_string());
    let token = home.run(&["token", "notes", "--json"]).await.succeeded();
    token.says("needs a DPoP proof with its key");
    assert_eq!(token.json()["token_type"], "DPoP");
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_without_a_client_is_a_wrong_usage() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::new().await;
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let file = home.file("robot.pem", pair.private_pem());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let typed = ["login", "notes", &home.url(), "--private-key", &file];
    home.run(&typed)
        .await
        .ended(2)
        .says("a private key needs a client ID");
}
