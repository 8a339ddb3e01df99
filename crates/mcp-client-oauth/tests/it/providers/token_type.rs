//! The `token_type` of a token response (RFC 6749 §5.1).

use mcp_client_oauth::flow::{PrivateKey, Quirks};

use super::*;

const PRM: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
const REVOKE: &str = "https://auth.example.com/revoke";

/// An MCP server behind `OpenAuth` (npm `@openauthjs/openauth` 0.4.3): its metadata has no PKCE methods
/// and no revocation endpoint, its token response no `token_type` (`dist/esm/issuer.js`).
fn openauth(revocation: Option<&str>) -> Servers {
    let issuer = "https://auth.example.com";
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": ["code", "token"],
    });
    if let Some(url) = revocation {
        document["revocation_endpoint"] = url.into();
    }
    Servers::at("https://mcp.example.com/mcp", &challenge(PRM))
        .document(PRM, &resource("https://mcp.example.com/mcp", issuer))
        .document(
            &format!("{issuer}/.well-known/oauth-authorization-server"),
            &document,
        )
        .post(
            &format!("{issuer}/token"),
            200,
            &json!({
                "access_token": "e30.e30.c2ln",
                "expires_in": 2_592_000,
                "refresh_token": "user:1f2e3d4c:8c1d2e3f",
            }),
        )
        .post(REVOKE, 200, &json!({}))
}

/// Logs in at a server that does not list PKCE methods.
fn at_openauth(login: Login) -> Login {
    preregistered(login).quirks(assume_pkce())
}

fn assume_pkce() -> Quirks {
    let mut quirks = Quirks::default();
    quirks.assume_pkce = Some(true);
    quirks
}

#[tokio::test]
async fn a_missing_token_type_is_named() {
    let scripted = Scripted::new(openauth(None));
    let error = scripted.login_with(at_openauth).await.unwrap_err();
    let says = error.to_string();
    assert!(says.contains("it has no token_type"), "{says}");
    assert!(
        says.contains("tokens that the server issued are not used"),
        "{says}"
    );
    assert_eq!(error.remedy(), Remedy::ContactServerOperator);
    assert!(
        !says.contains("e30") && !says.contains("8c1d2e3f"),
        "{says}"
    );
}

#[tokio::test]
async fn a_missing_token_type_is_read_as_bearer_where_configured() {
    let scripted = Scripted::new(openauth(None));
    let mut quirks = assume_pkce();
    quirks.assume_bearer = Some(true);
    let session = scripted.login_with(|login| preregistered(login).quirks(quirks));
    let session = session.await.unwrap();
    let header = session.record().unwrap().tokens.access_token.header();
    assert_eq!(header, "Bearer e30.e30.c2ln");
    // The setting is stored with the login.
    session.refresh().await.unwrap();
    assert_eq!(
        scripted
            .servers
            .forms("https://auth.example.com/token")
            .len(),
        2
    );
}

#[tokio::test]
async fn tokens_of_a_rejected_response_are_revoked() {
    let scripted = Scripted::new(openauth(Some(REVOKE)));
    let error = scripted.login_with(at_openauth).await.unwrap_err();
    assert!(
        error.to_string().contains("it has no token_type"),
        "{error}"
    );
    let revoked = scripted.servers.forms(REVOKE);
    let revoked: Vec<&str> = revoked.iter().map(|form| form["token"].as_str()).collect();
    assert_eq!(revoked, ["user:1f2e3d4c:8c1d2e3f", "e30.e30.c2ln"]);
}

/// A server may reject the same assertion as a replay (RFC 7523 §3).
#[tokio::test]
async fn each_revocation_has_its_own_assertion() {
    let pair = mcp_oauth_testbed::KeyPair::generate(mcp_oauth_testbed::Algorithm::Es256).unwrap();
    let key = PrivateKey::from_pem(&pair.private_pem()).unwrap();
    let scripted = Scripted::new(openauth(Some(REVOKE)));
    let login = scripted.login_with(|login| at_openauth(login).private_key(key));
    login.await.unwrap_err();
    let token = "https://auth.example.com/token";
    let forms = [
        scripted.servers.forms(token),
        scripted.servers.forms(REVOKE),
    ]
    .concat();
    let assertions = forms.iter().map(|form| form["client_assertion"].clone());
    let assertions: std::collections::HashSet<String> = assertions.collect();
    assert_eq!(assertions.len(), 3);
}

/// Slack (`https://mcp.slack.com/mcp`): the token of a user has the type `user`
/// (different-ai/openwork#3569).
fn slack(issuer: &str, body: &Value) -> Servers {
    let prm = "https://mcp.slack.com/.well-known/oauth-protected-resource";
    let token = "https://slack.com/api/oauth.v2.user.access";
    let mut document = metadata(issuer, "https://slack.com");
    document["token_endpoint"] = token.into();
    document["authorization_endpoint"] = "https://slack.com/oauth/v2_user/authorize".into();
    Servers::at("https://mcp.slack.com/mcp", &challenge(prm))
        .document(prm, &resource("https://mcp.slack.com", issuer))
        .document(
            &format!("{issuer}/.well-known/oauth-authorization-server"),
            &document,
        )
        .post(token, 200, body)
}

#[tokio::test]
async fn a_slack_user_token_is_a_bearer_token_only_at_slack() {
    let user = json!({
        "ok": true, "access_token": "xoxp-1", "token_type": "user", "expires_in": 43200,
        "refresh_token": "xoxe-1", "scope": "canvases:read,canvases:write,channels:history",
    });
    let scripted = Scripted::new(slack("https://mcp.slack.com", &user));
    let session = scripted.login_with(preregistered).await.unwrap();
    let header = session.record().unwrap().tokens.access_token.header();
    assert_eq!(header, "Bearer xoxp-1");
    session.refresh().await.unwrap();
    for other in ["https://slack.com.evil.example", "https://as.example.com"] {
        let scripted = Scripted::new(slack(other, &user));
        let error = scripted.login_with(preregistered).await.unwrap_err();
        assert!(
            error.to_string().contains("its token_type is not Bearer"),
            "{error}"
        );
    }
    // anthropics/claude-code#59725: the tokens are in another member.
    let nested = json!({
        "ok": true, "app_id": "A1",
        "authed_user": {"id": "U1", "access_token": "xoxp-1", "token_type": "user"},
    });
    let scripted = Scripted::new(slack("https://mcp.slack.com", &nested));
    let error = scripted.login_with(preregistered).await.unwrap_err();
    let Error::TokenExchange {
        cause: TokenError::Malformed { .. },
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert!(
        error.to_string().contains("it has no access_token"),
        "{error}"
    );
}
