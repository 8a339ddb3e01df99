//! Plays one variation of a case: the whole client, over real sockets, and what comes of it.

use std::sync::{Arc, Mutex};

use mcp_client_oauth::{
    Authorized, Error, RevocationOutcome, Session, discover, login as login_at, logout,
    platform::{AddressSpace, Clock as _, Request},
    store::Record,
    testing::ManualClock,
};
use mcp_oauth_testbed::test_user::approve_device;
use url::Url;

use super::{
    browser::{self, Page},
    case::{Act, Case, Variant},
    seen::{self, Seen},
    stage::{Stage, options},
    words::Words,
};
use crate::{
    leaks::{Paper, print_session},
    support::{Person, bounded, lock, parameters, platform},
};

/// Plays every variation, and checks what is expected of each.
pub(super) async fn play(case: &Case) {
    for (number, variant) in case.variants.iter().enumerate() {
        let (paper, _guard) = Paper::laid_out();
        let what = format!("{} variant {}: {variant:?}", case.id, number + 1);
        let asked = variant.act.unwrap_or(case.act);
        let mut stage = Stage::of(asked, variant).await;
        let pages: Pages = Arc::default();
        if variant.client.grant.as_deref() == Some("device_code") {
            stage.fixture = stage.fixture.for_person(whose_device_shows_a_code());
        } else if !variant.callbacks.is_empty() {
            let person = whose_browser_goes_to(variant, &stage.words, &pages);
            stage.fixture = stage.fixture.for_person(person);
        }
        let mut seen = Box::pin(act(asked, variant, &stage, &paper)).await;
        seen.pages = std::mem::take(&mut *lock(&pages));
        seen::check(asked, variant, &stage, &seen, &what);
        seen::assert_nothing_leaked(&stage.fixture, &paper, &what).await;
    }
}

type Pages = Arc<Mutex<Vec<Page>>>;

/// A person who approves, and whose browser then goes to each of the callbacks.
fn whose_browser_goes_to(variant: &Variant, words: &Words, pages: &Pages) -> Arc<Person> {
    let (callbacks, words, pages) = (variant.callbacks.clone(), words.clone(), Arc::clone(pages));
    Person::who(move |url| {
        let (callbacks, words, pages) = (callbacks.clone(), words.clone(), Arc::clone(&pages));
        async move {
            for page in browser::walk(&url, &callbacks, words).await {
                lock(&pages).push(page);
            }
            Vec::new()
        }
    })
}

/// A person who confirms the code that a device shows.
fn whose_device_shows_a_code() -> Arc<Person> {
    Person::who(|url| async move { vec![approve_device(&url, "").await.unwrap()] })
}

/// What came of it, before anybody looks closer.
async fn act(act: Act, variant: &Variant, stage: &Stage, paper: &Paper) -> Seen {
    match act {
        Act::Login => {
            stage.turn_hostile(variant);
            login(variant, stage, paper, None).await
        }
        Act::Discover | Act::DiscoverPublic | Act::Wire => {
            stage.turn_hostile(variant);
            discovery(variant, stage, paper).await
        }
        Act::Connect => connect(variant, stage, paper).await,
        Act::LoginAgain | Act::Request | Act::Refresh | Act::Logout => {
            let options = options(&variant.client, &stage.words);
            let mut honest = options.clone();
            honest.afresh = false;
            honest.discovery.legacy = false;
            // An honest server is waited for, however little patience the case has.
            let fixture = &stage.fixture;
            let network = platform(&fixture.clock, &fixture.person);
            let first = login_at(&network, &fixture.store, &fixture.server, &honest);
            let session = bounded(Box::pin(first)).await.unwrap();
            stage.fixture.person.pages().await;
            stage.fixture.testbed.forget_requests();
            let before = stage.fixture.record().await;
            stage.turn_hostile(variant);
            match act {
                Act::LoginAgain => login(variant, stage, paper, before).await,
                Act::Request => request(variant, stage, paper, &session, before).await,
                Act::Refresh => refresh(stage, paper, before).await,
                _ => Box::pin(leave(stage, paper, before)).await,
            }
        }
    }
}

