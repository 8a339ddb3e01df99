//! What was seen while a case was played, and what must be seen in every one.

use std::{error::Error as _, time::Duration};

use mcp_client_oauth::{Error, Remedy, store::Record};
use mcp_oauth_testbed::Recorded;
use url::Url;

use super::{
    browser::Page,
    case::{Act, Variant},
    outcome,
    stage::Stage,
};
use crate::{
    leaks::{Paper, secrets},
    support::Fixture,
};

/// No client waits longer than this before it tries again, whatever it is told.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What came of it.
pub(super) struct Seen {
    pub(super) code: String,
    /// Everything that the error says.
    pub(super) words: String,
    pub(super) remedy: Option<Remedy>,
    pub(super) opened: Vec<Url>,
    pub(super) scope: Option<String>,
    pub(super) pages: Vec<Page>,
    /// The longest wait before another try.
    pub(super) slept: Duration,
    pub(super) before: Option<Record>,
    pub(super) after: Option<Record>,
}

impl Seen {
    /// Of a failure, or of none. Whatever can be printed of it is printed.
    pub(super) fn of(error: Option<&Error>, paper: &Paper) -> Self {
        if let Some(error) = error {
            paper.print_error(error);
        }
        Self {
            code: error.map_or_else(|| "ok".to_owned(), outcome::code),
            words: error.map(words).unwrap_or_default(),
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

    fn stage(&self) -> &str {
        self.code.split('/').next().unwrap_or_default()
    }
}

fn words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words.push('\n');
        words.push_str(&inner.to_string());
        source = inner.source();
    }
    words
}

/// What the case expects, and what every case demands.
pub(super) fn check(act: Act, variant: &Variant, stage: &Stage, seen: &Seen, what: &str) {
    assert_eq!(seen.code, variant.expect, "{}\n{what}", seen.words);
    let requests = stage.fixture.testbed.requests();
    check_what_was_said(variant, stage, seen, what);
    check_requests(variant, &requests, what);
    check_pages(variant, seen, what);
    check_the_store(act, variant, seen, what);
    check_the_way(act, seen, &requests, what);
    for canary in &stage.canaries {
        assert_eq!(canary.heard(), [""; 0], "{what}");
    }
    let foreign = stage.foreign.heard();
    assert_eq!(foreign.len(), variant.foreign, "{foreign:?} {what}");
    let token = foreign
        .iter()
        .any(|head| head.to_ascii_lowercase().contains("authorization"));
    assert!(!token, "a stranger got a token: {foreign:?} {what}");
    if let Some(tls) = &stage.tls {
        // TargetArgs certificate proves nothing gets no request at all; a request that a server says it
        // has not taken is sent again, and not for ever.
        let (least, most) = if tls.is_proven { (1, 4) } else { (0, 0) };
        let heard = tls.requests();
        assert!((least..=most).contains(&heard), "{heard} requests: {what}");
    }
    if let Some(asked) = variant.asked {
        assert_eq!(stage.directory.asked(), asked, "{what}");
    }
    assert!(seen.slept <= LONGEST_WAIT, "{:?} {what}", seen.slept);
}

