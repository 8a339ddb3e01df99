//! One case: login, expiry, refresh, logout.

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use mcp_client_oauth::{
    Client, Error, Login, RevocationOutcome, Secret, ServerUrl, Session, TokenStore,
    platform::Platform,
    store::{LoginKey, Record},
};
use mcp_oauth_testing::ManualClock;
use url::Url;

use super::{
    case::{Case, Options},
    check,
    network::{Facts, Network},
    user_agent::UserAgent,
};
use crate::{
    hostile::outcome::code,
    support::{bounded, start_time},
};

/// Longer than the lifetime of any access token in the cases.
const PAST_EXPIRY: Duration = Duration::from_secs(100 * 24 * 3600);
/// The days from March of the year 0 to 1970.
const UNTIL_1970: u64 = 719_468;

/// The result of a case.
pub(super) struct CaseResult {
    /// The outcome, in the format of `expect`.
    pub(super) outcome: String,
    /// The login, if there was one.
    pub(super) record: Option<Record>,
    pub(super) network: Arc<Network>,
    /// The differences from the case.
    pub(super) failures: Vec<String>,
}

/// The observations of a run, for the checks.
pub(super) struct Observations {
    pub(super) outcome: String,
    pub(super) error: Option<Error>,
    pub(super) network: Arc<Network>,
    pub(super) opened: Vec<Url>,
    /// Says whether the store holds a login after the run.
    pub(super) is_stored: bool,
    pub(super) logout: Option<&'static str>,
}

pub(super) async fn run(case: &Case) -> CaseResult {
    let facts = Arc::new(Mutex::new(Facts::default()));
    let network = Arc::new(Network::new(case, Arc::clone(&facts)));
    let agent = Arc::new(UserAgent::new(case.callback_iss.clone(), facts));
    let clock = ManualClock::new(started(case));
    let platform = Platform::new(network.clone(), Arc::new(clock.clone()), agent.clone());
    let store = TokenStore::memory();
    let server: ServerUrl = case.server.parse().unwrap();
    let key = LoginKey::from(server.clone());

    let client = Client::with_platform(platform, store.clone());
    let login = configured(client.login(server), &case.options);
    let (outcome, error, record) = match bounded(login.into_future()).await {
        Ok(session) => {
            let (outcome, error) = refreshed(&session, &clock).await;
            (outcome, error, session.record())
        }
        Err(error) => (format!("stopped: {}", code(&error)), Some(error), None),
    };
    let is_stored = store.load(&key).await.unwrap().is_some();
    let mut remote = None;
    if case.logout.is_some() {
        let outcome = bounded(client.logout(&key)).await.unwrap();
        remote = Some(named(&outcome.remote));
    }
    let observed = Observations {
        outcome: outcome.clone(),
        error,
        network: Arc::clone(&network),
        opened: agent.opened(),
        is_stored,
        logout: remote,
    };
    CaseResult {
        outcome,
        record,
        network,
        failures: check::failures(case, &observed),
    }
}

/// Returns the start time of the run: noon of the day of a transcript, because a response may hold the time
/// until which a client secret is valid.
fn started(case: &Case) -> SystemTime {
    let Some(recorded) = &case.recorded else {
        return start_time();
    };
    let mut parts = recorded.date.split('-').map(|part| part.parse().unwrap());
    let [year, month, day]: [u64; 3] = std::array::from_fn(|_| parts.next().unwrap());
    // The days of the Gregorian calendar, in years that begin with March.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    SystemTime::UNIX_EPOCH + Duration::from_secs((days - UNTIL_1970) * 24 * 3600 + 12 * 3600)
}

/// Returns the login with the options of a case.
fn configured(login: Login, given: &Options) -> Login {
    let mut login = login.quirks(given.quirks.clone());
    if let Some(id) = &given.client_id {
        login = login.client_id(id);
    }
    if let Some(secret) = given.client_secret.clone() {
        login = login.client_secret(Secret::new(secret));
    }
    if let Some(url) = &given.document {
        login = login.client_metadata_url(url.parse().unwrap(), None);
    }
    if let Some(scope) = given.scope.as_deref() {
        login = login.scope(scope);
    }
    if given.legacy { login.legacy() } else { login }
}

/// Lets the access token expire; a token without a known lifetime is replaced while it is good.
async fn refreshed(session: &Session, clock: &ManualClock) -> (String, Option<Error>) {
    let before = session.record().unwrap().tokens.access_token;
    clock.advance(PAST_EXPIRY);
    let token = match bounded(session.token()).await {
        Ok(token) if token == before => bounded(session.refresh()).await,
        other => other,
    };
    match token {
        Ok(token) if token != before => ("refreshed".to_owned(), None),
        Ok(_) => ("the refresh brought the same token".to_owned(), None),
        Err(error) => match code(&error).as_str() {
            "refresh/no-refresh-token" => ("no-refresh-token".to_owned(), None),
            other => (format!("stopped: {other}"), Some(error)),
        },
    }
}

fn named(outcome: &RevocationOutcome) -> &'static str {
    match outcome {
        RevocationOutcome::Revoked => "revoked",
        RevocationOutcome::AccessTokenNotRevoked => "access-token-lives",
        RevocationOutcome::NotSupported => "not-offered",
        RevocationOutcome::Failed(_) => "failed",
        _ => "nothing-there",
    }
}
