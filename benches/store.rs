//! The encrypted store: opens, reads, writes, and lists 1 to 10,000 records.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use aws_lc_rs::digest::{SHA256, digest};
use criterion::{Criterion, criterion_group, criterion_main};
use data_encoding::HEXLOWER;
use mcp_client_oauth::Secret;
use mcp_oauth_store::{Backend as _, EncryptedFileStore, Entry, KeySource, NameQuery};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The numbers of records that are listed.
const SIZES: [u32; 4] = [1, 100, 1_000, 10_000];

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn open(directory: &Path) -> EncryptedFileStore {
    EncryptedFileStore::open(directory, KeySource::KeyFile).unwrap()
}

/// Returns bytes of the length of a record with two tokens.
fn content() -> Entry {
    Entry::new(Secret::new(vec![b'x'; 2048]))
}

fn name(number: u32) -> String {
    format!("record https://server-{number:06}.example/mcp")
}

/// Returns a new name each time.
fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    name(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn insert(runtime: &Runtime, files: &EncryptedFileStore, name: &str) {
    runtime.block_on(files.put(name, None, &content())).unwrap();
}

/// Creates a store with one record, in a temporary directory.
fn store(runtime: &Runtime) -> (TempDir, EncryptedFileStore) {
    let home = tempfile::tempdir().unwrap();
    let files = open(home.path());
    insert(runtime, &files, &name(0));
    (home, files)
}

/// Copies the first record to other names. The copies cannot be decrypted, but only their names are read.
fn fill(home: &TempDir, records: u32) {
    let path = |name: &str| {
        let hash = digest(&SHA256, name.as_bytes());
        let hex = HEXLOWER.encode(hash.as_ref());
        home.path().join(hex + ".enc")
    };
    let first = fs::read(path(&name(0))).unwrap();
    let line = first.iter().position(|byte| *byte == b'\n').unwrap();
    let header = std::str::from_utf8(&first[..line]).unwrap();
    for number in 1..records {
        let mut file = File::create(path(&name(number))).unwrap();
        let header = header.replace(&name(0), &name(number));
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(&first[line..]).unwrap();
    }
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

fn list(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("list");
    group.sample_size(20);
    for records in SIZES {
        let (home, files) = store(&runtime);
        fill(&home, records);
        group.bench_function(records.to_string(), |b| {
            b.iter(|| {
                let names = runtime
                    .block_on(files.names(&NameQuery::new(u32::MAX)))
                    .unwrap()
                    .names;
                assert_eq!(names.len(), usize::try_from(records).unwrap());
                names
            });
        });
    }
    group.finish();
}

criterion_group!(benches, small, list);
criterion_main!(benches);
