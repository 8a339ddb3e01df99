//! The authorization endpoint: the checks of the request, the consent page, and the redirect.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, Uri, header};
use url::Url;

use super::consent_page::{error_page, page_response};
use super::grants::permit;
use super::parameters::{Form, Parameters};
use super::refusal::Refusal;
use super::resource::requested_resources;
use super::scope::check_client_scopes;
use super::{client_auth, consent_page, redirect_uri};
use crate::faults::Fault;
use crate::random::random;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;
use crate::state::token_store::{AuthorizationRequest, Client};

/// `GET /authorize`: the consent page, an error for the client, or an error page for the user.
pub(super) async fn show_consent(State(state): State<Arc<TestbedState>>, uri: Uri) -> Response {
    let parameters = Parameters::parse(uri.query().unwrap_or_default().as_bytes());
    // Until the redirect URI is known to be the client's, errors are shown here: OAuth 2.1 §4.1.2.1,
    // the server "MUST NOT automatically redirect the user agent to the invalid redirect URI".
    let (client, redirect_uri) = match trusted_client(&state, &parameters) {
        Ok(trusted) => trusted,
        Err(refusal) => return error_page(&refusal.description),
    };
    let client_state = parameters.find("state").map(str::to_owned);
    let forced = state.faults().find(|fault| match fault {
        Fault::CallbackError { error, description } => Some((error.clone(), description.clone())),
        _ => None,
    });
    if let Some((error, description)) = forced {
        return redirect_with_error(
            &state,
            &redirect_uri,
            client_state,
            &error,
            description.as_deref(),
        );
    }
    match parse_request(
        &state,
        &parameters,
        &client,
        redirect_uri.clone(),
        client_state.clone(),
    ) {
        Ok(request) => consent(&state, &client, request),
        Err(refusal) => redirect_with_error(
            &state,
            &redirect_uri,
            client_state,
            &refusal.error,
            Some(&refusal.description),
        ),
    }
}

/// `POST /authorize/decision`: the user's decision.
pub(super) async fn decide(State(state): State<Arc<TestbedState>>, Form(form): Form) -> Response {
    let now = state.now();
    let ticket = form.find("ticket").unwrap_or_default();
    let Some(request) = state.token_store().take_ticket(ticket, now) else {
        return error_page("This page was used already, or is too old.");
    };
    if form.find("decision") != Some("approve") {
        let description = Some("the user denied the request");
        return redirect_with_error(
            &state,
            &request.redirect_uri,
            request.state,
            "access_denied",
            description,
        );
    }
    let (redirect_uri, client_state) = (request.redirect_uri.clone(), request.state.clone());
    let code = state.token_store().issue_code(request, now);
    let mut parameters = vec![("code", code)];
    if state.faults().has(&Fault::CallbackTwoCodes) {
        parameters.push(("code", random("code")));
    }
    if state.faults().has(&Fault::CallbackCodeAndError) {
        parameters.push(("error", "server_error".to_owned()));
    }
    redirect_to_client(&state, &redirect_uri, client_state, parameters)
}

fn trusted_client(
    state: &TestbedState,
    parameters: &Parameters,
) -> Result<(Client, String), Refusal> {
    for name in ["client_id", "redirect_uri"] {
        if parameters.repeated(repeatable(state)) == Some(name) {
            return Err(Refusal::new(
                "invalid_request",
                format!("{name} is repeated"),
            ));
        }
    }
    let id = parameters.require("client_id")?;
    let client = client_auth::find(state, id)
        .ok_or_else(|| Refusal::new("invalid_client", "The client is unknown."))?;
    permit(&client, "authorization_code")?;
    let requested = parameters.require("redirect_uri")?;
    let known = if client.redirect_uris.is_empty() {
        redirect_uri::is_acceptable(requested)
    } else {
        client.redirect_uris.iter().any(|registered| {
            let exact = state.settings.exact_redirect_uris;
            registered == requested || (!exact && redirect_uri::is_same(registered, requested))
        })
    };
    if !known {
        let reason = "The redirect URI is not one that the client registered.";
        return Err(Refusal::new("invalid_request", reason));
    }
    Ok((client, requested.to_owned()))
}

