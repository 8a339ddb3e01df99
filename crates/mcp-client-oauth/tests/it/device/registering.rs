//! Device clients at servers that require a redirect URI, or have another name for the grant: the
//! recorded responses of real servers.

use super::*;

/// Configures a login that registers its client dynamically, with a scope.
fn with_scope(login: Login) -> Login {
    unregistered(login).scope("openid profile email")
}

/// Returns the body of each registration request, in order.
fn registration_requests(fixture: &Fixture) -> Vec<Value> {
    let requests = fixture.requests("/register");
    let bodies = requests.iter().map(|request| &request.body);
    bodies
        .map(|body| serde_json::from_slice(body).unwrap())
        .collect()
}

/// Logs in where registrations get these responses, and returns the registration requests.
async fn register_with(script: Vec<ScriptedResponse>) -> Vec<Value> {
    let again = [response(200, &code()), tokens()];
    let rest = [response(200, &code()), tokens()];
    let fixture = Fixture::with_script(script.into_iter().chain(rest).chain(again));
    fixture.login_with(with_scope).await.unwrap();
    let first = registration_requests(&fixture);
    fixture.login_with(with_scope).await.unwrap();
    assert_eq!(
        registration_requests(&fixture),
        first,
        "the client is used again"
    );
    first
}

fn with_members(body: &Value, members: &[(&str, Value)]) -> Value {
    let mut body = body.clone();
    for (name, value) in members {
        body[*name] = value.clone();
    }
    body
}

fn loopback() -> (&'static str, Value) {
    ("redirect_uris", json!(["http://127.0.0.1/callback"]))
}

#[tokio::test]
async fn better_auth_gets_a_redirect_uri() {
    // npm `better-auth` and `@better-auth/oauth-provider` 1.7.5, POST /api/auth/oauth2/register
    let refusal = json!({
        "error": "invalid_redirect_uri",
        "error_description": "redirect_uris: Too small: expected array to have >=1 items",
    });
    let client = json!({
        "client_id": "iRtETHtNBBwoKTDAicQxIBwqdhjQpgwJ",
        "scope": "openid profile email offline_access",
        "client_id_issued_at": 1_796_062_731, "client_name": "x",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "none",
        "grant_types": [URN, "refresh_token"], "response_types": [],
        "application_type": "native", "disabled": false, "dpop_bound_access_tokens": false,
    });
    let registrations = register_with(vec![response(400, &refusal), response(201, &client)]).await;
    let [first, second] = &registrations[..] else {
        panic!("{registrations:?}")
    };
    assert_eq!(first["redirect_uris"], json!([]));
    assert_eq!(*second, with_members(first, &[loopback()]));
    assert_eq!(second["scope"], "openid profile email");
}

#[tokio::test]
async fn better_auth_with_fewer_scopes_gets_a_client_without_a_scope() {
    let redirect = json!({
        "error": "invalid_redirect_uri",
        "error_description": "redirect_uris: Too small: expected array to have >=1 items",
    });
    let scope = json!({
        "error": "invalid_scope", "error_description": "cannot request scope notes",
    });
    let client = json!({"client_id": "c", "token_endpoint_auth_method": "none"});
    let script = vec![
        response(400, &redirect),
        response(400, &scope),
        response(201, &client),
    ];
    let registrations = register_with(script).await;
    assert_eq!(registrations.len(), 3);
    let mut expected = registrations[1].clone();
    expected.as_object_mut().unwrap().remove("scope");
    assert_eq!(registrations[2], expected);
}

#[tokio::test]
async fn django_allauth_gets_a_redirect_uri() {
    // PyPI `django-allauth[idp-oidc]` 65.22.1, POST /identity/o/api/clients
    let refusal = json!({
        "error": "invalid_redirect_uri",
        "error_description": "'redirect_uris': This field is required.",
    });
    let client = json!({
        "client_id": "5df2c25cc03e4d0195c8846f88022683", "client_name": "x",
        "token_endpoint_auth_method": "none", "scope": "openid profile email",
        "client_id_issued_at": 1_796_062_681,
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": [URN, "refresh_token"], "response_types": ["code"],
    });
    let registrations = register_with(vec![response(400, &refusal), response(201, &client)]).await;
    let [first, second] = &registrations[..] else {
        panic!("{registrations:?}")
    };
    assert_eq!(*second, with_members(first, &[loopback()]));
}

#[tokio::test]
async fn glewlwyd_gets_its_own_grant_name_and_a_redirect_uri() {
    // Debian `glewlwyd` 2.7.5-3+deb12u1, POST /api/oidc/register
    let grants = json!({
        "error": "invalid_client_metadata",
        "error_description": "grant_types must have one of the following values: \
            'authorization_code', 'implicit', 'password', 'client_credentials', 'refresh_token', \
            'delete_token', 'device_authorization', 'urn:openid:params:grant-type:ciba'",
    });
    let redirect = json!({
        "error": "invalid_redirect_uri",
        "error_description": "redirect_uris is mandatory and must be an array of strings",
    });
    let client = json!({
        "client_name": "x", "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["device_authorization", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "application_type": "native", "scope": "openid",
        "client_id": "n1cfzoe1detwflx3", "client_id_issued_at": 1_796_062_764,
        "client_secret_expires_at": 0,
    });
    let script = vec![
        response(400, &grants),
        response(400, &redirect),
        response(200, &client),
    ];
    let registrations = register_with(script).await;
    let [first, second, third] = &registrations[..] else {
        panic!("{registrations:?}")
    };
    let renamed = (
        "grant_types",
        json!(["device_authorization", "refresh_token"]),
    );
    assert_eq!(*second, with_members(first, std::slice::from_ref(&renamed)));
    assert_eq!(*third, with_members(first, &[renamed, loopback()]));
}

#[tokio::test]
async fn the_first_error_is_reported_when_every_registration_is_rejected() {
    let refusal = |text: &str| {
        let said = json!({"error": "invalid_redirect_uri", "error_description": text});
        response(400, &said)
    };
    let fixture = Fixture::with_script(["first", "second", "third", "fourth"].map(refusal));
    let error = fixture.login_with(with_scope).await.unwrap_err();
    assert!(error.to_string().contains("first"), "{error}");
    assert_eq!(registration_requests(&fixture).len(), 3);
}

/// The complete `grant_types_supported` of OpenID providers that list the grant and have no endpoint
/// (RFC 8628 §4 requires one).
#[tokio::test]
async fn a_listed_grant_without_an_endpoint_is_reported_as_such() {
    for (grant, says) in [
        (Grant::DeviceCode, true),
        (Grant::Browser, false),
        (Grant::Auto, true),
    ] {
        let metadata = without_device_endpoint(&["refresh_token", URN]);
        let fixture = Fixture::with_script([]);
        let login = fixture.login_with(|login| {
            let login = with_scope(login).server_metadata(metadata);
            login.grant(grant.clone())
        });
        let error = login.await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Reconfigure);
        let is_said = matches!(
            error,
            Error::Authorization(AuthorizationError::NoDeviceEndpoint(_))
        );
        assert_eq!(is_said, says, "{grant:?}: {error}");
        let text = error.to_string();
        assert_eq!(text.contains("no `device_authorization_endpoint`"), says);
        assert_eq!(fixture.http.requests().len(), 0);
    }
}
