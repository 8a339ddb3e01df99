//! Servers that want things otherwise, and what is said of them.

use std::time::Duration;

use mcp_client_oauth::{
    Client, Error, IssuerAlias, LoginOptions, Quirks, Remedy, ResourceParameter, Session,
    error::{AuthorizationError, CallbackError, DiscoveryError, ServerMetadataError},
    proto::{resource_metadata::Resource, server_metadata::Issuer},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Testbed};

use crate::support::{Fixture, bounded, parameters};

fn with(change: impl FnOnce(&mut Quirks)) -> LoginOptions {
    let mut options = LoginOptions::default();
    change(&mut options.discovery.quirks);
    options
}

/// Every value of a parameter of the authorization request.
fn asked(fixture: &Fixture, name: &str) -> Vec<String> {
    let urls = fixture.person.opened();
    parameters(urls.last().unwrap(), name)
}

/// What the last token request said of `name`.
fn said(fixture: &Fixture, name: &str) -> Option<String> {
    fixture.last("POST", "/token").form(name)
}

/// The session of what is stored, as a later process has it.
async fn later(fixture: &Fixture) -> Session {
    let (platform, store) = (fixture.platform.clone(), fixture.store.clone());
    let session = Session::open(platform, store, fixture.key()).await.unwrap();
    session.unwrap()
}

#[tokio::test]
async fn a_server_that_knows_no_resource_gets_none_in_any_request() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::KnowsNoResource);
    let refused = fixture.login().await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Authorization(AuthorizationError::Refused(_))
    ));
    let options = with(|quirks| quirks.resource = Some(ResourceParameter::Omitted));
    fixture.login_with(&options).await.unwrap();
    assert_eq!(asked(&fixture, "resource"), [""; 0]);
    assert_eq!(said(&fixture, "resource"), None);
    later(&fixture).await.refresh().await.unwrap();
    assert_eq!(said(&fixture, "resource"), None);
    // What it may be sent to does not change with it (H90).
    let resource = fixture.record().await.unwrap().discovery.resource;
    assert_eq!(resource.as_str(), fixture.server.as_str());
}

#[tokio::test]
async fn a_resource_may_have_another_name_at_its_authorization_server() {
    let fixture = Fixture::start().await;
    let name = "api://notes".to_owned();
    fixture.testbed.set_fault(Fault::CallsTheResource(name));
    let named = ResourceParameter::Override(Resource::new("api://notes"));
    let options = with(|quirks| quirks.resource = Some(named));
    fixture.login_with(&options).await.unwrap();
    assert_eq!(asked(&fixture, "resource"), ["api://notes"]);
    later(&fixture).await.refresh().await.unwrap();
    assert_eq!(said(&fixture, "resource").as_deref(), Some("api://notes"));
}

#[tokio::test]
async fn a_refresh_names_the_scope_where_the_server_wants_it() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::WantsScopeOnRefresh);
    let session = fixture.login().await.unwrap();
    assert!(session.refresh().await.is_err());
    assert_eq!(said(&fixture, "scope"), None);
    let mut options = with(|quirks| quirks.scope_on_refresh = Some(true));
    options.scope = Some("notes:read notes:write".parse().unwrap());
    fixture.login_with(&options).await.unwrap();
    later(&fixture).await.refresh().await.unwrap();
    let scope = said(&fixture, "scope");
    assert_eq!(scope.as_deref(), Some("notes:read notes:write"));
}

/// RFC 6749 §6: what was not granted cannot be named by a refresh.
#[tokio::test]
async fn a_refresh_names_no_scope_that_was_not_granted() {
    let fixture = Fixture::start().await;
    let narrow = Fault::TokenField("scope".to_owned(), "notes:read".into());
    fixture.testbed.set_fault(narrow);
    let mut options = with(|quirks| quirks.scope_on_refresh = Some(true));
    options.scope = Some("notes:read notes:write".parse().unwrap());
    fixture.login_with(&options).await.unwrap();
    later(&fixture).await.refresh().await.unwrap();
    assert_eq!(said(&fixture, "scope").as_deref(), Some("notes:read"));
}

#[tokio::test]
async fn a_parameter_that_the_server_wants_is_sent_once_beside_ours() {
    let fixture = Fixture::start().await;
    let wanted = Fault::WantsParameter("audience".to_owned(), "a b".to_owned());
    fixture.testbed.set_fault(wanted);
    let authorize = format!(
        "{}/authorize?audience=other&tenant=t",
        fixture.testbed.issuer()
    );
    let endpoint = "authorization_endpoint".to_owned();
    fixture
        .testbed
        .set_fault(Fault::MetadataField(endpoint, authorize.into()));
    let options = with(|quirks| quirks.authorize.insert("audience", "a b").unwrap());
    fixture.login_with(&options).await.unwrap();
    assert_eq!(asked(&fixture, "audience"), ["a b"]);
    assert_eq!(asked(&fixture, "tenant"), ["t"]);
    for ours in ["state", "client_id", "redirect_uri", "code_challenge"] {
        assert_eq!(asked(&fixture, ours).len(), 1, "{ours}");
    }
}

