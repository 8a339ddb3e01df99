//! Many users in one process: a million logins are opened over a store in memory. The last thousand costs what
//! the first did, and the memory of the open sessions is bounded. Then the lookup of a session that is open.
//!
//! `MCP_OAUTH_BENCH_LOGINS` is the number of logins.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark measures real time, prints and may panic"
)]

use std::{env, fs, hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group};
use futures_util::FutureExt as _;
use mcp_client_oauth::{
    Client, ServerUrl, TokenStore,
    flow::{
        self, AccessToken, ClientIdentity, DiscoveryOptions, EndpointUrl, Issuer, ServerMetadata,
        TokenSet,
    },
    platform::{AddressSpace, Platform, SystemClock},
    store::{LoginKey, Record},
};
use mcp_oauth_testing::{RecordedInteraction, ScriptedHttp};
use tokio::runtime::{Builder, Runtime};

/// The number of logins, unless the variable says otherwise.
const LOGINS: usize = 1_000_000;
/// The number of logins that are measured together.
const GROUP: usize = 1_000;
/// The number of open sessions in the benchmark of lookups.
const OPEN: usize = 5_000;

/// A client and a store with many logins of one server.
struct Users {
    client: Client,
    store: TokenStore,
    server: ServerUrl,
}

impl Users {
    fn start() -> Self {
        let (http, interaction) = (ScriptedHttp::default(), RecordedInteraction::default());
        let platform = Platform::new(
            Arc::new(http),
            Arc::new(SystemClock::default()),
            Arc::new(interaction),
        );
        let store = TokenStore::memory();
        Self {
            client: Client::with_platform(platform, store.clone()),
            store,
            server: "https://mcp.example/mcp".parse().unwrap(),
        }
    }

    fn key(&self, number: usize) -> LoginKey {
        LoginKey::from(&self.server).with_account(format!("user-{number}"))
    }

    /// Stores a login with a token that is valid for an hour, and a copy of it for each user.
    async fn fill(&self, users: usize) {
        let endpoint = |text| EndpointUrl::parse(text, AddressSpace::Public).unwrap();
        let mut options = DiscoveryOptions::default();
        options.manual = Some(ServerMetadata::manual(
            Issuer::from("https://as.example"),
            endpoint("https://as.example/authorize"),
            endpoint("https://as.example/token"),
        ));
        let platform = self.client.platform();
        let discovery = flow::discover(platform, &self.server, &options)
            .await
            .unwrap();
        let now = platform.clock.now();
        let mut tokens = TokenSet::new(AccessToken::new(&"a".repeat(800)).unwrap(), now);
        tokens.expires_at = Some(now + Duration::from_secs(3600));
        let identity =
            ClientIdentity::MetadataDocument("https://app.example/client.json".parse().unwrap());
        let record = Record::new(discovery, identity, None, tokens);
        let mut lock = self
            .store
            .lock(&LoginKey::from(&self.server))
            .await
            .unwrap();
        self.store.save(&mut lock, &record).await.unwrap();
        let backend = self.store.backend();
        let name = format!("login {}", self.server);
        let stored = backend.get(&name).await.unwrap().unwrap();
        for number in 0..users {
            let name = format!("{name}#user-{number}");
            backend.put(&name, None, &stored.entry).await.unwrap();
        }
    }
}

fn million(logins: usize) {
    let (users, runtime) = (Users::start(), runtime());
    runtime.block_on(users.fill(logins));
    let stored = peak_memory();
    let mut groups = Vec::new();
    for start in (0..logins).step_by(GROUP) {
        let before = processor_time();
        runtime.block_on(async {
            for number in start..(start + GROUP).min(logins) {
                black_box(users.client.session(users.key(number)).await.unwrap());
            }
        });
        groups.push(processor_time().saturating_sub(before));
    }
    let each = |time: &Duration| time.as_secs_f64() * 1e6 / GROUP as f64;
    let total: Duration = groups.iter().sum();
    println!(
        "{logins} logins, {:.1} s of processor time",
        total.as_secs_f64()
    );
    println!(
        "  first thousand: {:.1} µs each",
        each(groups.first().unwrap())
    );
    println!(
        "  last thousand:  {:.1} µs each",
        each(groups.last().unwrap())
    );
    println!(
        "  peak memory: {stored} MiB with the logins stored, {} MiB with all of them opened",
        peak_memory()
    );
}

fn lookup(c: &mut Criterion) {
    let (users, runtime) = (Users::start(), runtime());
    runtime.block_on(async {
        users.fill(OPEN).await;
        for number in 0..OPEN {
            users.client.session(users.key(number)).await.unwrap();
        }
    });
    let key = users.key(OPEN / 2);
    let mut group = c.benchmark_group("open session");
    group.bench_function("lookup", |b| {
        let look_up = |key| black_box(users.client.session(key).now_or_never());
        b.iter_batched(|| key.clone(), look_up, BatchSize::SmallInput);
    });
    group.bench_function("lookup and header", |b| {
        let header = |key| {
            let session = users.client.session(key).now_or_never().unwrap();
            black_box(session.unwrap().cached_header())
        };
        b.iter_batched(|| key.clone(), header, BatchSize::SmallInput);
    });
    let session = users.client.session(&key).now_or_never().unwrap().unwrap();
    group.bench_function("header", |b| b.iter(|| black_box(session.cached_header())));
    group.finish();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Returns the processor time of this thread. Other programs do not count.
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// Returns the largest resident memory of this process until now, in MiB.
fn peak_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok()).unwrap_or(0) / 1024
}

criterion_group!(benches, lookup);

fn main() {
    let is_test = env::args().any(|argument| argument == "--test");
    let logins = env::var("MCP_OAUTH_BENCH_LOGINS").ok();
    let logins = logins.and_then(|logins| logins.parse().ok());
    million(logins.unwrap_or(if is_test { GROUP } else { LOGINS }));
    benches();
    Criterion::default().configure_from_args().final_summary();
}
