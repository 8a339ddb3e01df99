//! Many logins in two requests over two hosts: each ends as it must, the sweep leaves nothing, and no secret
//! is in the store or in a trace.
//!
//! `MCP_OAUTH_TEST_LOGINS` sets their number, and 10000 is the full one. `docs/guide.md` has the last result.

use std::{collections::BTreeSet, ops::Range, path::Path};

use aho_corasick::AhoCorasick;
use futures_util::{StreamExt as _, stream};
use mcp_client_oauth::platform::{Clock as _, SystemClock};
use mcp_oauth_store::{NameQuery, all_names};
use mcp_oauth_vault::VaultAuth;
use test_support::bao::Bao;

use super::*;
use crate::{
    concurrent_refresh::process::env_number,
    encrypted::contents,
    leaks::{CapturedOutput, sent_secrets},
    support::parameter,
    vault::{options, vault},
};

/// The logins of one round, after which ten minutes pass.
const ROUND: usize = 100;
/// The users, each with one login in the store. A round begins fewer logins of each than may be pending.
const USERS: usize = 20;
/// The logins that are in progress at the same time.
const AT_ONCE: usize = 8;

/// The end of a login. Of twenty there is one each of the last three.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Finished,
    /// Its callback comes again, to both hosts.
    Replayed,
    /// Its callback never comes.
    Abandoned,
    /// Its callback comes after ten minutes.
    Expired,
}

impl End {
    fn of(number: usize) -> Self {
        match number % 20 {
            0 => Self::Replayed,
            1 => Self::Abandoned,
            2 => Self::Expired,
            _ => Self::Finished,
        }
    }
}

/// A login that waits for its callback.
struct Waiting {
    number: usize,
    callback: Url,
    secret: Secret<String>,
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Count {
    finished: usize,
    replayed: usize,
    abandoned: usize,
    expired: usize,
}

struct Replicas {
    fixture: Fixture,
    hosts: [Client; 2],
    /// What this round has used: states, codes, verifiers, and the secrets of browsers.
    used: BTreeSet<String>,
    /// Every secret that the servers have received in this round.
    sent: BTreeSet<String>,
    count: Count,
    exchanges: usize,
}

impl Replicas {
    /// Starts two hosts, which have nothing in common but this store.
    async fn start(open: impl Fn() -> TokenStore) -> Self {
        let mut fixture = Fixture::start().await;
        fixture.store = open();
        let host = || Client::with_platform(fixture.platform.clone(), open());
        Self {
            hosts: [host(), host()],
            fixture,
            used: BTreeSet::new(),
            sent: BTreeSet::new(),
            count: Count::default(),
            exchanges: 0,
        }
    }

    /// Begins a login on one host. Half of the logins of each user and of each end begin on either.
    async fn begin(&self, number: usize) -> Waiting {
        let host = &self.hosts[number / 20 % 2];
        let login = login(host, &self.fixture, &account(number));
        let begun = bounded(login.begin()).await.unwrap();
        Waiting {
            number,
            callback: approve(&begun).await,
            secret: begun.browser_secret,
        }
    }

    /// Finishes a login on the other host.
    async fn finish(&self, waiting: &Waiting) -> Result<Session, Error> {
        let host = &self.hosts[1 - waiting.number / 20 % 2];
        bounded(host.finish(&waiting.callback, &waiting.secret)).await
    }

    /// Runs a login as far as it gets in time. Returns it if it is still pending.
    async fn run(&self, number: usize) -> (Waiting, bool) {
        let waiting = self.begin(number).await;
        let end = End::of(number);
        if matches!(end, End::Abandoned | End::Expired) {
            return (waiting, true);
        }
        let session = self.finish(&waiting).await.unwrap();
        assert_eq!(session.key().account(), Some(account(number).as_str()));
        assert_eq!(session.get("notes").send().await.unwrap().status, 200);
        if end == End::Replayed {
            for host in &self.hosts {
                let again = bounded(host.finish(&waiting.callback, &waiting.secret)).await;
                assert!(matches!(refusal(again), AuthorizationError::NotPending));
            }
        }
        (waiting, false)
    }

    /// Runs some logins at the same time, and lets ten minutes pass.
    async fn round(&mut self, numbers: Range<usize>) {
        let logins = stream::iter(numbers).map(|number| self.run(number));
        let logins: Vec<_> = logins.buffer_unordered(AT_ONCE).collect().await;
        self.fixture.clock.advance(LIFETIME);
        for (waiting, is_pending) in logins {
            let end = End::of(waiting.number);
            assert_eq!(is_pending, matches!(end, End::Abandoned | End::Expired));
            self.note_secrets(&waiting);
            match end {
                End::Finished => self.count.finished += 1,
                End::Replayed => self.count.replayed += 1,
                End::Abandoned => self.count.abandoned += 1,
                End::Expired => {
                    let error = refusal(self.finish(&waiting).await);
                    assert!(matches!(error, AuthorizationError::TimedOut(_)), "{error}");
                    self.count.expired += 1;
                }
            }
        }
    }

    fn note_secrets(&mut self, waiting: &Waiting) {
        let (random, _account) = waiting.secret.expose().split_once('.').unwrap();
        self.used.insert(random.to_owned());
        for name in ["state", "code"] {
            self.used.insert(parameter(&waiting.callback, name));
        }
    }

