//! The hot path: the `Authorization` header of a valid token. Target: at most 100 ns, without
//! allocation, and the same with 64 concurrent threads.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark measures real time, and may panic"
)]

use std::{
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_client_oauth::{
    Client, ServerUrl, Session, TokenStore,
    adapters::TokenSource,
    flow::{
        self, AccessToken, ClientIdentity, DiscoveryOptions, EndpointUrl, Issuer, ServerMetadata,
        TokenSet,
    },
    platform::{AddressSpace, Platform, SystemClock},
    store::{LoginKey, Record},
};
use mcp_oauth_testing::{RecordedInteraction, ScriptedHttp};

/// Returns a session with a token that is valid for an hour.
fn session() -> Session {
    let (http, interaction) = (ScriptedHttp::default(), RecordedInteraction::default());
    let platform = Platform::new(
        Arc::new(http),
        Arc::new(SystemClock::default()),
        Arc::new(interaction),
    );
    let server: ServerUrl = "https://mcp.example/mcp".parse().unwrap();
    let endpoint = |text| EndpointUrl::parse(text, AddressSpace::Public).unwrap();
    let metadata = ServerMetadata::manual(
        Issuer::from("https://as.example"),
        endpoint("https://as.example/authorize"),
        endpoint("https://as.example/token"),
    );
    let mut tokens = TokenSet::new(
        AccessToken::new(&"a".repeat(800)).unwrap(),
        platform.clock.now(),
    );
    tokens.expires_at = Some(platform.clock.now() + Duration::from_secs(3600));
    let identity =
        ClientIdentity::MetadataDocument("https://app.example/client.json".parse().unwrap());
    let (key, store) = (LoginKey::from(server.clone()), TokenStore::memory());
    let client = Client::with_platform(platform, store.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut options = DiscoveryOptions::default();
    options.manual = Some(metadata);
    runtime.block_on(async {
        let discovery = flow::discover(client.platform(), &server, &options)
            .await
            .unwrap();
        let record = Record::new(discovery, identity, None, tokens);
        let mut lock = store.lock(&key).await.unwrap();
        store.save(&mut lock, &record).await.unwrap();
        client.session(&key).await.unwrap()
    })
}

fn header(c: &mut Criterion) {
    let session = session();
    let mut group = c.benchmark_group("header");
    group.bench_function("clock only", |b| {
        b.iter(|| black_box(SystemTime::now()));
    });
    group.bench_function("session", |b| b.iter(|| black_box(session.cached_header())));
    group.bench_function("token source", |b| {
        let source: &dyn TokenSource = &session;
        b.iter(|| black_box(source.cached_token()));
    });
    group.bench_function("session, 64 threads", |b| {
        b.iter_custom(|times| measure_threads(&session, times, 64));
    });
    group.finish();
}

/// Returns the processor time of `times` calls by `threads` concurrent threads.
fn measure_threads(session: &Session, times: u64, threads: u64) -> Duration {
    let each = times / threads + 1;
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..each).for_each(|_| drop(black_box(session.cached_header()))));
        }
    });
    let cores = thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    start
        .elapsed()
        .mul_f64(cores * times as f64 / (each * threads) as f64)
}

criterion_group!(benches, header);
criterion_main!(benches);
