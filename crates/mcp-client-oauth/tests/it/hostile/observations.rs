//! The observations of a case, and the checks that apply to every case.

use std::{error::Error as _, time::Duration};

use mcp_client_oauth::{Error, Remedy, store::Record};
use mcp_oauth_testbed::RecordedRequest;
use url::Url;

use super::{
    browser::Page,
    case::{Action, Variant},
    fixture::CaseFixture,
    outcome,
};
use crate::{
    leaks::{CapturedOutput, secrets},
    support::Fixture,
};

/// The longest pause before a retry, whatever the server sends.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The observations of one variant.
pub(super) struct Observations {
    pub(super) code: String,
    /// The messages of the error and its sources.
    pub(super) error_text: String,
    pub(super) remedy: Option<Remedy>,
    pub(super) opened: Vec<Url>,
    pub(super) scope: Option<String>,
    pub(super) pages: Vec<Page>,
    /// The longest pause before a retry.
    pub(super) slept: Duration,
    pub(super) before: Option<Record>,
    pub(super) after: Option<Record>,
}

impl Observations {
    /// Returns the observations of a failure, or of a success. Prints the error in every format.
    pub(super) fn of(error: Option<&Error>, paper: &CapturedOutput) -> Self {
        if let Some(error) = error {
            paper.print_error(error);
        }
        Self {
            code: error.map_or_else(|| "ok".to_owned(), outcome::code),
            error_text: error.map(error_text).unwrap_or_default(),
            remedy: error.map(Error::remedy),
            opened: Vec::new(),
            scope: None,
            pages: Vec::new(),
            slept: Duration::ZERO,
            before: None,
            after: None,
        }
    }

    pub(super) fn stored(&mut self, before: Option<Record>, after: Option<Record>) {
        (self.before, self.after) = (before, after);
    }

    fn step(&self) -> &str {
        self.code.split('/').next().unwrap_or_default()
    }
}

fn error_text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push('\n');
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Checks the expectations of the variant, and those of every case.
pub(super) fn check(
    action: Action,
    variant: &Variant,
    setup: &CaseFixture,
    observed: &Observations,
    what: &str,
) {
    assert_eq!(
        observed.code, variant.expect,
        "{}\n{what}",
        observed.error_text
    );
    let requests = setup.fixture.testbed.requests();
    check_error_text(variant, setup, observed, what);
    check_requests(variant, &requests, what);
    check_pages(variant, observed, what);
    check_store(action, variant, observed, what);
    check_order_of_requests(action, observed, &requests, what);
    for canary in &setup.canaries {
        assert_eq!(canary.received(), [""; 0], "{what}");
    }
    let third_party = setup.third_party.received();
    assert_eq!(
        third_party.len(),
        variant.third_party_requests,
        "{third_party:?} {what}"
    );
    let token = third_party
        .iter()
        .any(|head| head.to_ascii_lowercase().contains("authorization"));
    assert!(
        !token,
        "a third party received a token: {third_party:?} {what}"
    );
    if let Some(tls) = &setup.tls {
        // A server with an invalid certificate receives no request. A request that an HTTP/2 server has
        // not processed is retried (RFC 9113 §8.7), a few times.
        let (least, most) = if tls.has_valid_certificate {
            (1, 4)
        } else {
            (0, 0)
        };
        let received = tls.requests();
        assert!(
            (least..=most).contains(&received),
            "{received} requests: {what}"
        );
    }
    if let Some(lookups) = variant.dns_lookups {
        assert_eq!(setup.resolver.lookups(), lookups, "{what}");
    }
    assert!(
        observed.slept <= LONGEST_WAIT,
        "{:?} {what}",
        observed.slept
    );
}

