//! What must hold for any bytes of an event stream: the body of a fuzz target, which the test below runs on the
//! committed corpus, with a stable compiler.

#![allow(
    clippy::missing_panics_doc,
    reason = "a panic is how a fuzz target fails"
)]

use crate::event_stream::decoder::{EventDecoder, EventTooLargeError};

/// Any event stream (WHATWG HTML §9.2): the events are the same in one piece and byte by byte, and
/// the memory for it has a limit.
pub fn event_stream(bytes: &[u8]) {
    const LIMIT: usize = 64;
    let read = |size: usize| -> Result<_, EventTooLargeError> {
        let mut decoder = EventDecoder::new(LIMIT);
        let mut events = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.feed(piece)?;
            while let Some(event) = decoder.event() {
                assert!(!event.data.is_empty() && event.data.len() <= LIMIT);
                events.push(event);
            }
        }
        Ok((
            events,
            decoder.last_id().map(str::to_owned),
            decoder.retry(),
        ))
    };
    let (whole, bytewise) = (read(bytes.len().max(1)), read(1));
    assert_eq!(whole.is_ok(), bytewise.is_ok());
    if let (Ok(whole), Ok(bytewise)) = (whole, bytewise) {
        assert_eq!(whole, bytewise);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn the_decoder_survives_its_corpus() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/event_stream");
        let files = fs::read_dir(Path::new(seeds)).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            // The input that fails, in the output of the test.
            println!("{}", file.display());
            event_stream(&fs::read(file).unwrap());
        }
    }

    proptest! {
        #[test]
        fn the_decoder_survives_any_bytes(input in vec(any::<u8>(), 0..200)) {
            event_stream(&input);
        }
    }
}
