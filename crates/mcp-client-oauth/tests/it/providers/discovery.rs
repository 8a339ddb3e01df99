//! The URLs at which providers publish their metadata.

use mcp_client_oauth::flow::{DiscoveryOptions, DiscoverySource, Issuer, IssuerAlias, Quirks};

use super::*;

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const SCALEKIT: &str = "https://leafpad.eu.scalekit.com/resources/res_120307199615436034";

fn legacy() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::default();
    options.legacy = true;
    options
}

/// Scalekit (and Descope) publishes its document only below the path of the issuer.
fn scalekit(written: &str) -> Servers {
    let prm = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    Servers::at("https://mcp.example.com/mcp", &challenge(prm))
        .document(prm, &resource("https://mcp.example.com/mcp", SCALEKIT))
        .document(
            &format!("{SCALEKIT}{OAUTH}"),
            &metadata(written, "https://leafpad.eu.scalekit.com/oauth"),
        )
        .post(
            "https://leafpad.eu.scalekit.com/oauth/register",
            201,
            &registered(),
        )
        .post(
            "https://leafpad.eu.scalekit.com/oauth/token",
            200,
            &tokens(),
        )
}

#[tokio::test]
async fn metadata_below_the_issuer_path_is_tried_last() {
    let scripted = Scripted::new(scalekit(SCALEKIT));
    scripted.login().await.unwrap();
    let origin = "https://leafpad.eu.scalekit.com";
    let path = &SCALEKIT[origin.len()..];
    let trail = scripted.servers.trail();
    let requested: Vec<&str> = trail
        .iter()
        .filter_map(|request| request.strip_prefix("GET https://leafpad.eu.scalekit.com"))
        .collect();
    assert_eq!(
        requested,
        [
            format!("{OAUTH}{path}"),
            format!("{OPENID}{path}"),
            format!("{path}{OPENID}"),
            format!("{path}{OAUTH}"),
        ]
    );
    let scripted = Scripted::new(scalekit("https://leafpad.eu.scalekit.com"));
    let error = scripted.login().await.unwrap_err();
    assert!(is_other_issuer(&error), "{error}");
}

/// `https://mcp.slack.com/mcp`: one of the well-known locations redirects to another origin.
fn slack(challenge: &str) -> Servers {
    Servers::at("https://mcp.slack.com/mcp", challenge)
        .redirect(
            "https://mcp.slack.com/.well-known/oauth-protected-resource/mcp",
            "https://slack.com/",
        )
        .document(
            &format!("https://mcp.slack.com{OAUTH}"),
            &metadata("https://mcp.slack.com", "https://slack.com"),
        )
}

