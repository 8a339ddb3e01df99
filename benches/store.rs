//! The sealed store: opened, read, written, and with 100,000 records. Aims: a list of 100,000 in
//! 25 ms; an insertion among them in 1 ms beside what the disk needs, which is measured too.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench may fail loudly")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use criterion::{Criterion, criterion_group, criterion_main};
use data_encoding::HEXLOWER;
use mcp_client_oauth::{
    Secret,
    store::{Backend as _, KeySource, SealedFiles},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const MANY: u32 = 100_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn open(directory: &Path) -> SealedFiles {
    SealedFiles::open(directory, KeySource::KeyFile).unwrap()
}

/// As long as a record with two tokens.
fn content() -> Secret<Vec<u8>> {
    Secret::new(vec![b'x'; 2048])
}

fn name(number: u32) -> String {
    format!("record https://server-{number:06}.example/mcp")
}

/// A new name each time.
fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(MANY);
    name(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn insert(runtime: &Runtime, files: &SealedFiles, name: &str) {
    runtime.block_on(files.put(name, None, &content())).unwrap();
}

/// A store with one record, in a directory that goes away with it.
fn store(runtime: &Runtime) -> (TempDir, SealedFiles) {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path());
    insert(runtime, &files, &name(0));
    (home, files)
}

/// Copies of the first record under other names, and an index that the store makes of them. They
/// would not open; but nobody opens them.
fn fill(runtime: &Runtime, home: &TempDir, files: &SealedFiles) {
    let path = |name: &str| {
        let hash = digest(&SHA256, name.as_bytes());
        let hex = HEXLOWER.encode(hash.as_ref());
        home.path().join(hex + ".sealed")
    };
    let first = fs::read(path(&name(0))).unwrap();
    let line = first.iter().position(|byte| *byte == b'\n').unwrap();
    let header = std::str::from_utf8(&first[..line]).unwrap();
    for number in 1..MANY {
        let mut file = File::create(path(&name(number))).unwrap();
        let header = header.replace(&name(0), &name(number));
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(&first[line..]).unwrap();
    }
    fs::remove_file(home.path().join("names")).unwrap();
    insert(runtime, files, &next_name());
}

/// What an insertion asks of the disk, without anything else.
fn disk(directory: &Path, number: u32) {
    let new = directory.join("new");
    let mut file = File::create(&new).unwrap();
    file.write_all(content().expose()).unwrap();
    file.sync_all().unwrap();
    let index = File::options()
        .create(true)
        .append(true)
        .open(directory.join("index"));
    let mut index = index.unwrap();
    index.write_all(name(number).as_bytes()).unwrap();
    index.sync_data().unwrap();
    fs::rename(&new, directory.join(number.to_string())).unwrap();
    File::open(directory).unwrap().sync_all().unwrap();
}

fn small(c: &mut Criterion) {
    let runtime = runtime();
    let (home, files) = store(&runtime);
    let mut group = c.benchmark_group("store");
    group.bench_function("open", |b| b.iter(|| open(home.path())));
    group.bench_function("open and read with a key file", |b| {
        b.iter(|| {
            let files = open(home.path());
            runtime.block_on(files.get(&name(0))).unwrap().unwrap()
        });
    });
    group.bench_function("read", |b| {
        b.iter(|| runtime.block_on(files.get(&name(0))).unwrap().unwrap());
    });
    group.bench_function("update", |b| {
        let found = runtime.block_on(files.get(&name(0))).unwrap();
        let mut revision = found.unwrap().revision;
        b.iter(|| {
            let updated = async { files.put(&name(0), Some(revision), &content()).await };
            revision = runtime.block_on(updated).unwrap();
        });
    });
    group.bench_function("insert", |b| {
        b.iter(|| insert(&runtime, &files, &next_name()));
    });
    group.finish();
}

fn large(c: &mut Criterion) {
    let runtime = runtime();
    let (home, files) = store(&runtime);
    fill(&runtime, &home, &files);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut group = c.benchmark_group("100,000 records");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5));
    group.bench_function("list", |b| {
        b.iter(|| {
            let names = runtime.block_on(files.names()).unwrap();
            assert!(names.len() > 100_000);
            names
        });
    });
    group.bench_function("what a list asks of the disk and of memory", |b| {
        b.iter(|| {
            let text = fs::read_to_string(home.path().join("names")).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
    });
    group.bench_function("insert", |b| {
        b.iter(|| insert(&runtime, &files, &next_name()));
    });
    group.bench_function("what an insertion asks of the disk", |b| {
        let mut number = 0;
        b.iter(|| {
            number += 1;
            disk(elsewhere.path(), number);
        });
    });
    group.bench_function("remove", |b| {
        b.iter_batched(
            || {
                let name = next_name();
                insert(&runtime, &files, &name);
                name
            },
            |name| runtime.block_on(files.delete(&name, None)).unwrap(),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, small, large);
criterion_main!(benches);
