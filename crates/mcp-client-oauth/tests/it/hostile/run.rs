//! Runs the variants of a case: the complete client, over real sockets.

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex},
};

use http::Method;
use mcp_client_oauth::{
    Client, Error, RevocationOutcome, ServerUrl,
    flow::{ClientIdentity, DiscoveryOptions, authorization_url, discover},
    platform::{AddressSpace, Clock as _, Request},
    store::Record,
};
use mcp_oauth_testbed::test_user::approve_device;
use mcp_oauth_testing::ManualClock;
use url::Url;

use super::{
    browser::{self, Page},
    case::{Action, Case, Variant},
    fixture::{CaseFixture, configure},
    observations::{self, Observations},
    placeholders::Placeholders,
};
use crate::{
    leaks::{CapturedOutput, print_session},
    support::{TestUser, bounded, lock, parameters, platform},
};

/// Runs every variant, and checks the expected outcome of each.
pub(super) async fn run_case(case: &Case) {
    for (number, variant) in case.variants.iter().enumerate() {
        let (paper, _guard) = CapturedOutput::capture();
        let what = format!("{} variant {}: {variant:?}", case.id, number + 1);
        let action = variant.action.unwrap_or(case.action);
        let mut setup = CaseFixture::of(action, variant).await;
        let pages: Pages = Arc::default();
        if variant.client.grant.as_deref() == Some("device_code") {
            setup.fixture = setup.fixture.with_user(device_approving_user());
        } else if !variant.callbacks.is_empty() {
            let user = user_with_callbacks(variant, &setup.placeholders, &pages);
            setup.fixture = setup.fixture.with_user(user);
        }
        let mut observed = Box::pin(perform(action, variant, &setup, &paper)).await;
        observed.pages = std::mem::take(&mut *lock(&pages));
        observations::check(action, variant, &setup, &observed, &what);
        observations::assert_nothing_leaked(&setup.fixture, &paper, &what).await;
    }
}

type Pages = Arc<Mutex<Vec<Page>>>;

/// Returns a user who approves, then opens each of the callbacks in the browser.
fn user_with_callbacks(
    variant: &Variant,
    placeholders: &Placeholders,
    pages: &Pages,
) -> Arc<TestUser> {
    let (callbacks, placeholders, pages) = (
        variant.callbacks.clone(),
        placeholders.clone(),
        Arc::clone(pages),
    );
    TestUser::with_action(move |url| {
        let (callbacks, placeholders, pages) =
            (callbacks.clone(), placeholders.clone(), Arc::clone(&pages));
        async move {
            for page in browser::walk(&url, &callbacks, placeholders).await {
                lock(&pages).push(page);
            }
            Vec::new()
        }
    })
}

/// Returns a user who confirms the code of the device flow.
fn device_approving_user() -> Arc<TestUser> {
    TestUser::with_action(|url| async move { vec![approve_device(&url, "").await.unwrap()] })
}

/// Performs the action and returns the observations, without any check.
async fn perform(
    action: Action,
    variant: &Variant,
    setup: &CaseFixture,
    paper: &CapturedOutput,
) -> Observations {
    match action {
        Action::Login => {
            setup.turn_hostile(variant);
            login(variant, setup, paper, None).await
        }
        Action::Discover | Action::DiscoverPublic | Action::Wire => {
            setup.turn_hostile(variant);
            discovery(variant, setup, paper).await
        }
        Action::Connect => connect(variant, setup, paper).await,
        Action::TypedUrl => typed_url(variant, setup, paper).await,
        Action::LoginAgain | Action::Request | Action::Refresh | Action::Logout => {
            // The honest login does not use the short timeout of the case.
            let fixture = &setup.fixture;
            let network = platform(&fixture.clock, &fixture.user);
            let client = Client::with_platform(network, fixture.store.clone());
            let honest = client.login(&fixture.server).reauthenticate();
            let honest = configure(honest, &variant.client, &setup.placeholders);
            bounded(honest.into_future()).await.unwrap();
            setup.fixture.user.pages().await;
            setup.fixture.testbed.clear_requests();
            let before = setup.fixture.record().await;
            setup.turn_hostile(variant);
            match action {
                Action::LoginAgain => login(variant, setup, paper, before).await,
                Action::Request => request(variant, setup, paper, before).await,
                Action::Refresh => refresh(setup, paper, before).await,
                _ => Box::pin(log_out(setup, paper, before)).await,
            }
        }
    }
}

async fn login(
    variant: &Variant,
    setup: &CaseFixture,
    paper: &CapturedOutput,
    before: Option<Record>,
) -> Observations {
    let fixture = &setup.fixture;
    let opened = fixture.user.opened_urls().len();
    let outcome = fixture.login_with(|login| {
        let config = &variant.client;
        let mut login = configure(login, config, &setup.placeholders);
        if config.force {
            login = login.force();
        }
        if config.legacy {
            login = login.legacy();
        }
        login
    });
    let outcome = outcome.await;
    fixture.user.pages().await;
    let urls = fixture.user.opened_urls().split_off(opened);
    let scope = urls.last().map(|url| parameters(url, "scope").concat());
    if let Ok(session) = &outcome {
        print_session(paper, session);
    }
    let mut observed = Observations::of(outcome.as_ref().err(), paper);
    observed.scope = scope;
    observed.opened = urls;
    observed.stored(before, fixture.record().await);
    observed
}

