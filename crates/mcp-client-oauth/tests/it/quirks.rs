//! Servers that differ from the specifications, and the overrides for them.

use std::{future::IntoFuture as _, time::Duration};

use mcp_client_oauth::{
    Error, Login, Remedy, Session,
    error::{AuthorizationError, CallbackError, DiscoveryError, ServerMetadataError},
    flow::{Issuer, IssuerAlias, Quirks, Resource, ResourceParameter},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Testbed};

use crate::support::{Fixture, bounded, parameters};

/// Returns the options of a login with these quirks.
fn with_quirks(change: impl FnOnce(&mut Quirks)) -> impl Fn(Login) -> Login {
    let mut quirks = Quirks::default();
    change(&mut quirks);
    move |login| login.quirks(quirks.clone())
}

/// Returns every value of a parameter of the authorization request.
fn form_values(fixture: &Fixture, name: &str) -> Vec<String> {
    let urls = fixture.user.opened_urls();
    parameters(urls.last().unwrap(), name)
}

/// Returns the field `name` of the last token request.
fn form_value(fixture: &Fixture, name: &str) -> Option<String> {
    fixture.last("POST", "/token").form(name)
}

/// Opens the stored session as a later process does, after its token has expired.
async fn expired_session(fixture: &Fixture) -> Session {
    fixture.client().session(fixture.key()).await.unwrap()
}

#[tokio::test]
async fn without_the_resource_parameter_no_request_has_one() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::ResourceNotSupported);
    let refused = fixture.login().await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Authorization(AuthorizationError::Refused(_))
    ));
    let options = with_quirks(|quirks| quirks.resource = Some(ResourceParameter::Omitted));
    fixture.login_with(&options).await.unwrap();
    assert_eq!(form_values(&fixture, "resource"), [""; 0]);
    assert_eq!(form_value(&fixture, "resource"), None);
    expired_session(&fixture).await.refresh().await.unwrap();
    assert_eq!(form_value(&fixture, "resource"), None);
    // The override does not change to which URLs the token is sent (RFC 8707 §1).
    let resource = fixture.record().await.unwrap().discovery.resource;
    assert_eq!(resource.as_str(), fixture.server.as_str());
}

#[tokio::test]
async fn the_resource_parameter_can_be_overridden() {
    let fixture = Fixture::start().await;
    let name = "api://notes".to_owned();
    fixture.testbed.set_fault(Fault::DifferentResource(name));
    let named = ResourceParameter::Override(Resource::from("api://notes"));
    let options = with_quirks(|quirks| quirks.resource = Some(named));
    fixture.login_with(&options).await.unwrap();
    assert_eq!(form_values(&fixture, "resource"), ["api://notes"]);
    expired_session(&fixture).await.refresh().await.unwrap();
    assert_eq!(
        form_value(&fixture, "resource").as_deref(),
        Some("api://notes")
    );
}

#[tokio::test]
async fn a_refresh_sends_the_scope_where_configured() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::RequiresScopeOnRefresh);
    let session = fixture.login().await.unwrap();
    assert!(session.refresh().await.is_err());
    assert_eq!(form_value(&fixture, "scope"), None);
    let options = with_quirks(|quirks| quirks.scope_on_refresh = Some(true));
    let login = fixture.login_with(|login| options(login).scope("notes:read notes:write"));
    login.await.unwrap();
    expired_session(&fixture).await.refresh().await.unwrap();
    let scope = form_value(&fixture, "scope");
    assert_eq!(scope.as_deref(), Some("notes:read notes:write"));
}

/// RFC 6749 §6: a refresh must not request scope that was not granted.
#[tokio::test]
async fn a_refresh_requests_no_scope_that_was_not_granted() {
    let fixture = Fixture::start().await;
    let narrow = Fault::TokenField("scope".to_owned(), "notes:read".into());
    fixture.testbed.set_fault(narrow);
    let options = with_quirks(|quirks| quirks.scope_on_refresh = Some(true));
    let login = fixture.login_with(|login| options(login).scope("notes:read notes:write"));
    login.await.unwrap();
    expired_session(&fixture).await.refresh().await.unwrap();
    assert_eq!(form_value(&fixture, "scope").as_deref(), Some("notes:read"));
}

#[tokio::test]
async fn an_extra_authorization_parameter_is_sent_once() {
    let fixture = Fixture::start().await;
    let required = Fault::RequiresParameter("audience".to_owned(), "a b".to_owned());
    fixture.testbed.set_fault(required);
    let authorize = format!(
        "{}/authorize?audience=other&tenant=t",
        fixture.testbed.issuer()
    );
    let endpoint = "authorization_endpoint".to_owned();
    fixture
        .testbed
        .set_fault(Fault::MetadataField(endpoint, authorize.into()));
    let options = with_quirks(|quirks| {
        quirks
            .authorization_params
            .insert("audience", "a b")
            .unwrap();
    });
    fixture.login_with(&options).await.unwrap();
    assert_eq!(form_values(&fixture, "audience"), ["a b"]);
    assert_eq!(form_values(&fixture, "tenant"), ["t"]);
    for reserved in ["state", "client_id", "redirect_uri", "code_challenge"] {
        assert_eq!(form_values(&fixture, reserved).len(), 1, "{reserved}");
    }
}

