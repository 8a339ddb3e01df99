//! The scope that a client is registered with (RFC 7591 §2), at servers that reject every other one:
//! `validate_scope` of the Python MCP SDK (`mcp` 2.3.0), and django-allauth 65.22.1.

use std::sync::Arc;

use mcp_client_oauth::{
    error::AuthorizationError,
    flow::{RegisteredClient, Scope},
};

use super::{registration::registration_requests, *};
use crate::support::bounded;

/// Requests this scope.
fn scoped(scope: &str) -> impl FnOnce(Login) -> Login {
    move |login| login.scope(scope)
}

/// Returns the scope of each registration request, in order.
fn scopes(fixture: &Fixture) -> Vec<Value> {
    let registrations = registration_requests(fixture);
    registrations
        .iter()
        .map(|body| body["scope"].clone())
        .collect()
}

/// Returns a server that rejects scopes outside the registration, and lists no scopes.
fn strict() -> Builder {
    Testbed::builder()
        .scopes_supported(None)
        .registered_scope_only("")
}

async fn registration(fixture: &Fixture) -> RegisteredClient {
    let issuer = Issuer::from(fixture.testbed.issuer());
    fixture.store.registration(&issuer).await.unwrap().unwrap()
}

/// Returns the scope of the registration, as it is stored.
async fn registered_scope(fixture: &Fixture) -> Value {
    serde_json::to_value(registration(fixture).await.scope).unwrap()
}

#[tokio::test]
async fn a_client_is_registered_for_the_requested_and_the_listed_scope() {
    let listed = Some(vec!["notes:read", "notes:write"]);
    let fixture = Fixture::with(Testbed::builder().scopes_supported(listed)).await;
    fixture.login_with(scoped("notes:write")).await.unwrap();
    assert_eq!(scopes(&fixture), [json!("notes:write notes:read")]);
    assert_eq!(
        parameter(&fixture.user.opened_urls()[0], "scope"),
        "notes:write",
        "no more is requested than before"
    );
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 1);
}

#[tokio::test]
async fn without_a_scope_the_member_is_left_out() {
    let fixture = Fixture::with(Testbed::builder().scopes_supported(None)).await;
    fixture.login().await.unwrap();
    assert!(
        !registration_requests(&fixture)[0]
            .as_object()
            .unwrap()
            .contains_key("scope")
    );
    assert_eq!(registered_scope(&fixture).await, "unnamed");
}

/// The first login requests a scope, or none.
#[tokio::test]
async fn a_step_up_registers_again_once_where_unregistered_scopes_are_refused() {
    for (challenge, registered) in [
        (
            Some("notes:read"),
            [json!("notes:read"), json!("notes:read notes:write")],
        ),
        (None, [Value::Null, json!("notes:read notes:write")]),
    ] {
        let fixture = Fixture::with(strict().challenge_scope(challenge)).await;
        fixture.testbed.require_scope("write_note", "notes:write");
        let login = fixture.client().login(&fixture.server);
        let session = login.on_demand().await.unwrap();
        for _ in 0..2 {
            let sent = session.post("notes").body(r#"{"text":"tea"}"#).send();
            assert_eq!(bounded(Box::pin(sent)).await.unwrap().status, 200);
        }
        assert_eq!(scopes(&fixture), registered);
        fixture.login_with(scoped("notes:write")).await.unwrap();
        assert_eq!(fixture.posts("/register"), 2);
        assert_eq!(fixture.user.opened_urls().len(), 3);
    }
}

#[tokio::test]
async fn two_resources_of_one_issuer_do_not_replace_each_others_client() {
    let mail = Arc::new(Testbed::start().await.unwrap());
    let builder = strict().additional_resource(mail.server_url().as_str());
    let notes = Fixture::with(builder).await;
    let issuer = json!([notes.testbed.issuer()]);
    mail.set_fault(Fault::PrmField("authorization_servers".to_owned(), issuer));
    mail.set_fault(Fault::PrmWithout("scopes_supported".to_owned()));
    let mut other = Fixture::from_testbed(Arc::clone(&mail));
    other.platform = notes.platform.clone();
    other.user = Arc::clone(&notes.user);
    other.store = notes.store.clone();
    for _ in 0..3 {
        notes.login_with(scoped("notes:read")).await.unwrap();
        other.login_with(scoped("notes:write")).await.unwrap();
    }
    let expected = [json!("notes:read"), json!("notes:write notes:read")];
    assert_eq!(scopes(&notes), expected);
    // The login at the first resource keeps its client, or uses the new one.
    let session = notes.client().session(notes.key()).await.unwrap();
    notes.advance(std::time::Duration::from_secs(300));
    session.token().await.unwrap();
}

#[tokio::test]
async fn a_client_without_a_stored_scope_is_used_unchanged() {
    let fixture = Fixture::with(Testbed::builder().scopes_supported(None)).await;
    fixture.login_with(scoped("notes:read")).await.unwrap();
    let mut stored = serde_json::to_value(registration(&fixture).await).unwrap();
    assert_eq!(stored["scope"], json!({"named": "notes:read"}));
    stored.as_object_mut().unwrap().remove("scope");
    let earlier: RegisteredClient = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&earlier).unwrap(), stored);
    fixture.store.save_registration(&earlier).await.unwrap();
    fixture.login_with(scoped("notes:write")).await.unwrap();
    assert_eq!(fixture.posts("/register"), 1);
}

#[tokio::test]
async fn a_preregistered_client_is_never_registered_again() {
    let fixture = Fixture::with(Testbed::builder().client("by-hand", None)).await;
    for scope in ["notes:read", "notes:write"] {
        let login = fixture.login_with(|login| preregistered(login).scope(scope));
        login.await.unwrap();
    }
    assert_eq!(fixture.posts("/register"), 0);
}