#[tokio::test]
async fn a_form_is_taken_for_tokens_where_that_was_said() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Token, Corruption::FormEncoded));
    let refused = fixture.login().await.unwrap_err();
    assert_eq!(refused.remedy(), Remedy::ContactServerOperator);
    assert!(refused.to_string().contains("it is a form, and not JSON"));
    let options = with(|quirks| quirks.form_encoded_responses = Some(true));
    let session = fixture.login_with(&options).await.unwrap();
    assert!(session.record().tokens.refresh_token.is_some());
    fixture.pass(Duration::from_secs(3600));
    later(&fixture).await.refresh().await.unwrap();
}

#[tokio::test]
async fn another_name_of_the_issuer_is_taken_where_it_was_said_and_only_that() {
    let other = "https://tenant.example/{tenantid}/v2.0";
    for (fault, name) in [
        (Fault::WrongIssuer(other.to_owned()), other),
        (Fault::MissingIssuer, ""),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault);
        for said in ["https://elsewhere.example", "https://tenant.example/x/v2.0"] {
            let options = with(|quirks| quirks.issuers = vec![IssuerAlias::new(Issuer::new(said))]);
            let refused = fixture.login_with(&options).await.unwrap_err();
            assert!(matches!(
                refused,
                Error::Discovery(DiscoveryError::ServerMetadata {
                    cause: ServerMetadataError::OtherIssuer { .. }
                        | ServerMetadataError::Unreadable(_),
                    ..
                })
            ));
        }
        fixture.assert_nothing_was_sent();
        let options = with(|quirks| quirks.issuers = vec![IssuerAlias::new(Issuer::new(name))]);
        let session = fixture.login_with(&options).await.unwrap();
        // What is ours is bound to who was asked.
        let issuer = session.record().discovery.issuer().clone();
        assert_eq!(issuer.as_str(), fixture.testbed.issuer());
    }
}

#[tokio::test]
async fn another_name_in_the_callback_is_taken_where_it_was_said_and_only_that() {
    let fixture = Fixture::start().await;
    let slashed = format!("{}/", fixture.testbed.issuer());
    fixture
        .testbed
        .set_fault(Fault::CallbackIss(slashed.clone()));
    for said in [None, Some("https://elsewhere.example")] {
        let issuers = said
            .map(Issuer::new)
            .map(IssuerAlias::new)
            .into_iter()
            .collect();
        let options = with(|quirks| quirks.issuers = issuers);
        let refused = fixture.login_with(&options).await.unwrap_err();
        assert!(matches!(
            refused,
            Error::Authorization(AuthorizationError::Callback(CallbackError::Issuer { .. }))
        ));
    }
    assert_eq!(fixture.posts("/token"), 0);
    let options = with(|quirks| quirks.issuers = vec![IssuerAlias::new(Issuer::new(slashed))]);
    fixture.login_with(&options).await.unwrap();
}

/// An application says a name with every login, as it has it in its settings.
#[tokio::test]
async fn a_name_that_is_said_again_is_still_of_the_server_it_was_said_of() {
    let other = "https://other.example";
    let names = || with(|quirks| quirks.issuers = vec![IssuerAlias::new(Issuer::new(other))]);
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::CallbackIss(other.to_owned()));
    fixture.login_with(&names()).await.unwrap();
    let successor = Testbed::builder().resource(fixture.server.as_str());
    let successor = successor.fault(Fault::CallbackIss(other.to_owned()));
    let successor = Fixture::with(successor).await;
    let issuers = serde_json::json!([successor.testbed.issuer()]);
    let moved = Fault::PrmField("authorization_servers".to_owned(), issuers);
    fixture.testbed.set_fault(moved);
    let refused = fixture.login_with(&names()).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Authorization(AuthorizationError::Callback(CallbackError::Issuer { .. }))
    ));
    assert_eq!(successor.posts("/token"), 0);
    // Afresh it is of the one that is found now.
    let mut afresh = names();
    afresh.afresh = true;
    let session = fixture.login_with(&afresh).await.unwrap();
    let issuer = session.record().discovery.issuer().clone();
    assert_eq!(issuer.as_str(), successor.testbed.issuer());
}

#[tokio::test]
async fn pkce_that_is_not_listed_is_believed_where_that_was_said_and_plain_never_is() {
    let options = with(|quirks| quirks.assume_pkce = Some(true));
    for (fault, works) in [(Fault::NoPkceMethods, true), (Fault::OnlyPlainPkce, false)] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault);
        assert!(fixture.login().await.is_err());
        assert_eq!(fixture.login_with(&options).await.is_ok(), works);
    }
}

#[tokio::test]
async fn what_is_said_anew_leads_to_a_new_login() {
    let fixture = Fixture::start().await;
    let sessions = Client::new(fixture.platform.clone(), fixture.store.clone());
    let ensure = |options| {
        let sessions = &sessions;
        let server = &fixture.server;
        async move {
            let ensured = Box::pin(sessions.ensure(server, &options));
            bounded(ensured).await.unwrap()
        }
    };
    ensure(LoginOptions::default()).await;
    let hinted = || {
        let hint = ("login_hint", "me@x.example");
        with(|quirks| drop(quirks.authorize.insert(hint.0, hint.1)))
    };
    ensure(hinted()).await;
    assert_eq!(asked(&fixture, "login_hint"), ["me@x.example"]);
    // The same again, or nothing at all, asks nobody.
    ensure(hinted()).await;
    ensure(LoginOptions::default()).await;
    assert_eq!(fixture.person.opened().len(), 2);
}