#[tokio::test]
async fn a_form_encoded_token_response_is_accepted_where_configured() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::FormEncoded));
    let refused = fixture.login().await.unwrap_err();
    assert_eq!(refused.remedy(), Remedy::ContactServerOperator);
    assert!(refused.to_string().contains("it is a form, and not JSON"));
    let options = with_quirks(|quirks| quirks.form_encoded_responses = Some(true));
    let session = fixture.login_with(&options).await.unwrap();
    assert!(session.record().unwrap().tokens.refresh_token.is_some());
    fixture.advance(Duration::from_secs(3600));
    expired_session(&fixture).await.refresh().await.unwrap();
}

#[tokio::test]
async fn only_a_configured_issuer_alias_is_accepted_in_metadata() {
    let other = "https://tenant.example/{tenantid}/v2.0";
    for (fault, name) in [
        (Fault::WrongIssuer(other.to_owned()), other),
        (Fault::MissingIssuer, ""),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault);
        for said in ["https://elsewhere.example", "https://tenant.example/x/v2.0"] {
            let options =
                with_quirks(|quirks| quirks.issuers = vec![IssuerAlias::from(Issuer::from(said))]);
            let refused = fixture.login_with(&options).await.unwrap_err();
            assert!(matches!(
                refused,
                Error::Discovery(DiscoveryError::ServerMetadata {
                    cause: ServerMetadataError::IssuerMismatch { .. }
                        | ServerMetadataError::Unreadable(_),
                    ..
                })
            ));
        }
        fixture.assert_nothing_was_sent();
        let options =
            with_quirks(|quirks| quirks.issuers = vec![IssuerAlias::from(Issuer::from(name))]);
        let session = fixture.login_with(&options).await.unwrap();
        // The stored data is bound to the issuer that was discovered.
        let issuer = session.record().unwrap().discovery.issuer().clone();
        assert_eq!(issuer.as_str(), fixture.testbed.issuer());
    }
}

#[tokio::test]
async fn only_a_configured_issuer_alias_is_accepted_in_the_callback() {
    let fixture = Fixture::start().await;
    let slashed = format!("{}/", fixture.testbed.issuer());
    fixture
        .testbed
        .set_fault(Fault::CallbackIss(slashed.clone()));
    for said in [None, Some("https://elsewhere.example")] {
        let issuers = said
            .map(Issuer::from)
            .map(IssuerAlias::from)
            .into_iter()
            .collect();
        let options = with_quirks(|quirks| quirks.issuers = issuers);
        let refused = fixture.login_with(&options).await.unwrap_err();
        assert!(matches!(
            refused,
            Error::Authorization(AuthorizationError::Callback(CallbackError::Issuer { .. }))
        ));
    }
    assert_eq!(fixture.posts("/token"), 0);
    let options =
        with_quirks(|quirks| quirks.issuers = vec![IssuerAlias::from(Issuer::from(slashed))]);
    fixture.login_with(&options).await.unwrap();
}

/// An application passes the alias from its settings with every login.
#[tokio::test]
async fn a_repeated_alias_stays_bound_to_its_issuer() {
    let other = "https://other.example";
    let names =
        || with_quirks(|quirks| quirks.issuers = vec![IssuerAlias::from(Issuer::from(other))]);
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::CallbackIss(other.to_owned()));
    fixture.login_with(names()).await.unwrap();
    let successor = Testbed::builder().resource(fixture.server.as_str());
    let successor = successor.fault(Fault::CallbackIss(other.to_owned()));
    let successor = Fixture::with(successor).await;
    let issuers = serde_json::json!([successor.testbed.issuer()]);
    let moved = Fault::PrmField("authorization_servers".to_owned(), issuers);
    fixture.testbed.set_fault(moved);
    let refused = fixture.login_with(names()).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Authorization(AuthorizationError::Callback(CallbackError::Issuer { .. }))
    ));
    assert_eq!(successor.posts("/token"), 0);
    // A forced login binds it to the issuer that is discovered now.
    let forced = |login| names()(login).force();
    let session = fixture.login_with(forced).await.unwrap();
    let issuer = session.record().unwrap().discovery.issuer().clone();
    assert_eq!(issuer.as_str(), successor.testbed.issuer());
}

#[tokio::test]
async fn assume_pkce_accepts_a_missing_list_but_never_plain() {
    let options = with_quirks(|quirks| quirks.assume_pkce = Some(true));
    for (fault, works) in [(Fault::NoPkceMethods, true), (Fault::OnlyPlainPkce, false)] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault);
        assert!(fixture.login().await.is_err());
        assert_eq!(fixture.login_with(&options).await.is_ok(), works);
    }
}

#[tokio::test]
async fn changed_quirks_start_a_new_login() {
    let fixture = Fixture::start().await;
    let client = fixture.client();
    let login = || client.login(&fixture.server);
    let hinted = with_quirks(|quirks| {
        let parameters = &mut quirks.authorization_params;
        parameters.insert("login_hint", "me@x.example").unwrap();
    });
    bounded(login().into_future()).await.unwrap();
    bounded(hinted(login()).into_future()).await.unwrap();
    assert_eq!(form_values(&fixture, "login_hint"), ["me@x.example"]);
    // The same quirks again, or none, start no login.
    for login in [hinted(login()), login()] {
        assert!(bounded(login.into_future()).await.unwrap().is_reused());
    }
    assert_eq!(fixture.user.opened_urls().len(), 2);
}