    /// Notes what the servers have received since the last call.
    fn note_requests(&mut self) {
        let testbed = &self.fixture.testbed;
        self.exchanges += testbed.token_requests("authorization_code");
        let requests = testbed.requests();
        self.used.extend(
            requests
                .iter()
                .filter_map(|request| request.form("code_verifier")),
        );
        self.sent.extend(sent_secrets(testbed));
        testbed.clear_requests();
    }

    async fn pending(&self) -> usize {
        let names = all_names(&**self.fixture.store.backend(), NameQuery::default()).await;
        let names = names.unwrap();
        names
            .iter()
            .filter(|name| name.starts_with("pending "))
            .count()
    }
}

fn account(number: usize) -> String {
    format!("user-{}", number % USERS)
}

/// Returns what a reader of the disk sees of a directory.
fn all_bytes(directory: &Path) -> Vec<u8> {
    let files: Vec<_> = contents(directory).into_values().collect();
    files.concat()
}

/// Asserts that a text has none of these secrets. A part of one would help to guess the rest.
fn assert_hidden(secrets: &BTreeSet<String>, text: &[u8]) {
    let halves = secrets.iter().map(|secret| &secret[..secret.len() / 2]);
    if let Some(found) = AhoCorasick::new(halves).unwrap().find(text) {
        let around = &text[found.start().saturating_sub(200)..found.end()];
        panic!("a secret is in {}", String::from_utf8_lossy(around));
    }
}

/// Runs the logins. `disk` returns what a reader of the disk of the store sees. Returns the states, codes,
/// verifiers and secrets of browsers that were used.
async fn run(
    default: u64,
    open: impl Fn() -> TokenStore,
    disk: impl Fn() -> Vec<u8>,
) -> BTreeSet<String> {
    let logins = usize::try_from(env_number("MCP_OAUTH_TEST_LOGINS", default)).unwrap();
    let start = SystemClock::default().now();
    let (output, _guard) = CapturedOutput::capture();
    let mut replicas = Replicas::start(open).await;
    // It registers the client, which the others then use at the same time.
    replicas.begin(0).await;
    let (mut used, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for first in (0..logins).step_by(ROUND) {
        replicas.round(first..(first + ROUND).min(logins)).await;
        replicas.note_requests();
        let (disk, traces) = (disk(), output.take());
        assert!(disk.len() > 1000 && traces.contains("TRACE"));
        for secrets in [&replicas.used, &replicas.sent] {
            assert_hidden(secrets, &disk);
            assert_hidden(secrets, traces.as_bytes());
        }
        used.append(&mut replicas.used);
        sent.append(&mut replicas.sent);
    }
    // The last ones are swept when each host begins a login again.
    for number in [0, 20] {
        replicas.run(number + 3).await;
    }
    for host in &replicas.hosts {
        host.flush().await;
    }
    assert_eq!(replicas.pending().await, 0);
    assert_hidden(&used, &disk());
    assert_hidden(&sent, &disk());
    let of_each = logins / 20;
    let expected = Count {
        finished: logins - 3 * of_each,
        replayed: of_each,
        abandoned: of_each,
        expired: of_each,
    };
    assert_eq!(replicas.count, expected);
    assert_eq!(replicas.exchanges, logins - 2 * of_each);
    let duration = SystemClock::default().now().duration_since(start).unwrap();
    eprintln!(
        "{logins} logins in {} s: {expected:?}; nothing is pending; none of {} secrets was found",
        duration.as_secs(),
        used.union(&sent).count()
    );
    used
}

#[tokio::test]
async fn many_logins_over_encrypted_files_end_as_they_must() {
    let home = Home::new();
    let open = || TokenStore::open(&format!("file:{}", home.path().display())).unwrap();
    let disk = || all_bytes(&home.path());
    run(200, open, disk).await;
}

#[tokio::test]
async fn many_logins_over_openbao_end_as_they_must() {
    let Some(bao) = Bao::on_disk().await else {
        return;
    };
    let mut options = options(bao.address.as_str());
    options.auth = VaultAuth::Token(Secret::new(bao.root.clone()));
    let data = bao.home().join("data");
    let disk = || all_bytes(&data);
    let used = run(100, || vault(&options), disk).await;
    // A reader of the Vault finds the tokens, and nothing of the logins that have ended: at most one record of
    // each user, 64 entries with the names of pending logins, the last logins, and the client.
    let records = bao
        .get("secret/metadata/mcp-oauth/records?list=true")
        .await
        .1;
    let records = records["data"]["keys"].as_array().unwrap();
    assert!(records.len() < 2 * USERS + 64, "{} records", records.len());
    let mut texts = Vec::new();
    for record in records {
        let path = format!("mcp-oauth/records/{}", record.as_str().unwrap());
        let (_, metadata) = bao.get(&format!("secret/metadata/{path}")).await;
        let versions = metadata["data"]["versions"].as_object().unwrap();
        assert_eq!(versions.len(), 1, "{metadata}");
        let (_, content) = bao.get(&format!("secret/data/{path}")).await;
        texts.push(format!("{metadata}{content}"));
    }
    assert_hidden(&used, texts.concat().as_bytes());
}
