//! The lines of a client, and the lines to it: each is one message (MCP 2025-11-25, transports, stdio).

use bytes::Bytes;
use memchr::memchr;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

/// The longest line that is read, in bytes.
pub(crate) const LONGEST_LINE: usize = 64 << 20;
/// The number of lines in each queue.
pub(crate) const QUEUE_LENGTH: usize = 64;
/// The number of bytes that are read or written at once.
pub(crate) const BUFFER: usize = 64 << 10;

/// A line of the client.
#[derive(Debug)]
pub(crate) enum Line {
    Whole(Bytes),
    /// A line longer than [`LONGEST_LINE`], which was skipped.
    TooLong,
}

/// The two directions of a client.
pub(crate) struct Lines {
    /// Ends when the client ends.
    pub(crate) input: mpsc::Receiver<Line>,
    pub(crate) out: Output,
    /// Resolves when the last line is written.
    pub(crate) written: oneshot::Receiver<()>,
    /// The tasks that read and write, if they are tasks: they end with this value.
    pub(crate) tasks: JoinSet<()>,
}

/// Writes lines to the client. Clones share the queue.
#[derive(Clone, Debug)]
pub(crate) struct Output(mpsc::Sender<Bytes>);

impl Output {
    /// Returns the output, and the receiver of its lines.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        (Self(sender), receiver)
    }

    /// Writes a line. Errors are ignored; [`closed`](Self::closed) reports a client that does not read.
    pub(crate) async fn write_line(&self, line: Bytes) {
        let _closed = self.0.send(line).await;
    }

    /// Returns when the client has stopped reading.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Splits what is read into lines.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    longest: usize,
    /// The line so far; one byte more than `longest` if it is too long.
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Splits into lines of at most `longest` bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            longest,
            begun: Vec::new(),
        }
    }

    /// Adds what was read, and returns the lines that are complete. Empty ones are skipped.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(end) = memchr(b'\n', piece) {
            self.add(&piece[..end]);
            lines.extend(self.finish());
            piece = &piece[end + 1..];
        }
        self.add(piece);
        lines
    }

    /// Returns the text after the last line break, which is a line too.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        let mut line = std::mem::take(&mut self.begun);
        if line.len() > self.longest {
            return Some(Line::TooLong);
        }
        line.pop_if(|last| *last == b'\r');
        let is_empty = line.trim_ascii().is_empty();
        (!is_empty).then(|| Line::Whole(Bytes::from(line)))
    }

    fn add(&mut self, piece: &[u8]) {
        let free = (self.longest + 1).saturating_sub(self.begun.len());
        self.begun
            .extend_from_slice(&piece[..piece.len().min(free)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut splitter = LineSplitter::new(8);
        let mut lines: Vec<_> = text
            .chunks(3)
            .flat_map(|piece| splitter.push(piece))
            .collect();
        lines.extend(splitter.finish());
        let text = |line| match line {
            Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
            Line::TooLong => "too long".to_owned(),
        };
        lines.into_iter().map(text).collect()
    }

    #[test]
    fn lines_end_with_a_line_feed_and_empty_ones_are_skipped() {
        assert_eq!(lines(b"one\n\r\n \ntwo\r\nthree"), ["one", "two", "three"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        assert_eq!(
            lines(b"12345678\n123456789\nx\n"),
            ["12345678", "too long", "x"]
        );
        assert_eq!(lines(b"1234567890123456"), ["too long"]);
    }
}
