//! The hot path: the `Authorization` header of a token that is good. Aim: at most 100 ns, without
//! allocation, and the same with 64 threads at once.

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench measures real time, and may fail loudly"
)]

use std::{
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_client_oauth::{
    Client, ClientIdentity, Discovery, ServerUrl, Session, TokenSource, TokenStore,
    platform::{AddressSpace, Platform, SystemClock},
    proto::{
        endpoint::EndpointUrl,
        server_metadata::{Issuer, ServerMetadata},
        token::{AccessToken, TokenSet},
    },
    store::{LoginKey, Record},
    testing::{RecordedInteraction, ScriptedHttp},
};

/// A session whose token is good for an hour, on the real clock; and the front door to it.
fn session() -> (Session, Client) {
    let (http, person) = (ScriptedHttp::default(), RecordedInteraction::default());
    let platform = Platform::new(
        Arc::new(http),
        Arc::new(SystemClock::default()),
        Arc::new(person),
    );
    let server: ServerUrl = "https://mcp.example/mcp".parse().unwrap();
    let endpoint = |text| EndpointUrl::parse(text, AddressSpace::Public).unwrap();
    let metadata = ServerMetadata::manual(
        Issuer::new("https://as.example"),
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
    let record = Record::new(
        Discovery::manual(server.clone(), metadata),
        identity,
        None,
        tokens,
    );
    let (key, store) = (LoginKey::new(server), TokenStore::memory());
    let sessions = Client::new(platform, store.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut lock = store.lock(&key).await.unwrap();
        store.save(&mut lock, &record).await.unwrap();
        (sessions.session_or_error(&key).await.unwrap(), sessions)
    })
}

fn header(c: &mut Criterion) {
    let (session, sessions) = session();
    let key = session.key().clone();
    let mut group = c.benchmark_group("header");
    group.bench_function("the clock alone", |b| {
        b.iter(|| black_box(SystemTime::now()));
    });
    group.bench_function("ready", |b| b.iter(|| black_box(session.ready_header())));
    group.bench_function("as a token source", |b| {
        let source: &dyn TokenSource = &session;
        b.iter(|| black_box(source.cached_token()));
    });
    group.bench_function("at the front door", |b| {
        b.iter(|| black_box(sessions.ready_header(&key)));
    });
    group.bench_function("ready, 64 threads", |b| {
        b.iter_custom(|times| crowd(&session, times, 64));
    });
    group.finish();
}

/// The processor time of `times` calls that are made by `threads` threads at once.
fn crowd(session: &Session, times: u64, threads: u64) -> Duration {
    let each = times / threads + 1;
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..each).for_each(|_| drop(black_box(session.ready_header()))));
        }
    });
    let cores = thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    start
        .elapsed()
        .mul_f64(cores * times as f64 / (each * threads) as f64)
}

criterion_group!(benches, header);
criterion_main!(benches);
