//! Runs the readers of stored files on the committed corpus of their fuzz targets: an earlier crash stays
//! fixed, without a nightly compiler. The parsers of messages have the same test in the library.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};
use serde_json::json;

#[path = "../../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the file is the root of the fuzz package")]
mod readers;

/// A reader of the bytes of a file.
type Reader = fn(&[u8]);

/// Each reader by the name of its fuzz target and of its folder in `seeds/`.
const READERS: [(&str, Reader); 3] = [
    ("encrypted_file", readers::encrypted_file),
    ("fernet", readers::fernet),
    ("record", readers::record),
];

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
fn each_reader_survives_its_corpus() {
    for (name, reader) in READERS {
        let folder = seeds().join(name);
        let files = names(&folder);
        assert!(!files.is_empty(), "no corpus for {name}");
        for file in files {
            // The input that fails, in the output of the test.
            println!("{name}/{file}");
            reader(&fs::read(folder.join(file)).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_reader_survives_any_bytes(input in vec(any::<u8>(), 0..200)) {
        for (_, reader) in READERS {
            reader(&input);
        }
    }

    /// An odd first byte changes bits of a genuine file, wherever the others say.
    #[test]
    fn no_change_to_an_encrypted_file_reads_as_another_content(
        file in any::<u8>(),
        edits in vec(any::<u8>(), 0..24),
    ) {
        let input: Vec<u8> = std::iter::once(file | 1).chain(edits).collect();
        readers::encrypted_file(&input);
    }

    #[test]
    fn a_record_of_any_version_is_read_or_refused(version in any::<i64>()) {
        let text = fs::read_to_string(seeds().join("record/version-1")).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["version"] = json!(version);
        readers::record(record.to_string().as_bytes());
    }
}
