//! `login` without a person, and with tokens that are bound to a key.

use mcp_oauth_testbed::{Algorithm, DpopPolicy, Fault, KeyPair, Machine, Peer, Testbed};
use serde_json::json;

use crate::support::Home;

/// What no output and no file of ours may have.
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
async fn a_client_with_a_secret_logs_in_in_its_own_name() {
    let robot = Machine::with_secret("robot", "planted-secret");
    let home = Home::with(Testbed::builder().machine(robot)).await;
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
    home.run(&["get", "robot"])
        .await
        .succeeded()
        .says("client_credentials")
        .says("a new token needs nobody");
    home.run(&["refresh", "robot", "-vv"]).await.succeeded();
    // The name remembers how, and the sealed record the secret.
    home.run(&["login", "robot", "--force"]).await.succeeded();
    home.run(&["tools", "robot"]).await.succeeded();
    assert_eq!(home.testbed.token_requests("client_credentials"), 3);
    assert_kept(&home, "planted-secret");
}

#[cfg(unix)]
#[tokio::test]
async fn a_client_with_a_key_logs_in_in_its_own_name_unless_others_can_read_the_key() {
    use std::os::unix::fs::PermissionsExt as _;

    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let robot = Machine::with_key("robot", pair.public());
    let home = Home::with(Testbed::builder().machine(robot)).await;
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
        .says("others can read the private key")
        .says("hint: chmod 600 ");
    allow(0o600);
    home.run(&typed).await.succeeded();
    std::fs::remove_file(&file).unwrap();
    home.run(&["refresh", "robot", "-vv"]).await.succeeded();
    let get = home.run(&["get", "robot", "--json"]).await.succeeded();
    assert_eq!(get.json()["client"]["key"], "ES256");
    for line in pem.lines().filter(|line| !line.starts_with("---")) {
        assert_kept(&home, line);
    }
}

#[tokio::test]
async fn a_workload_logs_in_by_a_jwt_that_is_read_anew() {
    let home = Home::with(Testbed::builder().wif("https://cluster.example")).await;
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
    home.run(&["get", "job"]).await.succeeded().says("workload");
    std::fs::remove_file(&file).unwrap();
    let failed = home.run(&["login", "job", "--force", "--json"]).await;
    assert_eq!(failed.ended(1).json()["error"]["code"], "machine_grant");
}

/// A person of an enterprise, whose ID token is in a file.
pub(crate) async fn enterprise() -> (Home, Vec<String>) {
    let at_idp = Machine::with_secret("app-at-idp", "planted-at-the-idp");
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
async fn an_identity_provider_vouches_for_a_person() {
    let (home, typed) = enterprise().await;
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    home.run_in(&AT_BOTH, &typed).await.succeeded();
    home.run(&["get", "work"])
        .await
        .succeeded()
        .says("enterprise")
        .says("a new token needs nobody");
    // The ID token is read anew; the rest is sealed with the login.
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
    let at = typed.iter().position(|word| word == "--id-token").unwrap();
    let mut typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    typed[at] = "--idp-refresh-token";
    typed[at + 1] = &file;
    home.run_in(&AT_BOTH, &typed).await.succeeded();
    // It is read again, and that it is a refresh token is kept with the login.
    home.run(&["refresh", "work", "-vv"]).await.succeeded();
    assert_kept(&home, &refresh_token);
    let both = [&typed[..], &["--id-token", &file]].concat();
    home.run_in(&AT_BOTH, &both).await.ended(2);
    let neither = [&typed[..at], &typed[at + 2..]].concat();
    home.run_in(&AT_BOTH, &neither).await.ended(2);
}

#[tokio::test]
async fn what_an_identity_provider_is_asked_for_in_vain_is_told() {
    let (home, typed) = enterprise().await;
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let without_idp_secret = [AT_BOTH[0]];
    home.run_in(&without_idp_secret, &typed)
        .await
        .ended(1)
        .says("the identity provider at ");
    // Half of it cannot be meant.
    home.run(&typed[..7])
        .await
        .ended(2)
        .says("--idp-token-endpoint");
    let mut unsafe_endpoint = typed.clone();
    unsafe_endpoint[8] = "http://idp.example/token";
    home.run_in(&AT_BOTH, &unsafe_endpoint)
        .await
        .ended(2)
        .says("the token endpoint of the identity provider cannot be used");
    // J6: the server says that it takes other assertions only.
    let member = "authorization_grant_profiles_supported".to_owned();
    let others = json!(["urn:example:another-profile"]);
    home.testbed.set_fault(Fault::MetadataField(member, others));
    home.run_in(&AT_BOTH, &typed)
        .await
        .ended(1)
        .says("takes nobody's word for a person");
}

#[tokio::test]
async fn a_bound_token_goes_with_a_proof_and_is_not_given_out_silently() {
    let home = Home::with(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    home.login(&["notes", &home.url(), "--dpop"])
        .await
        .succeeded();
    home.run(&["request", "notes", "notes"]).await.succeeded();
    let get = home.run(&["get", "notes", "--json"]).await.succeeded();
    assert!(get.json()["dpop_key"].is_string());
    let token = home.run(&["token", "notes", "--json"]).await.succeeded();
    token.says("of no use without a proof of its key");
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
        .says("a private key belongs to a client");
}