async fn login(variant: &Variant, stage: &Stage, paper: &Paper, before: Option<Record>) -> Seen {
    let fixture = &stage.fixture;
    let opened = fixture.person.opened().len();
    let options = options(&variant.client, &stage.words);
    let outcome = fixture.login_with(&options).await;
    fixture.person.pages().await;
    let urls = fixture.person.opened().split_off(opened);
    let scope = urls.last().map(|url| parameters(url, "scope").concat());
    if let Ok(session) = &outcome {
        print_session(paper, session);
    }
    let mut seen = Seen::of(outcome.as_ref().err(), paper);
    seen.scope = scope;
    seen.opened = urls;
    seen.stored(before, fixture.record().await);
    seen
}

async fn discovery(variant: &Variant, stage: &Stage, paper: &Paper) -> Seen {
    let fixture = &stage.fixture;
    let options = options(&variant.client, &stage.words).discovery;
    let outcome = bounded(discover(&fixture.platform, &fixture.server, &options)).await;
    let scope = outcome.as_ref().ok().map(|discovery| {
        let scope = discovery.challenged_scope.as_ref();
        scope.map(ToString::to_string).unwrap_or_default()
    });
    // Nobody is sent to a server that does not support PKCE.
    let outcome = outcome.and_then(|discovery| Ok(discovery.require_pkce()?));
    let mut seen = Seen::of(outcome.as_ref().err(), paper);
    seen.scope = scope;
    seen.opened = fixture.person.opened();
    seen
}

async fn connect(variant: &Variant, stage: &Stage, paper: &Paper) -> Seen {
    let url: Url = stage
        .words
        .fill(variant.url.as_deref().unwrap())
        .parse()
        .unwrap();
    let reach = match variant.client.reach.as_deref() {
        Some("loopback") => AddressSpace::Loopback,
        Some("private") => AddressSpace::Private,
        Some("private-over-http") => AddressSpace::PrivateOverHttp,
        _ => AddressSpace::Public,
    };
    let request = Request::metadata(url, reach);
    let outcome = bounded(stage.fixture.platform.http.send(request)).await;
    Seen::of(outcome.err().map(Error::from).as_ref(), paper)
}

async fn request(
    variant: &Variant,
    stage: &Stage,
    paper: &Paper,
    session: &Session,
    before: Option<Record>,
) -> Seen {
    let fixture = &stage.fixture;
    let authorized = Authorized::new(fixture.platform.clone(), Arc::new(session.clone()));
    let url = variant.url.as_deref().unwrap_or("${server}/notes");
    let url: Url = stage.words.fill(url).parse().unwrap();
    let outcome = bounded(authorized.get(url).send()).await;
    let mut seen = match outcome {
        Ok(response) if response.status.is_success() => Seen::of(None, paper),
        Ok(response) => {
            paper.print(&response);
            let mut seen = Seen::of(None, paper);
            seen.code = format!("status/{}", response.status.as_u16());
            seen
        }
        Err(error) => Seen::of(Some(&error), paper),
    };
    seen.stored(before, fixture.record().await);
    seen
}

/// Time flies, so that a client which waits before it tries again is not waited for.
async fn refresh(stage: &Stage, paper: &Paper, before: Option<Record>) -> Seen {
    let clock = ManualClock::auto_advancing(stage.fixture.clock.now());
    let mut platform = platform(&clock, &stage.fixture.person);
    platform.http = Arc::clone(&stage.fixture.platform.http);
    let key = stage.fixture.key();
    let session = Session::open(platform, stage.fixture.store.clone(), key).await;
    let session = session.unwrap().unwrap();
    let outcome = bounded(session.refresh()).await;
    print_session(paper, &session);
    let mut seen = Seen::of(outcome.as_ref().err(), paper);
    seen.slept = clock.slept().iter().max().copied().unwrap_or_default();
    seen.stored(before, stage.fixture.record().await);
    seen
}

async fn leave(stage: &Stage, paper: &Paper, before: Option<Record>) -> Seen {
    let fixture = &stage.fixture;
    let clock = ManualClock::auto_advancing(fixture.clock.now());
    let mut platform = platform(&clock, &fixture.person);
    platform.http = Arc::clone(&fixture.platform.http);
    let outcome = bounded(logout(&platform, &fixture.store, &fixture.key())).await;
    let mut seen = match outcome.unwrap().remote {
        RevocationOutcome::Failed(error) => Seen::of(Some(&error), paper),
        RevocationOutcome::Revoked => Seen::of(None, paper),
        other => {
            let mut seen = Seen::of(None, paper);
            seen.code = format!("logout/{other:?}");
            seen
        }
    };
    seen.stored(before, fixture.record().await);
    seen
}
