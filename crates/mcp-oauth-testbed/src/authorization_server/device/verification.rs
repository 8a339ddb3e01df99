//! The pages for a user with a code on another device (RFC 8628 §3.3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};

use super::super::consent_page;
use super::super::consent_page::{error_page, page_response};
use super::super::parameters::{Form, Parameters};
use crate::state::TestbedState;

/// `GET /device`, with the code in the query or without.
pub(super) async fn show_page(State(state): State<Arc<TestbedState>>, uri: Uri) -> Response {
    let parameters = Parameters::parse(uri.query().unwrap_or_default().as_bytes());
    match parameters.find("user_code") {
        Some(code) => confirm(&state, code),
        None => page_response(StatusCode::OK, consent_page::code_entry(None)),
    }
}

/// `POST /device`: the user has entered a code.
pub(super) async fn enter(State(state): State<Arc<TestbedState>>, Form(form): Form) -> Response {
    confirm(&state, form.find("user_code").unwrap_or_default())
}

/// Shows the consent page with the code, also if the user did not type it. RFC 8628 §3.3.1: "The server
/// SHOULD display the `user_code` to the user and ask them to verify that it matches".
fn confirm(state: &TestbedState, code: &str) -> Response {
    let Some((request, ticket)) = state.token_store().devices.look_up(code, state.now()) else {
        let page = consent_page::code_entry(Some("There is no such code, or it is too old."));
        return page_response(StatusCode::BAD_REQUEST, page);
    };
    let server = state.origins.server_url();
    let page = consent_page::page(&consent_page::Question {
        client: &request.client_name,
        server: &server,
        flow: consent_page::Flow::Device { code },
        scopes: &request.scopes,
        ticket: &ticket,
    });
    page_response(StatusCode::OK, page)
}

/// `POST /device/decision`: the user's decision.
pub(super) async fn decide(State(state): State<Arc<TestbedState>>, Form(form): Form) -> Response {
    let approved = form.find("decision") == Some("approve");
    let ticket = form.find("ticket").unwrap_or_default();
    let now = state.now();
    if !state.token_store().devices.decide(ticket, approved, now) {
        return error_page("This page was used already, or is too old.");
    }
    page_response(StatusCode::OK, consent_page::outcome_page(approved))
}