fn check_what_was_said(variant: &Variant, stage: &Stage, seen: &Seen, what: &str) {
    for text in &variant.says {
        let text = stage.words.fill(text);
        assert!(seen.words.contains(&text), "{text}: {} {what}", seen.words);
    }
    for text in &variant.hides {
        let text = stage.words.fill(text);
        assert!(!seen.words.contains(&text), "{text}: {} {what}", seen.words);
    }
    // H156-H158: nothing that a stranger wrote moves a cursor, turns a direction or ends a line.
    let dangerous = |c: char| {
        c != '\n' && c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let bare = seen.words.chars().find(|&c| dangerous(c));
    assert_eq!(bare, None, "{:?} {what}", seen.words);
    for line in seen.words.lines() {
        assert!(line.len() < 4096, "an endless message: {what}");
    }
    if let Some(expected) = &variant.scope {
        assert_eq!(seen.scope.as_ref(), Some(expected), "{what}");
    }
    if let Some(opened) = variant.opened {
        assert_eq!(seen.opened.len(), opened, "{:?} {what}", seen.opened);
    }
}

fn check_requests(variant: &Variant, requests: &[Recorded], what: &str) {
    let count = |wanted: &str| {
        let is_wanted = |request: &&Recorded| {
            let line = format!("{} {}", request.method, request.path);
            line == wanted
        };
        requests.iter().filter(is_wanted).count()
    };
    for (wanted, times) in &variant.requests {
        assert_eq!(count(wanted), *times, "{wanted}: {what}");
    }
    for (wanted, times) in &variant.at_most {
        let found = if wanted == "all" {
            requests.len()
        } else {
            count(wanted)
        };
        assert!(found <= *times, "{found} times {wanted}: {what}");
    }
    for (name, value) in &variant.sent {
        let last = requests
            .iter()
            .rev()
            .find_map(|request| request.header(name));
        assert_eq!(last, Some(value.as_str()), "{what}");
    }
    for request in requests {
        // H43: who keeps no cookies has none to send. H91: a token is in no URL. H123: who asks for
        // no compression need not undo any.
        assert_eq!(request.header("cookie"), None, "{what}");
        assert_eq!(request.header("accept-encoding"), None, "{what}");
        let query = request.query.as_deref().unwrap_or_default();
        assert!(!query.contains("access_token"), "{query} {what}");
    }
}

/// H58: a page is fixed text with nothing of what was sent, and the browser runs nothing in it.
fn check_pages(variant: &Variant, seen: &Seen, what: &str) {
    if !variant.statuses.is_empty() {
        let statuses: Vec<u16> = seen.pages.iter().map(|page| page.status).collect();
        assert_eq!(statuses, variant.statuses, "{what}");
    }
    for page in &seen.pages {
        let ours = page
            .head
            .contains("content-security-policy: default-src 'none'");
        let bare = page.body.is_empty() && !page.head.contains("content-type");
        assert!(ours || bare, "{page:?} {what}");
        assert!(!page.body.contains("planted"), "{page:?} {what}");
        assert!(!page.body.contains("<script"), "{page:?} {what}");
    }
}

fn check_the_store(act: Act, variant: &Variant, seen: &Seen, what: &str) {
    let kept = seen.before.is_some()
        && seen.before.as_ref().map(|record| &record.tokens)
            == seen.after.as_ref().map(|record| &record.tokens);
    if let Some(keeps) = variant.keeps {
        assert_eq!(kept, keeps, "what is stored of the login before: {what}");
    } else if act == Act::Logout {
        // H98: what a server says does not keep a login alive here.
        assert!(seen.after.is_none(), "{what}");
    } else if seen.code != "ok" && seen.before.is_none() {
        assert!(
            seen.after.is_none(),
            "a failed login left something: {what}"
        );
    } else if seen.stage() == "status" {
        // The answer of the server itself; its token may have been replaced on the way.
        assert!(seen.after.is_some(), "{what}");
    } else if seen.code != "ok" && seen.remedy != Some(Remedy::LogIn) {
        assert!(kept, "a failure took the login that was there: {what}");
    }
    let Some(after) = &seen.after else { return };
    if let Some(lifetime) = variant.lifetime {
        let found = after
            .tokens
            .lifetime()
            .map(|life| life.as_secs().cast_signed());
        assert_eq!(found.unwrap_or(-1), lifetime, "{what}");
    }
    if let Some(granted) = &variant.granted {
        let found = after.tokens.scope.as_ref().map(ToString::to_string);
        assert_eq!(&found.unwrap_or_default(), granted, "{what}");
    }
}

/// A stage that failed is the last one that anybody heard of.
fn check_the_way(act: Act, seen: &Seen, requests: &[Recorded], what: &str) {
    if !matches!(act, Act::Login | Act::LoginAgain) {
        return;
    }
    let forbidden: &[&str] = match seen.stage() {
        "discovery" => &["/register", "/device_authorization", "/authorize", "/token"],
        "registration" => &["/device_authorization", "/authorize", "/token"],
        "authorization" | "device" => &["/token"],
        _ => &[],
    };
    let asked = requests
        .iter()
        .find(|request| forbidden.contains(&request.path.as_str()));
    assert!(asked.is_none(), "{} after all: {what}", asked.unwrap().path);
    if matches!(seen.stage(), "discovery" | "registration" | "device") {
        assert_eq!(seen.opened, [], "{what}");
    }
}

/// H159: nothing that is secret is in a log, an error or the `Debug` of anything.
pub(super) async fn assert_nothing_leaked(fixture: &Fixture, paper: &Paper, what: &str) {
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
