//! Runs the parsers of untrusted text on the committed corpus of the fuzz targets: an earlier crash
//! stays fixed, without a nightly compiler.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};
use serde_json::json;

#[path = "../../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the file is the root of the fuzz package")]
mod parsers;

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
    for (name, parser) in parsers::PARSERS {
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
    let parsers: Vec<_> = parsers::PARSERS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(names(seeds()), parsers);
    let targets: Vec<_> = parsers.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&seeds().join("../fuzz_targets")), targets);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_parser_survives_any_bytes(input in vec(any::<u8>(), 0..200)) {
        for (_, parser) in parsers::PARSERS {
            parser(&input);
        }
    }

    /// An odd first byte changes bits of a genuine file, wherever the others say.
    #[test]
    fn no_change_to_an_encrypted_file_reads_as_another_content(
        file in any::<u8>(),
        edits in vec(any::<u8>(), 0..24),
    ) {
        let input: Vec<u8> = std::iter::once(file | 1).chain(edits).collect();
        parsers::encrypted_file(&input);
    }

    #[test]
    fn a_record_of_any_version_is_read_or_refused(version in any::<i64>()) {
        let text = fs::read_to_string(seeds().join("record/version-1")).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["version"] = json!(version);
        parsers::record(record.to_string().as_bytes());
    }
}