/// The error of `RegistrationHandler` of the Python MCP SDK (`mcp` 2.3.0,
/// `server/auth/handlers/register.py`) for a scope that `valid_scopes` lacks.
fn rejects_scope(times: u32) -> Fault {
    let said = json!({
        "error": "invalid_client_metadata",
        "error_description": "Requested scopes are not valid: notes:admin",
    });
    Fault::Status {
        path: "/register".to_owned(),
        status: 400,
        body: said.to_string(),
        headers: Vec::new(),
        times: Some(times),
    }
}

#[tokio::test]
async fn a_rejected_scope_is_reduced_and_then_left_out() {
    for (times, expected) in [
        (
            1,
            vec![json!("notes:read notes:admin"), json!("notes:read")],
        ),
        (
            2,
            vec![
                json!("notes:read notes:admin"),
                json!("notes:read"),
                Value::Null,
            ],
        ),
    ] {
        let listed = Some(vec!["notes:admin"]);
        let fixture = Fixture::with(Testbed::builder().scopes_supported(listed)).await;
        fixture.testbed.set_fault(rejects_scope(times));
        for _ in 0..2 {
            fixture.login_with(scoped("notes:read")).await.unwrap();
            assert_eq!(scopes(&fixture), expected);
        }
    }
}

/// Keycloak 26 (`Policy 'Allowed Client Scopes'`) behind a proxy: to its own endpoint, this client
/// sends no scope.
#[tokio::test]
async fn keycloak_gets_a_registration_without_a_scope() {
    let fixture = Fixture::start().await;
    let said = json!({
        "error": "insufficient_scope",
        "error_description": "Policy 'Allowed Client Scopes' rejected request to \
            client-registration service. Details: Not permitted to use specified clientScope",
    });
    fixture.testbed.set_fault(Fault::Status {
        path: "/register".to_owned(),
        status: 403,
        body: said.to_string(),
        headers: Vec::new(),
        times: Some(1),
    });
    for _ in 0..2 {
        fixture.login().await.unwrap();
        assert_eq!(scopes(&fixture), [json!("notes:read"), Value::Null]);
    }

    let fixture = Fixture::start().await;
    let own = "/realms/mcp/clients-registrations/openid-connect";
    let endpoint = format!("{}{own}", fixture.testbed.issuer());
    fixture.testbed.set_fault(Fault::MetadataField(
        "registration_endpoint".to_owned(),
        json!(endpoint),
    ));
    fixture.login().await.unwrap_err();
    let body = fixture.last("POST", own).json().unwrap();
    assert!(!body.as_object().unwrap().contains_key("scope"), "{body}");
}

/// A login requests the scope that was rejected at first: the new client is registered with it, and
/// with the scope of the old client.
#[tokio::test]
async fn a_scope_missing_from_the_registration_is_registered_when_requested() {
    let listed = Some(vec!["notes:admin"]);
    let builder = Testbed::builder()
        .scopes_supported(listed)
        .registered_scope_only("");
    let fixture = Fixture::with(builder).await;
    fixture.testbed.set_fault(rejects_scope(1));
    fixture.login_with(scoped("notes:read")).await.unwrap();
    fixture.login_with(scoped("notes:write")).await.unwrap();
    let known: Scope = "notes:write notes:read notes:admin".parse().unwrap();
    assert_eq!(registered_scope(&fixture).await, json!({ "named": known }));
    assert_eq!(fixture.posts("/register"), 3);
}

#[tokio::test]
async fn extra_registered_scopes_need_no_other_client() {
    let fixture = Fixture::with(Testbed::builder().scopes_supported(None)).await;
    // better-auth 1.7.5 responds with all of its scopes, whatever was sent.
    let all = json!("notes:read notes:write");
    let fault = Fault::RegistrationField("scope".to_owned(), all);
    fixture.testbed.set_fault(fault);
    fixture.login_with(scoped("notes:read")).await.unwrap();
    fixture.login_with(scoped("notes:write")).await.unwrap();
    assert_eq!(fixture.posts("/register"), 1);
}

/// django-allauth 65.22.1 registers `openid` where the registration has no scope
/// (`ClientRegistrationForm.clean_scope`), returns it in its response, and rejects every other one with
/// `302 Location: …/callback?error=invalid_scope&state=…`.
#[tokio::test]
async fn a_server_that_registers_only_openid_by_default_grants_its_listed_scopes() {
    let listed = || Some(vec!["openid", "profile", "email"]);
    let builder = || {
        Testbed::builder()
            .scopes_supported(listed())
            .registered_scope_only("openid")
    };
    let fixture = Fixture::with(builder()).await;
    fixture.login().await.unwrap();
    assert_eq!(scopes(&fixture), [json!("openid profile email")]);

    // Where the server ignores the scope, the login fails as before, and each request has it once.
    let fixture = Fixture::with(builder()).await;
    fixture.testbed.set_fault(Fault::CallbackError {
        error: "invalid_scope".to_owned(),
        description: None,
    });
    let error = fixture.login().await.unwrap_err();
    let Error::Authorization(AuthorizationError::Refused(said)) = &error else {
        panic!("{error}")
    };
    assert!(said.has_code("invalid_scope"));
    fixture.login().await.unwrap_err();
    assert_eq!(fixture.posts("/register"), 1);
    let known: Scope = "openid profile email".parse().unwrap();
    assert_eq!(registered_scope(&fixture).await, json!({ "named": known }));
}