fn parse_request(
    state: &TestbedState,
    parameters: &Parameters,
    client: &Client,
    redirect_uri: String,
    client_state: Option<String>,
) -> Result<AuthorizationRequest, Refusal> {
    if let Some(name) = parameters.repeated(repeatable(state)) {
        return Err(Refusal::new(
            "invalid_request",
            format!("{name} is repeated"),
        ));
    }
    let required = state.faults().find(|fault| match fault {
        Fault::RequiresParameter(name, value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    if let Some((name, value)) = required
        && parameters.find(&name) != Some(&value)
    {
        return Err(Refusal::new(
            "invalid_request",
            format!("{name} must be {value}"),
        ));
    }
    if parameters.require("response_type")? != "code" {
        return Err(Refusal::new(
            "unsupported_response_type",
            "only code is supported",
        ));
    }
    Ok(AuthorizationRequest {
        client_id: client.id.clone(),
        redirect_uri,
        challenge: challenge(parameters)?,
        resources: granted_resources(state, parameters)?,
        scopes: check_client_scopes(state, client, parameters.find("scope"))?,
        state: client_state,
        dpop_jkt: parameters
            .find("dpop_jkt")
            .filter(|_| state.settings.dpop != DpopPolicy::Off)
            .map(str::to_owned),
    })
}

/// Returns the code challenge. OAuth 2.1 §4.1.1 and RFC 7636 §4.3: it is required, and must be S256
/// (without the method it would be `plain`).
fn challenge(parameters: &Parameters) -> Result<String, Refusal> {
    let challenge = parameters.require("code_challenge")?;
    if parameters.find("code_challenge_method") != Some("S256") {
        return Err(Refusal::new(
            "invalid_request",
            "code_challenge_method must be S256",
        ));
    }
    // 32 bytes are 43 characters of unpadded base64url.
    let well_formed = challenge.len() == 43
        && challenge
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !well_formed {
        return Err(Refusal::new(
            "invalid_request",
            "code_challenge is not an S256 hash",
        ));
    }
    Ok(challenge.to_owned())
}

/// Returns the parameters that may be repeated. RFC 8707 §2: several `resource` parameters may be used.
/// If the server has one resource, two of them are an error.
fn repeatable(state: &TestbedState) -> &'static [&'static str] {
    if state.settings.additional_resources.is_empty() {
        &[]
    } else {
        &["resource"]
    }
}

/// Returns the granted resources, which may be more than the requested ones.
fn granted_resources(
    state: &TestbedState,
    parameters: &Parameters,
) -> Result<Vec<String>, Refusal> {
    let requested = requested_resources(state, parameters)?;
    if state.settings.one_login_for_all {
        return Ok(state.resources());
    }
    Ok(requested)
}

fn consent(state: &TestbedState, client: &Client, request: AuthorizationRequest) -> Response {
    let scopes = request.scopes.clone();
    let redirect_host = Url::parse(&request.redirect_uri).ok();
    let returns_to = redirect_host
        .as_ref()
        .and_then(Url::host_str)
        .unwrap_or("an application");
    let ticket = state.token_store().open_ticket(request, state.now());
    let server = state.origins.server_url();
    let page = consent_page::page(&consent_page::Question {
        client: &client.name,
        server: &server,
        flow: consent_page::Flow::Redirect { host: returns_to },
        scopes: &scopes,
        ticket: &ticket,
    });
    page_response(StatusCode::OK, page)
}

fn redirect_with_error(
    state: &TestbedState,
    redirect_uri: &str,
    client_state: Option<String>,
    error: &str,
    description: Option<&str>,
) -> Response {
    let mut parameters = vec![("error", error.to_owned())];
    if let Some(description) = description {
        parameters.push(("error_description", description.to_owned()));
    }
    redirect_to_client(state, redirect_uri, client_state, parameters)
}

/// Sends the browser back to the client, with `state` and with `iss` (RFC 9207 §2: "including error
/// responses").
fn redirect_to_client(
    state: &TestbedState,
    redirect_uri: &str,
    client_state: Option<String>,
    parameters: Vec<(&str, String)>,
) -> Response {
    let Ok(mut target) = Url::parse(redirect_uri) else {
        return error_page("The redirect URI cannot be read.");
    };
    let faults = state.faults();
    let client_state = faults
        .find(|fault| match fault {
            Fault::CallbackState(client_state) => Some(Some(client_state.clone())),
            Fault::CallbackWithoutState => Some(None),
            _ => None,
        })
        .unwrap_or(client_state);
    let iss = faults
        .find(|fault| match fault {
            Fault::CallbackIss(iss) => Some(Some(iss.clone())),
            Fault::CallbackWithoutIss => Some(None),
            _ => None,
        })
        .unwrap_or_else(|| state.settings.iss_parameter.then(|| state.issuer()));
    let rest = client_state
        .map(|client_state| ("state", client_state))
        .into_iter();
    let rest = rest.chain(iss.map(|iss| ("iss", iss)));
    target
        .query_pairs_mut()
        .extend_pairs(parameters.into_iter().chain(rest));
    match HeaderValue::from_str(target.as_str()) {
        // 303: the form was posted, and the callback must be fetched.
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => error_page("The redirect URI cannot be sent."),
    }
}
