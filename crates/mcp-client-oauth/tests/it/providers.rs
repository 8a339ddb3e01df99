//! Replayed metadata and responses of well-known providers: the documents are those that were published
//! in October 2026 (without members that no client reads), unless a test says otherwise.

use mcp_client_oauth::{
    Error, Login, Remedy,
    error::{AuthorizationError, CallbackError, DiscoveryError, ServerMetadataError, TokenError},
};
use serde_json::{Value, json};

use scripted::{Scripted, Servers, challenge, preregistered, registered, tokens};

mod discovery;
mod issuer_slash;
mod scopes;
mod scripted;
mod token_type;

/// Returns the metadata of an authorization server with endpoints below `base`.
fn metadata(issuer: &str, base: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "registration_endpoint": format!("{base}/register"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    })
}

fn resource(resource: &str, issuer: &str) -> Value {
    json!({"resource": resource, "authorization_servers": [issuer]})
}

/// Returns whether discovery failed because the metadata has another issuer.
fn is_other_issuer(error: &Error) -> bool {
    matches!(
        error,
        Error::Discovery(DiscoveryError::ServerMetadata {
            cause: ServerMetadataError::IssuerMismatch { .. },
            ..
        })
    )
}

/// Returns the scripted servers of `https://workiq.svc.cloud.microsoft/mcp`: the document at `tenant`
/// of Microsoft Entra has `written` as its issuer.
fn entra(host: &str, tenant: &str, written: &str) -> Servers {
    let prm = "https://workiq.svc.cloud.microsoft/.well-known/oauth-protected-resource/mcp";
    let base = format!("https://{host}/{tenant}");
    Servers::at("https://workiq.svc.cloud.microsoft/mcp", &challenge(prm))
        .document(
            prm,
            &json!({
                "resource": "https://workiq.svc.cloud.microsoft/mcp",
                "authorization_servers": [format!("{base}/v2.0")],
                "scopes_supported": ["fdcc1f02-fc51-4226-8753-f668596af7f7/WorkIQAgent.Ask"],
            }),
        )
        .document(
            &format!("{base}/v2.0/.well-known/openid-configuration"),
            &json!({
                "issuer": written,
                "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
                "token_endpoint": format!("{base}/oauth2/v2.0/token"),
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
            }),
        )
        .post(&format!("{base}/oauth2/v2.0/token"), 200, &tokens())
}

#[tokio::test]
async fn the_template_of_entra_is_accepted_at_three_tenants() {
    const HOST: &str = "login.microsoftonline.com";
    let template = format!("https://{HOST}/{{tenantid}}/v2.0");
    for tenant in ["organizations", "common", "consumers"] {
        let scripted = Scripted::new(entra(HOST, tenant, &template));
        let session = scripted.login_with(preregistered).await.unwrap();
        let issuer = session.record().unwrap().discovery.issuer().clone();
        assert_eq!(issuer.as_str(), format!("https://{HOST}/{tenant}/v2.0"));
    }
    let evil = "https://login.evil.example/{tenantid}/v2.0";
    let dogfood = "https://login.windows-ppe.net/{tenantid}/v2.0";
    for (host, tenant, written) in [
        (
            HOST,
            "72f988bf-86f1-41af-91ab-2d7cd011db47",
            template.as_str(),
        ),
        (HOST, "organizations", evil),
        (
            HOST,
            "organizations",
            "https://login.microsoftonline.com/{tenant}/v2.0",
        ),
        (
            HOST,
            "organizations",
            "https://login.microsoftonline.com/common/v2.0",
        ),
        (
            HOST,
            "organizations",
            "https://login.microsoftonline.us/{tenantid}/v2.0",
        ),
        ("login.evil.example", "organizations", evil),
        ("login.evil.example", "organizations", template.as_str()),
        ("login.windows-ppe.net", "organizations", dogfood),
    ] {
        let scripted = Scripted::new(entra(host, tenant, written));
        let error = scripted.login_with(preregistered).await.unwrap_err();
        assert!(
            is_other_issuer(&error),
            "{host} {tenant} {written}: {error}"
        );
        assert_eq!(scripted.user.opened_urls(), []);
    }
}

/// A server behind Amazon Cognito; `AgentCore` identity is one (anthropics/claude-code#13275).
fn cognito(issuer: &str) -> Servers {
    let prm = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    let base = "https://x.auth.us-east-1.amazoncognito.com/oauth2";
    Servers::at("https://mcp.example.com/mcp", &challenge(prm))
        .document(prm, &resource("https://mcp.example.com/mcp", issuer))
        .document(
            &format!("{issuer}/.well-known/openid-configuration"),
            &json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "revocation_endpoint": format!("{base}/revoke"),
                "response_types_supported": ["code", "token"],
                "scopes_supported": ["openid", "email", "phone", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            }),
        )
        .post(&format!("{base}/token"), 200, &tokens())
}

