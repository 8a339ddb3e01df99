//! Event streams: server-sent events, decoded as WHATWG HTML §9.2.6 defines them, in bounded memory.
//!
//! An unknown field, a line without a colon and bytes that are no text do not end a stream: the format
//! defines how each is handled.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use memchr::memchr2;

/// The default limit of one event, in bytes.
pub(crate) const EVENT_LIMIT: usize = 4 << 20;
/// The longest id of an event, in bytes: it is sent back in a header.
const ID_LIMIT: usize = 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The type; `message` if the stream has none.
    pub name: String,
    /// The data, its lines joined by line feeds. Never empty.
    pub data: Bytes,
}

/// An event that is larger than allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an event of the stream is larger than {0} bytes")]
#[non_exhaustive]
pub(crate) struct EventTooLargeError(pub usize);

/// Decodes events from bytes. It holds one unfinished event, up to its limit.
#[derive(Debug)]
pub(crate) struct EventDecoder {
    limit: usize,
    /// The line that has not ended yet.
    line: Vec<u8>,
    name: Option<String>,
    data: Vec<u8>,
    has_data: bool,
    ready: VecDeque<Event>,
    /// The id of the event that is not complete yet: a reconnect skips only complete events.
    id: Option<String>,
    last_id: Option<String>,
    retry: Option<Duration>,
    is_begun: bool,
    after_cr: bool,
}

impl EventDecoder {
    /// Creates a decoder for events of `limit` bytes at most.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            name: None,
            data: Vec::new(),
            has_data: false,
            ready: VecDeque::new(),
            id: None,
            last_id: None,
            retry: None,
            is_begun: false,
            after_cr: false,
        }
    }

    /// Returns the id for `Last-Event-ID` at a reconnect: that of the last complete event, or of one
    /// that was too large, so that it is not sent again.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Returns the wait that the server requests before a reconnect.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Returns the next complete event.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Decodes more bytes.
    ///
    /// # Errors
    /// [`EventTooLargeError`]; the stream cannot be decoded further.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), EventTooLargeError> {
        if std::mem::take(&mut self.after_cr) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.check(line.len())?;
            if self.line.is_empty() {
                self.take(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take(&whole);
            }
            bytes = match rest {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => rest,
            };
        }
        self.check(bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn check(&mut self, more: usize) -> Result<(), EventTooLargeError> {
        let name = self.name.as_ref().map_or(0, String::len);
        if self.line.len() + self.data.len() + name + more > self.limit {
            if let Some(id) = self.id.take() {
                self.last_id = Some(id);
            }
            return Err(EventTooLargeError(self.limit));
        }
        Ok(())
    }

    fn take(&mut self, mut line: &[u8]) {
        if !std::mem::replace(&mut self.is_begun, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        self.field(field, value.strip_prefix(b" ").unwrap_or(value));
    }

    fn field(&mut self, field: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => self.name = Some(text()),
            b"id" if value.len() <= ID_LIMIT && !value.contains(&0) => self.id = Some(text()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = text().parse().ok().map(Duration::from_millis);
            }
            // A comment, or a field that the format does not know: "The field is ignored."
            _ => {}
        }
    }

    /// "If the data buffer is an empty string, set the data buffer and the event type buffer to the
    /// empty string and return": an event that only names an id is none.
    fn dispatch(&mut self) {
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let name = self.name.take().filter(|name| !name.is_empty());
        let data = std::mem::take(&mut self.data);
        self.has_data = false;
        if !data.is_empty() {
            let name = name.unwrap_or_else(|| "message".to_owned());
            let data = Bytes::from(data);
            self.ready.push_back(Event { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a stream in pieces of `size` bytes.
    fn decode(stream: &[u8], size: usize) -> (Vec<(String, String)>, EventDecoder) {
        let mut decoder = EventDecoder::new(1000);
        for piece in stream.chunks(size) {
            decoder.feed(piece).unwrap();
        }
        let text = |event: Event| (event.name, String::from_utf8(event.data.to_vec()).unwrap());
        let events = std::iter::from_fn(|| decoder.event()).map(text).collect();
        (events, decoder)
    }

    #[test]
    fn a_stream_decodes_the_same_in_pieces_of_any_size() {
        let stream = b"\xEF\xBB\xBF: hello\n\nevent: endpoint\ndata:/messages\n\n\
            data: one\r\ndata\r\ndata:  two\r\n\r\nid: 7\rretry: 2500\rdata: three\r\r\
            id: 8\ndata:\n\nunknown: x\nno colon\nretry: soon\nid: a\0b\ndata: four\n\nid: 9\ndata: unfinished";
        for size in 1..=stream.len() {
            let (events, decoder) = decode(stream, size);
            let expected = [
                ("endpoint", "/messages"),
                ("message", "one\n\n two"),
                ("message", "three"),
                ("message", "four"),
            ]
            .map(|(name, data)| (name.to_owned(), data.to_owned()));
            assert_eq!(events, expected, "in pieces of {size}");
            assert_eq!(decoder.last_id(), Some("8"));
            assert_eq!(decoder.retry(), Some(Duration::from_millis(2500)));
        }
    }

    #[test]
    fn an_event_has_a_limit_in_one_line_and_in_many() {
        let endless = [b"data: ".as_slice(), &[b'x'; 2000]].concat();
        assert_eq!(
            EventDecoder::new(1000).feed(&endless),
            Err(EventTooLargeError(1000))
        );
        for line in ["data: x\n", "data\n", "event: x", ":x"] {
            let mut decoder = EventDecoder::new(1000);
            let fed = (0..2000).try_for_each(|_| decoder.feed(line.as_bytes()));
            assert_eq!(fed, Err(EventTooLargeError(1000)), "{line:?}");
        }
    }

    #[test]
    fn a_reconnect_skips_an_event_that_was_too_large() {
        let mut decoder = EventDecoder::new(1000);
        decoder.feed(b"id: 1\ndata: x\n\nid: 2\ndata: ").unwrap();
        assert_eq!(decoder.last_id(), Some("1"));
        assert_eq!(decoder.feed(&[b'x'; 2000]), Err(EventTooLargeError(1000)));
        assert_eq!(decoder.last_id(), Some("2"));
    }

    #[test]
    fn endless_comments_and_ids_use_bounded_memory() {
        let mut decoder = EventDecoder::new(1000);
        for number in 0..10_000 {
            let line = format!(": ping\nid: {number}\n\n");
            decoder.feed(line.as_bytes()).unwrap();
        }
        assert!(decoder.event().is_none() && decoder.line.capacity() < 1000);
        assert_eq!(decoder.last_id(), Some("9999"));
        let mut decoder = EventDecoder::new(EVENT_LIMIT);
        let long = "x".repeat(ID_LIMIT + 1);
        decoder.feed(format!("id: {long}\n\n").as_bytes()).unwrap();
        assert_eq!(decoder.last_id(), None);
    }
}