#[tokio::test]
async fn a_redirect_to_another_origin_does_not_end_the_search() {
    let servers = slack("Bearer").document(
        "https://mcp.slack.com/.well-known/oauth-protected-resource",
        &resource("https://mcp.slack.com", "https://mcp.slack.com"),
    );
    let scripted = Scripted::new(servers);
    let found = scripted
        .discovered(&DiscoveryOptions::default())
        .await
        .unwrap();
    assert_eq!(found.issuer().as_str(), "https://mcp.slack.com");
    let followed = |sent: &String| sent.starts_with("GET https://slack.com");
    assert!(!scripted.servers.trail().iter().any(followed));
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_named_where_nothing_is_found() {
    let prm = "https://mcp.slack.com/.well-known/oauth-protected-resource";
    let issuer = "https://as.example.com";
    for servers in [
        slack("Bearer").redirect(
            &format!("https://mcp.slack.com{OAUTH}"),
            "https://slack.com/",
        ),
        slack("Bearer")
            .document(prm, &resource("https://mcp.slack.com", issuer))
            .redirect(&format!("{issuer}{OAUTH}"), "https://slack.com/"),
    ] {
        let scripted = Scripted::new(servers);
        let error = scripted
            .discovered(&DiscoveryOptions::default())
            .await
            .unwrap_err();
        let Error::Discovery(
            DiscoveryError::NoResourceMetadata { tried, .. }
            | DiscoveryError::NoServerMetadata { tried, .. },
        ) = &error
        else {
            panic!("{error}");
        };
        let target = tried.iter().find_map(|tried| tried.redirect.as_ref());
        assert_eq!(target.unwrap().as_raw(), "https://slack.com/");
        let says = "redirects to another origin, not followed: `https://slack.com/`";
        assert!(error.to_string().contains(says), "{error}");
        let followed = |sent: &String| sent.starts_with("GET https://slack.com");
        assert!(!scripted.servers.trail().iter().any(followed));
    }
}

const ATLASSIAN: &str = "https://mcp.atlassian.com/v1/mcp";

/// `https://mcp.atlassian.com/v1/mcp`, a server of the revision 2025-03-26.
fn atlassian(issuer: &str, base: &str) -> Servers {
    let challenge = "Bearer realm=\"OAuth\", error=\"invalid_token\"";
    Servers::at(ATLASSIAN, challenge)
        .document(
            &format!("https://mcp.atlassian.com{OAUTH}"),
            &metadata(issuer, base),
        )
        .post(&format!("{base}/register"), 201, &registered())
        .post(&format!("{base}/token"), 200, &tokens())
}

#[tokio::test]
async fn legacy_metadata_is_named_in_the_error_and_not_used() {
    let url = format!("https://mcp.atlassian.com{OAUTH}");
    let servers = || atlassian("https://mcp.atlassian.com", "https://mcp.atlassian.com/v1");
    let scripted = Scripted::new(servers());
    let error = scripted.login().await.unwrap_err();
    let Error::Discovery(DiscoveryError::LegacyMetadata {
        server,
        status: 401,
        url: found,
        issuer,
        tried,
    }) = &error
    else {
        panic!("{error}");
    };
    assert_eq!(server.as_str(), ATLASSIAN);
    assert_eq!(
        (found.as_str(), issuer.as_str()),
        (url.as_str(), "https://mcp.atlassian.com")
    );
    assert_eq!(tried.len(), 2);
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    assert_eq!(scripted.user.opened_urls(), []);
    assert_eq!(
        scripted
            .servers
            .count("POST https://mcp.atlassian.com/v1/register"),
        0
    );

    let scripted = Scripted::new(servers());
    let session = scripted.login_with(Login::legacy).await.unwrap();
    let discovery = session.record().unwrap().discovery;
    assert_eq!(discovery.source, DiscoverySource::Legacy);
}

#[tokio::test]
async fn missing_metadata_and_legacy_metadata_are_different_errors() {
    let scripted = Scripted::new(Servers::at(ATLASSIAN, "Bearer"));
    let error = scripted
        .discovered(&DiscoveryOptions::default())
        .await
        .unwrap_err();
    let Error::Discovery(DiscoveryError::NoResourceMetadata { tried, .. }) = &error else {
        panic!("{error}");
    };
    let urls: Vec<&str> = tried.iter().map(|tried| tried.url.path()).collect();
    let prm = "/.well-known/oauth-protected-resource";
    assert_eq!(urls, [&format!("{prm}/v1/mcp"), prm, OAUTH]);
}

/// The document that Atlassian published in the middle of 2026 named another issuer.
#[tokio::test]
async fn an_accepted_issuer_alias_applies_to_legacy_metadata() {
    let other = "https://cf.mcp.atlassian.com";
    let scripted = Scripted::new(atlassian(other, &format!("{other}/v1")));
    let error = scripted
        .discovered(&DiscoveryOptions::default())
        .await
        .unwrap_err();
    let Error::Discovery(DiscoveryError::LegacyMetadata { issuer, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(issuer.as_str(), other);
    let error = scripted.discovered(&legacy()).await.unwrap_err();
    assert!(is_other_issuer(&error), "{error}");

    let mut quirks = Quirks::default();
    quirks.issuers = vec![IssuerAlias::from(Issuer::from(other))];
    let with_alias = |login: Login| login.legacy().quirks(quirks.clone());
    let session = scripted.login_with(with_alias).await.unwrap();
    assert_eq!(
        session.record().unwrap().discovery.issuer().as_str(),
        "https://mcp.atlassian.com"
    );
    // An alias alone does not allow legacy metadata.
    let mut options = DiscoveryOptions::default();
    options.quirks = quirks;
    let error = scripted.discovered(&options).await.unwrap_err();
    let is_named = matches!(
        error,
        Error::Discovery(DiscoveryError::LegacyMetadata { .. })
    );
    assert!(is_named, "{error}");
}

/// The `OAuth` example of `rmcp` 3 (`examples/servers/src/complex_auth_streamhttp.rs`): a bare 401, and
/// a host and a port for an issuer.
#[tokio::test]
async fn an_issuer_alias_that_is_not_a_url_is_accepted_by_exact_match() {
    let origin = "http://127.0.0.1:3000";
    let location = format!("{origin}{OAUTH}");
    let servers = Servers::at(&format!("{origin}/mcp"), "").document(
        &location,
        &metadata("127.0.0.1:3000", &format!("{origin}/oauth")),
    );
    let scripted = Scripted::new(servers);
    let error = scripted
        .discovered(&DiscoveryOptions::default())
        .await
        .unwrap_err();
    let Error::Discovery(DiscoveryError::LegacyMetadata { issuer, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(issuer.as_str(), "127.0.0.1:3000");
    let mut options = legacy();
    assert!(is_other_issuer(
        &scripted.discovered(&options).await.unwrap_err()
    ));
    options.quirks.issuers = vec![IssuerAlias::from(Issuer::from("127.0.0.1:3000"))];
    let found = scripted.discovered(&options).await.unwrap();
    assert_eq!(found.issuer().as_str(), origin);
}

#[tokio::test]
async fn a_document_that_is_not_metadata_is_named_in_the_error() {
    let servers = Servers::at(ATLASSIAN, "Bearer").document(
        &format!("https://mcp.atlassian.com{OAUTH}"),
        &json!({"a": 1}),
    );
    let error = Scripted::new(servers)
        .discovered(&DiscoveryOptions::default())
        .await
        .unwrap_err();
    let Error::Discovery(DiscoveryError::NoResourceMetadata { tried, .. }) = &error else {
        panic!("{error}");
    };
    assert!(tried.last().unwrap().unusable.is_some(), "{error}");
    assert!(
        error
            .to_string()
            .contains("it is not authorization server metadata")
    );
}

/// While a server fails, its resource metadata may exist: nothing is concluded.
#[tokio::test]
async fn legacy_metadata_is_not_named_while_the_server_fails() {
    let busy = "https://mcp.atlassian.com/.well-known/oauth-protected-resource";
    let servers = atlassian("https://mcp.atlassian.com", "https://mcp.atlassian.com/v1");
    let scripted = Scripted::new(servers.unavailable(busy));
    let error = scripted
        .discovered(&DiscoveryOptions::default())
        .await
        .unwrap_err();
    let is_missing = matches!(
        error,
        Error::Discovery(DiscoveryError::NoResourceMetadata { .. })
    );
    assert!(is_missing, "{error}");
    assert_eq!(error.remedy(), Remedy::Retry);
}