fn check_error_text(variant: &Variant, setup: &CaseFixture, observed: &Observations, what: &str) {
    for text in &variant.error_contains {
        let text = setup.placeholders.fill(text);
        assert!(
            observed.error_text.contains(&text),
            "{text}: {} {what}",
            observed.error_text
        );
    }
    for text in &variant.error_omits {
        let text = setup.placeholders.fill(text);
        assert!(
            !observed.error_text.contains(&text),
            "{text}: {} {what}",
            observed.error_text
        );
    }
    // docs/hostile.md H156-H158: untrusted text moves no cursor, changes no text direction, ends no line.
    let dangerous = |c: char| {
        c != '\n' && c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let bare = observed.error_text.chars().find(|&c| dangerous(c));
    assert_eq!(bare, None, "{:?} {what}", observed.error_text);
    for line in observed.error_text.lines() {
        assert!(line.len() < 4096, "a message that is too long: {what}");
    }
    if let Some(expected) = &variant.scope {
        assert_eq!(observed.scope.as_ref(), Some(expected), "{what}");
    }
    if let Some(opened) = variant.opened {
        assert_eq!(
            observed.opened.len(),
            opened,
            "{:?} {what}",
            observed.opened
        );
    }
}

fn check_requests(variant: &Variant, requests: &[RecordedRequest], what: &str) {
    let count = |expected: &str| {
        let is_match = |request: &&RecordedRequest| {
            let line = format!("{} {}", request.method, request.path);
            line == expected
        };
        requests.iter().filter(is_match).count()
    };
    for (expected, times) in &variant.requests {
        assert_eq!(count(expected), *times, "{expected}: {what}");
    }
    for (expected, times) in &variant.max_requests {
        let found = if expected == "all" {
            requests.len()
        } else {
            count(expected)
        };
        assert!(found <= *times, "{found} times {expected}: {what}");
    }
    for (name, value) in &variant.sent {
        let last = requests
            .iter()
            .rev()
            .find_map(|request| request.header(name));
        assert_eq!(last, Some(value.as_str()), "{what}");
    }
    for request in requests {
        // The client stores no cookies (docs/hostile.md H43), sends no token in a URL (H91, OAuth 2.1
        // §5.1), and requests no compression (H123).
        assert_eq!(request.header("cookie"), None, "{what}");
        assert_eq!(request.header("accept-encoding"), None, "{what}");
        let query = request.query.as_deref().unwrap_or_default();
        assert!(!query.contains("access_token"), "{query} {what}");
    }
}

/// Checks that a page is fixed text without any part of the request, and that the browser runs no
/// script in it (docs/hostile.md H58).
fn check_pages(variant: &Variant, observed: &Observations, what: &str) {
    if !variant.statuses.is_empty() {
        let statuses: Vec<u16> = observed.pages.iter().map(|page| page.status).collect();
        assert_eq!(statuses, variant.statuses, "{what}");
    }
    for page in &observed.pages {
        let forbids_scripts = page
            .head
            .contains("content-security-policy: default-src 'none'");
        let is_empty = page.body.is_empty() && !page.head.contains("content-type");
        assert!(forbids_scripts || is_empty, "{page:?} {what}");
        assert!(!page.body.contains("planted"), "{page:?} {what}");
        assert!(!page.body.contains("<script"), "{page:?} {what}");
    }
}

fn check_store(action: Action, variant: &Variant, observed: &Observations, what: &str) {
    let kept = observed.before.is_some()
        && observed.before.as_ref().map(|record| &record.tokens)
            == observed.after.as_ref().map(|record| &record.tokens);
    if let Some(login_kept) = variant.login_kept {
        assert_eq!(kept, login_kept, "the previous login: {what}");
    } else if action == Action::Logout {
        // RFC 7009 §2.2: whatever the response of the server, the local tokens are removed.
        assert!(observed.after.is_none(), "{what}");
    } else if observed.code != "ok" && observed.before.is_none() {
        assert!(
            observed.after.is_none(),
            "a failed login stored a record: {what}"
        );
    } else if observed.step() == "status" {
        // The response of the MCP server itself; the token may have been refreshed before it.
        assert!(observed.after.is_some(), "{what}");
    } else if observed.code != "ok" && observed.remedy != Some(Remedy::LogIn) {
        assert!(kept, "a failure removed the previous login: {what}");
    }
    let Some(after) = &observed.after else { return };
    if let Some(lifetime) = variant.lifetime {
        let (start, end) = (after.tokens.issued_at, after.tokens.expires_at);
        let found = end.map(|end| end.duration_since(start).unwrap().as_secs().cast_signed());
        assert_eq!(found.unwrap_or(-1), lifetime, "{what}");
    }
    if let Some(granted) = &variant.granted {
        let found = after.tokens.scope.as_ref().map(ToString::to_string);
        assert_eq!(&found.unwrap_or_default(), granted, "{what}");
    }
}

/// Checks that no request of a later step is sent after the step that failed.
fn check_order_of_requests(
    action: Action,
    observed: &Observations,
    requests: &[RecordedRequest],
    what: &str,
) {
    if !matches!(action, Action::Login | Action::LoginAgain) {
        return;
    }
    let forbidden: &[&str] = match observed.step() {
        "discovery" => &["/register", "/device_authorization", "/authorize", "/token"],
        "registration" => &["/device_authorization", "/authorize", "/token"],
        "authorization" | "device" => &["/token"],
        _ => &[],
    };
    let later = requests
        .iter()
        .find(|request| forbidden.contains(&request.path.as_str()));
    assert!(
        later.is_none(),
        "{} was requested: {what}",
        later.unwrap().path
    );
    if matches!(observed.step(), "discovery" | "registration" | "device") {
        assert_eq!(observed.opened, [], "{what}");
    }
}

/// Checks that no secret is in a log, an error or any `Debug` output (docs/hostile.md H159).
pub(super) async fn assert_nothing_leaked(fixture: &Fixture, paper: &CapturedOutput, what: &str) {
    let text = paper.text();
    for secret in secrets(fixture)
        .await
        .iter()
        .filter(|secret| secret.len() >= 8)
    {
        assert!(!text.contains(secret), "{secret} is printed: {what}");
    }
    let planted = text.lines().find(|line| line.contains("planted"));
    assert_eq!(planted, None, "{what}");
    assert!(
        !text.contains('\u{1b}'),
        "an escape sequence is printed: {what}"
    );
}
