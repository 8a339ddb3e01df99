//! The authorization endpoint: what a client may ask, the consent page, and the way back.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, Uri, header};
use url::Url;

use super::consent_page::{error_page, guarded};
use super::grants::permit;
use super::parameters::{Form, Parameters};
use super::refusal::Refusal;
use super::resource::resources;
use super::scope::client_scopes;
use super::{client_auth, consent_page, redirect_uri};
use crate::faults::Fault;
use crate::random::random;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;
use crate::state::token_store::{Ask, Client};

/// `GET /authorize`: the consent page, an error for the client, or one for the person.
pub(super) async fn ask(State(world): State<Arc<TestbedState>>, uri: Uri) -> Response {
    let parameters = Parameters::parse(uri.query().unwrap_or_default().as_bytes());
    // Until the redirect URI is known to be the client's, errors stay here: OAuth 2.1 §4.1.2.1,
    // the server "MUST NOT automatically redirect the user agent to the invalid redirect URI".
    let (client, redirect_uri) = match trusted(&world, &parameters) {
        Ok(trusted) => trusted,
        Err(refusal) => return error_page(&refusal.description),
    };
    let state = parameters.find("state").map(str::to_owned);
    let forced = world.faults().find(|fault| match fault {
        Fault::CallbackError { error, description } => Some((error.clone(), description.clone())),
        _ => None,
    });
    if let Some((error, description)) = forced {
        return refused(&world, &redirect_uri, state, &error, description.as_deref());
    }
    match request(
        &world,
        &parameters,
        &client,
        redirect_uri.clone(),
        state.clone(),
    ) {
        Ok(ask) => consent(&world, &client, ask),
        Err(refusal) => refused(
            &world,
            &redirect_uri,
            state,
            &refusal.error,
            Some(&refusal.description),
        ),
    }
}

/// `POST /authorize/decision`: what the person pressed.
pub(super) async fn decide(State(world): State<Arc<TestbedState>>, Form(form): Form) -> Response {
    let now = world.now();
    let ticket = form.find("ticket").unwrap_or_default();
    let Some(ask) = world.ledger().take_ticket(ticket, now) else {
        return error_page("This page was used already, or is too old.");
    };
    if form.find("decision") != Some("approve") {
        let description = Some("the person said no");
        return refused(
            &world,
            &ask.redirect_uri,
            ask.state,
            "access_denied",
            description,
        );
    }
    let (redirect_uri, state) = (ask.redirect_uri.clone(), ask.state.clone());
    let code = world.ledger().issue_code(ask, now);
    let mut answer = vec![("code", code)];
    if world.faults().has(&Fault::CallbackTwoCodes) {
        answer.push(("code", random("code")));
    }
    if world.faults().has(&Fault::CallbackCodeAndError) {
        answer.push(("error", "server_error".to_owned()));
    }
    back(&world, &redirect_uri, state, answer)
}

fn trusted(world: &TestbedState, parameters: &Parameters) -> Result<(Client, String), Refusal> {
    for name in ["client_id", "redirect_uri"] {
        if parameters.repeated(repeatable(world)) == Some(name) {
            return Err(Refusal::new(
                "invalid_request",
                format!("{name} comes more than once"),
            ));
        }
    }
    let id = parameters.require("client_id")?;
    let client = client_auth::find(world, id)
        .ok_or_else(|| Refusal::new("invalid_client", "The client is unknown."))?;
    permit(&client, "authorization_code")?;
    let asked = parameters.require("redirect_uri")?;
    let known = if client.redirect_uris.is_empty() {
        redirect_uri::is_acceptable(asked)
    } else {
        client.redirect_uris.iter().any(|registered| {
            let exact = world.settings.exact_redirect_uris;
            registered == asked || (!exact && redirect_uri::is_same(registered, asked))
        })
    };
    if !known {
        let reason = "The redirect URI is not one that the client registered.";
        return Err(Refusal::new("invalid_request", reason));
    }
    Ok((client, asked.to_owned()))
}

