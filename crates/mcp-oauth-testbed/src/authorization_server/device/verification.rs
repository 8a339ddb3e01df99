//! The pages of a person who was shown a code on another device (RFC 8628 §3.3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};

use super::super::consent_page;
use super::super::consent_page::{error_page, guarded};
use super::super::parameters::{Form, Parameters};
use crate::state::TestbedState;

/// `GET /device`, with the code in the query or without.
pub(super) async fn ask(State(world): State<Arc<TestbedState>>, uri: Uri) -> Response {
    let parameters = Parameters::parse(uri.query().unwrap_or_default().as_bytes());
    match parameters.find("user_code") {
        Some(code) => confirm(&world, code),
        None => guarded(StatusCode::OK, consent_page::code_entry(None)),
    }
}

/// `POST /device`: the person has entered a code.
pub(super) async fn enter(State(world): State<Arc<TestbedState>>, Form(form): Form) -> Response {
    confirm(&world, form.find("user_code").unwrap_or_default())
}

/// Returns the code is shown also to who did not type it: RFC 8628 §3.3.1, "The server SHOULD display the
/// `user_code` to the user and ask them to verify that it matches".
fn confirm(world: &TestbedState, code: &str) -> Response {
    let Some((ask, ticket)) = world.ledger().devices.look_up(code, world.now()) else {
        let page = consent_page::code_entry(Some("There is no such code, or it is too old."));
        return guarded(StatusCode::BAD_REQUEST, page);
    };
    let server = world.origins.server_url();
    let page = consent_page::page(&consent_page::Question {
        client: &ask.client_name,
        server: &server,
        way: consent_page::Way::Device { code },
        scopes: &ask.scopes,
        ticket: &ticket,
    });
    guarded(StatusCode::OK, page)
}

/// `POST /device/decision`: what the person pressed.
pub(super) async fn decide(State(world): State<Arc<TestbedState>>, Form(form): Form) -> Response {
    let approved = form.find("decision") == Some("approve");
    let ticket = form.find("ticket").unwrap_or_default();
    let now = world.now();
    if !world.ledger().devices.decide(ticket, approved, now) {
        return error_page("This page was used already, or is too old.");
    }
    guarded(StatusCode::OK, consent_page::decided(approved))
}
