//! Runs the parsers of messages on the committed corpus of the fuzz targets: an earlier crash stays fixed,
//! without a nightly compiler.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};

use super::PARSERS;

/// The fuzz targets that other tests run: `it fuzz_regressions`, and those of `mcp-oauth-adapters`.
const ELSEWHERE: [&str; 4] = ["encrypted_file", "event_stream", "fernet", "record"];

fn seeds() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds"))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

#[test]
fn each_parser_survives_its_corpus() {
    for (name, parser) in PARSERS {
        let folder = seeds().join(name);
        let files = names(&folder);
        assert!(!files.is_empty(), "no corpus for {name}");
        for file in files {
            // The input that fails, in the output of the test.
            println!("{name}/{file}");
            parser(&fs::read(folder.join(file)).unwrap());
        }
    }
}

#[test]
fn each_corpus_and_each_target_has_a_parser() {
    let messages = PARSERS.iter().map(|(name, _)| *name);
    let mut parsers: Vec<_> = messages.chain(ELSEWHERE).map(str::to_owned).collect();
    parsers.sort();
    assert_eq!(names(seeds()), parsers);
    let targets: Vec<_> = parsers.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&seeds().join("../fuzz_targets")), targets);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_parser_survives_any_bytes(input in vec(any::<u8>(), 0..200)) {
        for (_, parser) in PARSERS {
            parser(&input);
        }
    }
}