async fn discovery(variant: &Variant, setup: &CaseFixture, paper: &CapturedOutput) -> Observations {
    let fixture = &setup.fixture;
    let mut options = DiscoveryOptions::default();
    options.legacy = variant.client.legacy;
    let outcome = bounded(discover(&fixture.platform, &fixture.server, &options)).await;
    let scope = outcome.as_ref().ok().map(|discovery| {
        let scope = discovery.challenged_scope.as_ref();
        scope.map(ToString::to_string).unwrap_or_default()
    });
    // A login with a server that does not support PKCE fails at this step.
    let outcome = outcome.and_then(|discovery| {
        let identity =
            ClientIdentity::MetadataDocument("https://app.example/c.json".parse().unwrap());
        let redirect_uri = "http://127.0.0.1:1/callback".parse().unwrap();
        match authorization_url(&discovery, &identity, &redirect_uri, None, None) {
            Err(error @ Error::Discovery(_)) => Err(error),
            _ => Ok(()),
        }
    });
    let mut observed = Observations::of(outcome.as_ref().err(), paper);
    observed.scope = scope;
    observed.opened = fixture.user.opened_urls();
    observed
}

async fn connect(variant: &Variant, setup: &CaseFixture, paper: &CapturedOutput) -> Observations {
    let url: Url = setup
        .placeholders
        .fill(variant.url.as_deref().unwrap())
        .parse()
        .unwrap();
    let address_space = match variant.client.address_space.as_deref() {
        Some("loopback") => AddressSpace::Loopback,
        Some("private") => AddressSpace::Private,
        Some("private-over-http") => AddressSpace::PrivateOverHttp,
        _ => AddressSpace::Public,
    };
    let request = Request::new(Method::GET, url, address_space);
    let outcome = bounded(setup.fixture.platform.http.send(request)).await;
    Observations::of(outcome.err().map(Error::from).as_ref(), paper)
}

/// Logs in at the URL that a user typed into a web form.
async fn typed_url(variant: &Variant, setup: &CaseFixture, paper: &CapturedOutput) -> Observations {
    let fixture = &setup.fixture;
    let url = setup.placeholders.fill(variant.url.as_deref().unwrap());
    // With the permission for plain http, so that the client decides.
    let server = ServerUrl::parse_allow_http(&url).unwrap();
    let builder = Client::builder().public_networks_only();
    let builder = builder.http_client(Arc::clone(&fixture.platform.http));
    let builder = builder.interaction(Arc::clone(&fixture.user));
    let client = builder.store(fixture.store.clone()).build().await.unwrap();
    let outcome = bounded(client.login(server).into_future()).await;
    let mut observed = Observations::of(outcome.err().as_ref(), paper);
    observed.opened = fixture.user.opened_urls();
    observed
}

async fn request(
    variant: &Variant,
    setup: &CaseFixture,
    paper: &CapturedOutput,
    before: Option<Record>,
) -> Observations {
    let fixture = &setup.fixture;
    let session = fixture.client().session(fixture.key()).await.unwrap();
    let url = variant.url.as_deref().unwrap_or("${server}/notes");
    let url = setup.placeholders.fill(url);
    let outcome = bounded(session.get(url).send()).await;
    let mut observed = match outcome {
        Ok(response) if response.status.is_success() => Observations::of(None, paper),
        Ok(response) => {
            paper.print(&response);
            let mut observed = Observations::of(None, paper);
            observed.code = format!("status/{}", response.status.as_u16());
            observed
        }
        Err(error) => Observations::of(Some(&error), paper),
    };
    observed.stored(before, fixture.record().await);
    observed
}

/// Refreshes with a clock that advances by itself, so that a pause before a retry takes no time.
async fn refresh(
    setup: &CaseFixture,
    paper: &CapturedOutput,
    before: Option<Record>,
) -> Observations {
    let clock = ManualClock::auto_advancing(setup.fixture.clock.now());
    let mut platform = platform(&clock, &setup.fixture.user);
    platform.http = Arc::clone(&setup.fixture.platform.http);
    let key = setup.fixture.key();
    let client = Client::with_platform(platform, setup.fixture.store.clone());
    let session = client.session(key).await.unwrap();
    let outcome = bounded(session.refresh()).await;
    print_session(paper, &session);
    let mut observed = Observations::of(outcome.as_ref().err(), paper);
    observed.slept = clock.slept().iter().max().copied().unwrap_or_default();
    observed.stored(before, setup.fixture.record().await);
    observed
}

async fn log_out(
    setup: &CaseFixture,
    paper: &CapturedOutput,
    before: Option<Record>,
) -> Observations {
    let fixture = &setup.fixture;
    let clock = ManualClock::auto_advancing(fixture.clock.now());
    let mut platform = platform(&clock, &fixture.user);
    platform.http = Arc::clone(&fixture.platform.http);
    let client = Client::with_platform(platform, fixture.store.clone());
    let outcome = bounded(client.logout(fixture.key())).await;
    let mut observed = match outcome.unwrap().remote {
        RevocationOutcome::Failed(error) => Observations::of(Some(&error), paper),
        RevocationOutcome::Revoked => Observations::of(None, paper),
        other => {
            let mut observed = Observations::of(None, paper);
            observed.code = format!("logout/{other:?}");
            observed
        }
    };
    observed.stored(before, fixture.record().await);
    observed
}