#[tokio::test]
async fn cognito_is_trusted_to_check_pkce_without_listing_it() {
    let pool = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf";
    let scripted = Scripted::new(cognito(pool));
    scripted.login_with(preregistered).await.unwrap();
    assert_eq!(scripted.requested("code_challenge_method"), "S256");
    for other in [
        "https://cognito-idp.us-east-1.amazonaws.com.evil.example/us-east-1_AbCdEf",
        "https://idp.us-east-1.amazonaws.com/us-east-1_AbCdEf",
    ] {
        let scripted = Scripted::new(cognito(other));
        let error = scripted.login_with(preregistered).await.unwrap_err();
        let is_unlisted = matches!(error, Error::Discovery(DiscoveryError::PkceUnlisted(_)));
        assert!(is_unlisted, "{other}: {error}");
    }
}

/// monday.com (NousResearch/hermes-agent#96107): the callback names the origin of the issuer.
fn monday(issuer: &str, written: &str) -> Servers {
    let prm = "https://mcp.monday.com/.well-known/oauth-protected-resource/mcp";
    let mut document = metadata(written, "https://auth.monday.com/oauth2");
    document["authorization_response_iss_parameter_supported"] = true.into();
    let location = issuer.replace(".com/", ".com/.well-known/oauth-authorization-server/");
    Servers::at("https://mcp.monday.com/mcp", &challenge(prm))
        .document(prm, &resource("https://mcp.monday.com/mcp", issuer))
        .document(&location, &document)
        .post(
            "https://auth.monday.com/oauth2/register",
            201,
            &registered(),
        )
        .post("https://auth.monday.com/oauth2/token", 200, &tokens())
}

#[tokio::test]
async fn only_the_origin_is_accepted_as_iss_of_monday() {
    const ISSUER: &str = "https://auth.monday.com/mcp";
    for iss in [ISSUER, "https://auth.monday.com"] {
        let scripted = Scripted::new(monday(ISSUER, ISSUER).iss(iss));
        let session = scripted.login().await.unwrap();
        assert_eq!(
            session.record().unwrap().discovery.issuer().as_str(),
            ISSUER
        );
    }
    for iss in [
        "https://auth.monday.com/",
        "https://auth.monday.com/mcp/",
        "https://monday.com",
        "https://evil.example",
    ] {
        let scripted = Scripted::new(monday(ISSUER, ISSUER).iss(iss));
        let error = scripted.login().await.unwrap_err();
        let Error::Authorization(AuthorizationError::Callback(cause)) = &error else {
            panic!("{iss}: {error}");
        };
        assert!(
            matches!(cause, CallbackError::Issuer { .. }),
            "{iss}: {error}"
        );
        assert_eq!(
            scripted
                .servers
                .forms("https://auth.monday.com/oauth2/token")
                .len(),
            0
        );
    }
    // Other issuers in the callback, and in the metadata, are compared exactly.
    let other = "https://auth.monday.com/other";
    let scripted = Scripted::new(monday(other, other).iss("https://auth.monday.com"));
    let error = scripted.login().await.unwrap_err();
    assert!(matches!(error, Error::Authorization(_)), "{error}");
    let scripted = Scripted::new(monday(ISSUER, "https://auth.monday.com"));
    let error = scripted.login().await.unwrap_err();
    assert!(is_other_issuer(&error), "{error}");
}

#[tokio::test]
async fn dropbox_gets_its_own_offline_access_parameter() {
    let prm = "https://mcp.dropbox.com/.well-known/oauth-protected-resource/mcp";
    let mut document = metadata("https://www.dropbox.com", "https://www.dropbox.com/oauth2");
    document["token_endpoint"] = "https://api.dropboxapi.com/oauth2/token".into();
    let mut issued = tokens();
    issued["token_type"] = "bearer".into();
    let servers = Servers::at("https://mcp.dropbox.com/mcp", &challenge(prm))
        .document(
            prm,
            &resource("https://mcp.dropbox.com/mcp", "https://www.dropbox.com"),
        )
        .document(
            "https://www.dropbox.com/.well-known/oauth-authorization-server",
            &document,
        )
        .post(
            "https://www.dropbox.com/oauth2/register",
            201,
            &registered(),
        )
        .post("https://api.dropboxapi.com/oauth2/token", 200, &issued);
    let scripted = Scripted::new(servers);
    scripted.login().await.unwrap();
    assert_eq!(scripted.requested("token_access_type"), "offline");
}