fn request(
    world: &TestbedState,
    parameters: &Parameters,
    client: &Client,
    redirect_uri: String,
    state: Option<String>,
) -> Result<Ask, Refusal> {
    if let Some(name) = parameters.repeated(repeatable(world)) {
        return Err(Refusal::new(
            "invalid_request",
            format!("{name} comes more than once"),
        ));
    }
    let wanted = world.faults().find(|fault| match fault {
        Fault::WantsParameter(name, value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    if let Some((name, value)) = wanted
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
    Ok(Ask {
        client_id: client.id.clone(),
        redirect_uri,
        challenge: challenge(parameters)?,
        resources: granted_resources(world, parameters)?,
        scopes: client_scopes(world, client, parameters.find("scope"))?,
        state,
        dpop_jkt: parameters
            .find("dpop_jkt")
            .filter(|_| world.settings.dpop != DpopPolicy::Off)
            .map(str::to_owned),
    })
}

/// OAuth 2.1 §4.1.1 and RFC 7636 §4.3: a challenge, and it is S256 (without the method it would be
/// `plain`).
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

/// RFC 8707 §2: several `resource` parameters may be used. Where there is one resource, two of
/// them are a mistake.
fn repeatable(world: &TestbedState) -> &'static [&'static str] {
    if world.settings.other_resources.is_empty() {
        &[]
    } else {
        &["resource"]
    }
}

/// Returns what a client gets tokens for, and maybe more.
fn granted_resources(
    world: &TestbedState,
    parameters: &Parameters,
) -> Result<Vec<String>, Refusal> {
    let asked = resources(world, parameters)?;
    if world.settings.one_login_for_all {
        return Ok(world.resources());
    }
    Ok(asked)
}

fn consent(world: &TestbedState, client: &Client, ask: Ask) -> Response {
    let scopes = ask.scopes.clone();
    let returns_to = Url::parse(&ask.redirect_uri).ok();
    let returns_to = returns_to
        .as_ref()
        .and_then(Url::host_str)
        .unwrap_or("an application");
    let ticket = world.ledger().open_ticket(ask, world.now());
    let server = world.origins.server_url();
    let page = consent_page::page(&consent_page::Question {
        client: &client.name,
        server: &server,
        way: consent_page::Way::Redirect { host: returns_to },
        scopes: &scopes,
        ticket: &ticket,
    });
    guarded(StatusCode::OK, page)
}

fn refused(
    world: &TestbedState,
    redirect_uri: &str,
    state: Option<String>,
    error: &str,
    description: Option<&str>,
) -> Response {
    let mut answer = vec![("error", error.to_owned())];
    if let Some(description) = description {
        answer.push(("error_description", description.to_owned()));
    }
    back(world, redirect_uri, state, answer)
}

/// Sends the browser back to the client, with `state` and with `iss` (RFC 9207 §2: "including error
/// responses").
fn back(
    world: &TestbedState,
    redirect_uri: &str,
    state: Option<String>,
    answer: Vec<(&str, String)>,
) -> Response {
    let Ok(mut target) = Url::parse(redirect_uri) else {
        return error_page("The redirect URI cannot be read.");
    };
    let faults = world.faults();
    let state = faults
        .find(|fault| match fault {
            Fault::CallbackState(state) => Some(Some(state.clone())),
            Fault::CallbackWithoutState => Some(None),
            _ => None,
        })
        .unwrap_or(state);
    let iss = faults
        .find(|fault| match fault {
            Fault::CallbackIss(iss) => Some(Some(iss.clone())),
            Fault::CallbackWithoutIss => Some(None),
            _ => None,
        })
        .unwrap_or_else(|| world.settings.iss_parameter.then(|| world.issuer()));
    let rest = state.map(|state| ("state", state)).into_iter();
    let rest = rest.chain(iss.map(|iss| ("iss", iss)));
    target
        .query_pairs_mut()
        .extend_pairs(answer.into_iter().chain(rest));
    match HeaderValue::from_str(target.as_str()) {
        // 303: the form was posted, and the callback must be fetched.
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => error_page("The redirect URI cannot be sent."),
    }
}
