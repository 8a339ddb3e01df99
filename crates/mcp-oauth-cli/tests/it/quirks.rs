//! Servers that need provider overrides: the flags are stored with the name.

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};

use crate::support::Home;

#[tokio::test]
async fn provider_overrides_are_remembered_with_the_name() {
    let mut builder = Testbed::builder();
    for fault in [
        Fault::ResourceNotSupported,
        Fault::RequiresScopeOnRefresh,
        Fault::RequiresParameter("audience".to_owned(), "https://a.example".to_owned()),
        Fault::Corrupt(Endpoint::Token, Corruption::FormEncoded),
        Fault::NoPkceMethods,
    ] {
        builder = builder.fault(fault);
    }
    let home = Home::with(builder).await;
    let url = home.url();
    let refused = home.run(&["login", "notes", &url]).await.ended(1);
    refused.says(&format!("mcp-oauth login notes {url} --assume-pkce"));
    let overrides = [
        "--no-resource",
        "--scope-on-refresh",
        "--form-encoded-responses",
        "--assume-pkce",
        "--authorize-param",
        "audience=https://a.example",
        "--login-hint",
        "me@x.example",
    ];
    let typed = [&["notes", url.as_str()], &overrides[..]].concat();
    home.login(&typed).await.succeeded();
    home.run(&["refresh", "notes"]).await.succeeded();
    let get = home.run(&["show", "notes", "--json"]).await.succeeded();
    let quirks = &get.json()["quirks"];
    assert_eq!(quirks["resource"], "omitted");
    assert_eq!(quirks["authorize"]["login_hint"], "me@x.example");
    home.run(&["show", "notes"]).await.says("overrides");
    // A login is reused, and after a logout the overrides are still stored with the name.
    home.run(&["login", "notes"]).await.succeeded();
    home.run(&["logout", "notes", "--json"]).await;
    home.login(&typed[..1]).await.succeeded();
    assert_eq!(home.testbed.token_requests("authorization_code"), 2);
}

/// As `OpenAuth` (npm `@openauthjs/openauth` 0.4.3) responds: without `token_type`.
#[tokio::test]
async fn a_token_without_a_type_is_bearer_with_assume_bearer() {
    let fault = Fault::TokenWithout("token_type".to_owned());
    let home = Home::with(Testbed::builder().fault(fault)).await;
    let url = home.url();
    let refused = home.login(&["notes", &url]).await.ended(1);
    refused.says("it has no token_type");
    assert_eq!(
        home.testbed
            .count(Peer::AuthorizationServer, "POST", "/revoke"),
        2
    );
    let typed = ["notes", &url, "--assume-bearer"];
    home.login(&typed).await.succeeded();
    // The flag is stored with the name.
    home.run(&["refresh", "notes"]).await.succeeded();
    home.login(&["notes", "--force"]).await.succeeded();
}

#[tokio::test]
async fn an_issuer_alias_is_accepted_with_its_flag() {
    let fault = Fault::CallbackIss("https://other.example".to_owned());
    let home = Home::with(Testbed::builder().fault(fault)).await;
    let url = home.url();
    // The name that another server gives itself is in the message, and in no command that can be pasted.
    let accept = format!("mcp-oauth login notes {url} --force --accept-issuer ISSUER  (");
    home.login(&["notes", &url]).await.ended(1).says(&accept);
    let taken = ["notes", &url, "--accept-issuer", "https://other.example"];
    let login = home.login(&taken).await.succeeded();
    login.says("accepts other issuer names of the server");
    home.login(&["notes", "--force"]).await.succeeded();
}

/// Another authorization server of the resource does not inherit the alias.
#[tokio::test]
async fn an_issuer_alias_is_bound_to_its_issuer() {
    let fault = || Fault::CallbackIss("https://other.example".to_owned());
    let home = Home::with(Testbed::builder().fault(fault())).await;
    let url = home.url();
    let other = Home::with(Testbed::builder().fault(fault()).resource(&url)).await;
    let taken = ["notes", &url, "--accept-issuer", "https://other.example"];
    home.login(&taken).await.succeeded();
    let issuers = serde_json::json!([other.testbed.issuer()]);
    let moved = Fault::PrmField("authorization_servers".to_owned(), issuers);
    home.testbed.set_fault(moved);
    let refused = home.login(&["notes", "--force"]).await.ended(1);
    let accepted = [
        "notes",
        "--force",
        "--accept-issuer",
        "https://other.example",
    ];
    refused.says("mcp-oauth login notes --force --accept-issuer ISSUER  (");
    assert_eq!(other.testbed.token_requests("authorization_code"), 0);
    home.login(&accepted).await.succeeded();
    assert_eq!(other.testbed.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn a_reserved_authorization_parameter_is_refused() {
    let home = Home::new().await;
    for parameter in ["state=x", "redirect_uri=https://evil.example", "=x", "x"] {
        let url = home.url();
        let typed = ["login", "notes", &url, "--authorize-param", parameter];
        home.run(&typed).await.ended(2);
    }
    assert_eq!(home.testbed.requests().len(), 0);
}
