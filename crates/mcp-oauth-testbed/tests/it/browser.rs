//! A client that uses only HTTP requests.

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::HeaderMap;
use mcp_oauth_testbed::test_user::{Decision, TestUserError, decide};
use mcp_oauth_testbed::{Builder, Testbed};
use serde_json::{Value, json};
use url::Url;

/// 43 characters, the shortest verifier.
pub(crate) const VERIFIER: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
pub(crate) const CALLBACK: &str = "http://127.0.0.1:9/callback";

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field]
            .as_str()
            .unwrap_or_else(|| panic!("{field}: {}", self.body))
            .to_owned()
    }

    /// Asserts that the response is an error as in RFC 6749 §5.2.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.text("error").as_str()), (status, error));
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

async fn read(response: reqwest::Response) -> Response {
    Response {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}

pub(crate) async fn get(url: &str) -> Response {
    read(http().get(url).send().await.unwrap()).await
}

pub(crate) async fn get_with(url: &str, token: &str) -> Response {
    read(http().get(url).bearer_auth(token).send().await.unwrap()).await
}

/// Returns the whole response, or the error of reading it.
pub(crate) async fn try_get(url: &str) -> Result<String, reqwest::Error> {
    http().get(url).send().await?.text().await
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

pub(crate) fn form_request(url: &str, pairs: &[(&str, &str)]) -> reqwest::RequestBuilder {
    http()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(pairs))
}

pub(crate) async fn post_form(url: &str, pairs: &[(&str, &str)]) -> Response {
    read(form_request(url, pairs).send().await.unwrap()).await
}

/// Posts a form with HTTP Basic; `joined` is the text before Base64.
pub(crate) async fn post_basic(url: &str, joined: &str, pairs: &[(&str, &str)]) -> Response {
    let value = format!("Basic {}", BASE64_STANDARD.encode(joined));
    read(
        form_request(url, pairs)
            .header("authorization", value)
            .send()
            .await
            .unwrap(),
    )
    .await
}

pub(crate) async fn post_json(url: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut request = http().post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.body(body.to_string()).send().await.unwrap()).await
}

pub(crate) async fn delete(url: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = http().delete(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.send().await.unwrap()).await
}

pub(crate) fn challenge() -> String {
    let hash = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref())
}

/// Starts a testbed that differs from the defaults.
pub(crate) async fn start(builder: Builder) -> Testbed {
    builder.start().await.unwrap()
}

/// Gets the metadata of the authorization server.
pub(crate) async fn server_metadata(testbed: &Testbed) -> Value {
    let path = "/.well-known/oauth-authorization-server";
    get(&endpoint(testbed, path)).await.json()
}

/// Posts a form to the token endpoint.
pub(crate) async fn post_token(testbed: &Testbed, pairs: &[(&str, &str)]) -> Response {
    post_form(&endpoint(testbed, "/token"), pairs).await
}

pub(crate) async fn register(testbed: &Testbed) -> String {
    let body = json!({
        "client_name": "A test client",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "application_type": "native"
    });
    let response = post_json(&endpoint(testbed, "/register"), &[], &body).await;
    assert_eq!(response.status, 201, "{}", response.body);
    response.text("client_id")
}

/// Returns a URL of the authorization server. The issuer may have a path; the endpoints do not.
pub(crate) fn endpoint(testbed: &Testbed, path: &str) -> String {
    Url::parse(&testbed.issuer())
        .unwrap()
        .join(path)
        .unwrap()
        .to_string()
}

/// Returns the parameters of a valid authorization request.
pub(crate) fn good_request(testbed: &Testbed, client: &str) -> Vec<(String, String)> {
    [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &challenge()),
        ("code_challenge_method", "S256"),
        ("resource", testbed.server_url().as_str()),
        ("scope", "notes:read"),
        ("state", "the state"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub(crate) fn authorization_url(testbed: &Testbed, parameters: &[(String, String)]) -> Url {
    let mut url = Url::parse(&endpoint(testbed, "/authorize")).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

/// Returns a valid request with one parameter replaced, or left out.
pub(crate) fn request_with(
    testbed: &Testbed,
    client: &str,
    name: &str,
    value: Option<&str>,
) -> Url {
    let mut parameters = good_request(testbed, client);
    parameters.retain(|(key, _)| key != name);
    parameters.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    authorization_url(testbed, &parameters)
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Returns the callback of a valid request that was approved.
pub(crate) async fn approved(testbed: &Testbed, client: &str) -> Result<Url, TestUserError> {
    let url = authorization_url(testbed, &good_request(testbed, client));
    decide(&url, Decision::Approve).await
}

pub(crate) async fn code(testbed: &Testbed, client: &str, scope: &str) -> String {
    let url = request_with(testbed, client, "scope", Some(scope));
    let callback = decide(&url, Decision::Approve).await.unwrap();
    parameter(&callback, "code").unwrap_or_else(|| panic!("{callback}"))
}

/// Returns the form of a valid exchange.
pub(crate) fn exchange_form<'a>(
    client: &'a str,
    code: &'a str,
    resource: &'a str,
) -> [(&'a str, &'a str); 6] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("resource", resource),
    ]
}

pub(crate) async fn exchange(testbed: &Testbed, client: &str, code: &str) -> Response {
    let server = testbed.server_url();
    post_token(testbed, &exchange_form(client, code, server.as_str())).await
}

pub(crate) async fn refresh(testbed: &Testbed, client: &str, token: &str) -> Response {
    let server = testbed.server_url();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", token),
        ("resource", server.as_str()),
    ];
    post_token(testbed, &pairs).await
}

/// The result of a login.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) client: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Login {
    /// Presents the first refresh token.
    pub(crate) async fn renew(&self, testbed: &Testbed) -> Response {
        refresh(testbed, &self.client, &self.refresh).await
    }
}

pub(crate) async fn login(testbed: &Testbed, scope: &str) -> Login {
    let client = register(testbed).await;
    let code = code(testbed, &client, scope).await;
    let response = exchange(testbed, &client, &code).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let refresh = response.json()["refresh_token"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Login {
        client,
        access: response.text("access_token"),
        refresh,
    }
}

/// Returns whether the MCP server accepts a token.
pub(crate) async fn is_good(testbed: &Testbed, token: &str) -> bool {
    let response = get_with(&format!("{}/notes", testbed.server_url()), token).await;
    assert!([200, 401].contains(&response.status), "{}", response.status);
    response.status == 200
}

pub(crate) async fn post_text(url: &str, content_type: &str, body: &str) -> Response {
    let request = http().post(url).header("content-type", content_type);
    read(request.body(body.to_owned()).send().await.unwrap()).await
}

/// Posts a form with a DPoP proof.
pub(crate) async fn post_proven(url: &str, proof: &str, pairs: &[(&str, &str)]) -> Response {
    let request = form_request(url, pairs).header("dpop", proof);
    read(request.send().await.unwrap()).await
}

pub(crate) async fn get_proven(url: &str, token: &str, proof: &str) -> Response {
    let request = http()
        .get(url)
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof);
    read(request.send().await.unwrap()).await
}
