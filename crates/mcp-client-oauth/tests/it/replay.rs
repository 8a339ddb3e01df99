//! Replays real servers: the documents of hosted ones, and transcripts of servers that were run locally.
//!
//! The cases are data, in `replay/hosted/*.json` and `replay/servers/*.json`; `replay/README.md`
//! describes the format. The section of the hosted ones in `docs/interop.md` is written by
//! `MCP_OAUTH_TEST_WRITE_TABLE=1 cargo test -p mcp-client-oauth --all-features --test it -- replay::table`.

mod case;
mod check;
mod network;
mod overrides;
mod run;
mod table;
mod user_agent;

use std::{collections::BTreeSet, sync::Arc};

use http::{HeaderValue, Method, header};
use mcp_client_oauth::platform::{AddressSpace, Request};
use serde_json::json;
use url::Url;

use case::{Case, Folder};
use network::{CODE, Network};
use run::{Observations, run};

/// The number of published cases, and the number of them that the TypeScript client 2.4 logs in to.
const HOSTED: usize = 95;
const LOGGED_IN_ELSEWHERE: usize = 75;

/// Runs every case of a folder, and lists all failures in one message.
async fn run_all(folder: Folder) {
    let mut failed = Vec::new();
    for case in case::all(folder) {
        for failure in Box::pin(run(&case)).await.failures {
            failed.push(format!("{}: {failure}", case.title()));
        }
    }
    assert!(
        failed.is_empty(),
        "{} failures:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[tokio::test]
async fn every_hosted_server_has_the_outcome_of_its_case() {
    run_all(Folder::Hosted).await;
}

#[tokio::test]
async fn every_recorded_server_accepts_the_requests_of_the_client() {
    run_all(Folder::Servers).await;
}

#[test]
fn every_hosted_case_is_read_and_most_log_in() {
    let cases = case::all(Folder::Hosted);
    assert_eq!(cases.len(), HOSTED);
    let stopped = cases.iter().filter(|case| case.is_stopped()).count();
    assert!(HOSTED - stopped > LOGGED_IN_ELSEWHERE, "{stopped} stop");
}

#[test]
fn every_case_names_its_source_and_the_reason_for_a_stop() {
    for folder in [Folder::Hosted, Folder::Servers] {
        for case in case::all(folder) {
            let title = case.title();
            assert_eq!(case.is_stopped(), case.reason.is_some(), "{title}");
            let dated = match folder {
                Folder::Hosted => !case.doc.is_empty() && !case.date.is_empty(),
                Folder::Servers => case.version.is_some() && case.recorded.is_some(),
            };
            assert!(dated, "{title}");
        }
    }
}

/// Returns a case that passes; the tests below change the responses or the expectations.
fn passing_case() -> Case {
    let cases = case::all(Folder::Hosted);
    let found = cases.into_iter().find(|case| case.name == "notion");
    found.unwrap()
}

async fn failures(change: impl FnOnce(&mut Case)) -> String {
    let mut case = passing_case();
    change(&mut case);
    Box::pin(run(&case)).await.failures.join("\n")
}

const TOKEN: &str = "POST https://mcp.notion.com/token";

#[tokio::test]
async fn a_case_with_another_outcome_fails() {
    assert_eq!(failures(|_| {}).await, "");
    for expect in [
        "no-refresh-token",
        "stopped: discovery/other-issuer",
        "stopped: token/refused",
    ] {
        let found = failures(|case| expect.clone_into(&mut case.expect)).await;
        assert!(found.contains("ends as `refreshed`"), "{expect}: {found}");
    }
    let other = "https://other.example".to_owned();
    let found = failures(|case| case.callback_iss = Some(other)).await;
    assert!(found.contains("authorization/other-issuer"), "{found}");
}

#[tokio::test]
async fn a_case_fails_when_a_request_is_not_what_the_server_accepted() {
    for (expects, text) in [
        (json!({"authorization": "Basic"}), "Authorization"),
        (json!({"form": {"grant_type": "password"}}), "`grant_type`"),
        (json!({"form": {"client_secret": "*"}}), "`client_secret`"),
        (json!({"form": {"resource": null}}), "`resource`"),
    ] {
        let found = failures(|case| case.routes.at(TOKEN)[0].expects = expects).await;
        assert!(found.contains(text), "{found}");
    }
    let accepted = json!({
        "authorization": null,
        "form": {"grant_type": "authorization_code", "code": "__CODE__", "resource": "*",
                 "redirect_uri": "__REDIRECT_URI__", "client_id": "__CLIENT_ID__",
                 "client_secret": null},
    });
    assert_eq!(
        failures(|case| case.routes.at(TOKEN)[0].expects = accepted).await,
        ""
    );
}

#[tokio::test]
async fn a_case_fails_when_a_request_was_not_recorded() {
    let found = failures(|case| case.routes.at(TOKEN).truncate(1)).await;
    assert!(found.contains("more requests than responses"), "{found}");
    let found = failures(|case| case.routes.remove(TOKEN)).await;
    assert!(found.contains("was not recorded"), "{found}");
}

#[test]
fn a_secret_at_any_other_url_is_found() {
    let [endpoint, other]: [Url; 2] =
        ["https://as.example/token", "https://as.example/other"].map(|url| url.parse().unwrap());
    let secrets = BTreeSet::from([CODE.to_owned(), "rt-1".to_owned()]);
    let found = |request| check::leaks(&[request], &secrets, std::slice::from_ref(&endpoint)).len();
    let sent = |url: &Url, name: &str, value: &str| {
        let mut request = Request::new(Method::POST, url.clone(), AddressSpace::Public);
        request.body = format!("{name}={value}").into();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(header::CONTENT_TYPE, form);
        request
    };
    let get = |url| Request::new(Method::GET, url, AddressSpace::Public);
    assert_eq!(found(sent(&endpoint, "code", CODE)), 0);
    assert_eq!(found(sent(&other, "grant_type", "refresh_token")), 0);
    assert_eq!(found(sent(&other, "code", CODE)), 1);
    assert_eq!(found(sent(&other, "refresh_token", "rt-1")), 1);
    let mut in_query = other.clone();
    in_query.set_query(Some("code=code-of-this-login"));
    assert_eq!(found(get(in_query)), 1);
    let mut with_header = get(other);
    let basic = HeaderValue::from_static("Basic Yzpz");
    with_header.headers.insert(header::AUTHORIZATION, basic);
    assert_eq!(found(with_header), 1);
}

#[test]
fn a_request_after_the_step_that_failed_is_reported() {
    let mut case = passing_case();
    "stopped: discovery/other-issuer".clone_into(&mut case.expect);
    let network = Arc::new(Network::new(&case, Arc::default()));
    let mut observed = Observations {
        outcome: case.expect.clone(),
        error: None,
        network,
        opened: Vec::new(),
        is_stored: false,
        logout: None,
    };
    assert_eq!(check::failures(&case, &observed), [""; 0]);
    observed.opened = vec!["https://mcp.notion.com/authorize".parse().unwrap()];
    observed.is_stored = true;
    let failures = check::failures(&case, &observed);
    assert_eq!(failures, ["a browser was opened", "a login was stored"]);
}
