//! Device clients at servers that register none without a redirect URI, or know the grant by
//! another name: what they really say.

use super::*;

/// A login of a client that registers itself.
fn unregistered() -> LoginOptions {
    let mut options = options();
    options.identity.preregistered = None;
    options.scope = "openid profile email".parse().ok();
    options
}

/// What each registration said, in order.
fn told(fixture: &Fixture) -> Vec<Value> {
    let requests = fixture.requests("/register");
    let bodies = requests.iter().map(|request| &request.body);
    bodies
        .map(|body| serde_json::from_slice(body).unwrap())
        .collect()
}

/// Logs in where registrations get these responses, and returns what was sent.
async fn registered(script: Vec<Answer>) -> Vec<Value> {
    let again = [response(200, &code()), tokens()];
    let rest = [response(200, &code()), tokens()];
    let fixture = Fixture::playing(script.into_iter().chain(rest).chain(again));
    fixture.login_with(&unregistered()).await.unwrap();
    let first = told(&fixture);
    fixture.login_with(&unregistered()).await.unwrap();
    assert_eq!(told(&fixture), first, "the client is used again");
    first
}

fn with(body: &Value, members: &[(&str, Value)]) -> Value {
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
    let told = registered(vec![response(400, &refusal), response(201, &client)]).await;
    let [first, second] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(first["redirect_uris"], json!([]));
    assert_eq!(*second, with(first, &[loopback()]));
    assert_eq!(second["scope"], "openid profile email");
}

#[tokio::test]
async fn better_auth_that_knows_less_scope_gets_a_client_without() {
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
    let told = registered(script).await;
    assert_eq!(told.len(), 3);
    let mut expected = told[1].clone();
    expected.as_object_mut().unwrap().remove("scope");
    assert_eq!(told[2], expected);
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
    let told = registered(vec![response(400, &refusal), response(201, &client)]).await;
    let [first, second] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(*second, with(first, &[loopback()]));
}

#[tokio::test]
async fn glewlwyd_gets_its_own_name_of_the_grant_and_a_redirect_uri() {
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
    let told = registered(script).await;
    let [first, second, third] = &told[..] else {
        panic!("{told:?}")
    };
    let renamed = (
        "grant_types",
        json!(["device_authorization", "refresh_token"]),
    );
    assert_eq!(*second, with(first, std::slice::from_ref(&renamed)));
    assert_eq!(*third, with(first, &[renamed, loopback()]));
}

#[tokio::test]
async fn a_server_that_refuses_each_of_them_is_told_of_by_its_first_refusal() {
    let refusal = |text: &str| {
        let said = json!({"error": "invalid_redirect_uri", "error_description": text});
        response(400, &said)
    };
    let fixture = Fixture::playing(["first", "second", "third", "fourth"].map(refusal));
    let error = fixture.login_with(&unregistered()).await.unwrap_err();
    assert!(error.to_string().contains("first"), "{error}");
    assert_eq!(told(&fixture).len(), 3);
}

/// The whole of `grant_types_supported` of OpenID providers that list the grant and have no endpoint
/// (RFC 8628 §4 wants one).
#[tokio::test]
async fn a_server_that_lists_the_grant_without_an_endpoint_is_told_of_as_such() {
    for (wanted, says) in [
        (Some("device_code"), true),
        (Some("authorization_code"), false),
        (None, true),
    ] {
        let document = json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
            "grant_types_supported": ["refresh_token", URN],
        });
        let issuer = Issuer::new("https://as.example");
        let reach = mcp_client_oauth::platform::AddressSpace::Public;
        let body = document.to_string();
        let metadata = ServerMetadata::parse(body.as_bytes(), &issuer, reach).unwrap();
        let mut options = unregistered();
        options.discovery.manual = Some(metadata);
        options.grant = wanted.map(str::to_owned);
        let fixture = Fixture::playing([]);
        let error = fixture.login_with(&options).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Reconfigure);
        let is_said = matches!(
            error,
            Error::Authorization(AuthorizationError::NoDeviceEndpoint(_))
        );
        assert_eq!(is_said, says, "{wanted:?}: {error}");
        let text = error.to_string();
        assert_eq!(text.contains("no `device_authorization_endpoint`"), says);
        assert_eq!(fixture.http.requests().len(), 0);
    }
}
