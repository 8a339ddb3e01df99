//! The slash of an empty path in an issuer (RFC 3986 §6.2.3).

use std::time::Duration;

use mcp_client_oauth::flow::{
    DiscoveryOptions, IdentityOptions, Issuer, PreregisteredClient, identify,
};

use super::*;

const BARE: &str = "https://secure.indeed.com";
const SLASHED: &str = "https://secure.indeed.com/";
const LOCATION: &str = "https://secure.indeed.com/.well-known/oauth-authorization-server";
const REGISTER: &str = "POST https://secure.indeed.com/oauth/v2/register";

/// `https://mcp.indeed.com/mcp` (NousResearch/hermes-agent#95508): its resource metadata lists the
/// issuer as `listed`, and its authorization server metadata has `written`.
fn indeed(listed: &str, written: &str) -> Servers {
    let prm = "https://mcp.indeed.com/.well-known/oauth-protected-resource/mcp";
    let base = "https://secure.indeed.com/oauth/v2";
    Servers::at("https://mcp.indeed.com/mcp", &challenge(prm))
        .document(prm, &resource("https://mcp.indeed.com/mcp", listed))
        .document(LOCATION, &metadata(written, base))
        .post(&format!("{base}/register"), 201, &registered())
        .post(&format!("{base}/token"), 200, &tokens())
}

/// Box, Google Workspace, Xero, Close and Semgrep list the slash and do not write it; Indeed and Expo
/// do the reverse.
#[tokio::test]
async fn a_trailing_slash_on_an_empty_path_is_the_same_issuer() {
    for (listed, written) in [(SLASHED, BARE), (BARE, SLASHED)] {
        let scripted = Scripted::new(indeed(listed, written).iss(written));
        let session = scripted.login().await.unwrap();
        assert_eq!(
            session.record().unwrap().discovery.issuer().as_str(),
            written
        );
        session.refresh().await.unwrap();
        // The registered client is found again.
        scripted.clock.advance(Duration::from_secs(24 * 60 * 60));
        scripted.login().await.unwrap();
        assert_eq!(scripted.servers.count(REGISTER), 1);
        assert_eq!(scripted.servers.count(&format!("GET {LOCATION}")), 2);
    }
}

/// RFC 9207 §2.4: `iss` is compared with the issuer in the document, character by character.
#[tokio::test]
async fn the_callback_is_compared_with_the_document_byte_for_byte() {
    for (listed, written) in [(SLASHED, BARE), (BARE, SLASHED)] {
        let scripted = Scripted::new(indeed(listed, written).iss(listed));
        let error = scripted.login().await.unwrap_err();
        let is_refused = matches!(
            error,
            Error::Authorization(AuthorizationError::Callback(CallbackError::Issuer { .. }))
        );
        assert!(is_refused, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_adds_or_drops_the_slash_keeps_its_clients() {
    let scripted = Scripted::new(indeed(SLASHED, SLASHED));
    scripted.login().await.unwrap();
    let changed = metadata(BARE, "https://secure.indeed.com/oauth/v2");
    scripted.servers.replace(LOCATION, &changed);
    scripted.clock.advance(Duration::from_secs(24 * 60 * 60));
    let session = scripted.login().await.unwrap();
    assert_eq!(session.record().unwrap().discovery.issuer().as_str(), BARE);
    assert_eq!(scripted.servers.count(REGISTER), 1);
}

#[tokio::test]
async fn a_client_works_with_both_spellings_of_the_issuer() {
    let scripted = Scripted::new(indeed(SLASHED, BARE));
    let discovery = scripted.discovered(&DiscoveryOptions::default()).await;
    let discovery = discovery.unwrap();
    let identify_at = async |issuer: &str| {
        let mut client = PreregisteredClient::new("c", None);
        client.issuer = Some(Issuer::from(issuer));
        let mut options = IdentityOptions::default();
        options.preregistered = Some(client);
        identify(&scripted.platform, &discovery, &options, None, None).await
    };
    for issuer in [SLASHED, BARE] {
        assert_eq!(identify_at(issuer).await.unwrap().client_id(), "c");
    }
    for other in ["https://secure.indeed.com//", "https://SECURE.indeed.com"] {
        let error = identify_at(other).await.unwrap_err();
        assert!(matches!(error, Error::Registration(_)), "{other}: {error}");
    }
}

#[tokio::test]
async fn every_other_difference_makes_another_issuer() {
    for written in [
        "https://secure.indeed.com//",
        "https://secure.indeed.com:443",
        "https://secure.indeed.com:443/",
        "https://SECURE.indeed.com/",
        "https://secure.indeed.com/?",
        "https://secure.indeed.com/#",
        "https://secure.indeed.com/t",
        "http://secure.indeed.com/",
    ] {
        let scripted = Scripted::new(indeed(BARE, written));
        let error = scripted.login().await.unwrap_err();
        assert!(is_other_issuer(&error), "{written}: {error}");
        assert_eq!(scripted.user.opened_urls(), []);
    }
    // A slash after a path makes another resource.
    let tenant = "https://secure.indeed.com/t";
    let location = format!("{LOCATION}/t");
    let servers = indeed(tenant, BARE);
    let slashed = metadata(
        "https://secure.indeed.com/t/",
        "https://secure.indeed.com/oauth/v2",
    );
    let scripted = Scripted::new(servers.document(&location, &slashed));
    let error = scripted.login().await.unwrap_err();
    assert!(is_other_issuer(&error), "{error}");
}
