//! Lines from stdin and to stdout. Each has its own thread, because a blocking read of a pipe cannot be
//! cancelled, and a runtime would wait for it when it shuts down.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// The longest line that is read, in bytes.
pub(crate) const LONGEST_LINE: usize = 64 << 20;
/// The number of lines in each queue.
const QUEUE_LENGTH: usize = 64;
const BUFFER: usize = 64 << 10;

/// A line of stdin.
#[derive(Debug)]
pub(crate) enum Line {
    Whole(Bytes),
    /// A line longer than [`LONGEST_LINE`], which was skipped.
    TooLong,
}

/// Reads lines of stdin until it ends.
pub(crate) fn read_lines() -> mpsc::Receiver<Line> {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    std::thread::spawn(move || {
        let mut stdin = BufReader::with_capacity(BUFFER, std::io::stdin());
        while let Some(line) = next_line(&mut stdin, LONGEST_LINE) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Returns the next line that is not empty; none at the end or after a read error. Text after the last line
/// break is a line too.
fn next_line(source: &mut impl std::io::BufRead, longest: usize) -> Option<Line> {
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
        let read = source
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)
            .ok()?;
        if read == 0 {
            return None;
        }
        if line.pop_if(|last| *last == b'\n').is_none() && line.len() > longest {
            source.skip_until(b'\n').ok()?;
            return Some(Line::TooLong);
        }
        line.pop_if(|last| *last == b'\r');
        if !line.trim_ascii().is_empty() {
            return Some(Line::Whole(Bytes::from(line)));
        }
    }
}

/// Writes lines to stdout. Clones share the queue.
#[derive(Clone, Debug)]
pub(crate) struct Output(mpsc::Sender<Bytes>);

impl Output {
    /// Starts the thread. Returns the output and a receiver that resolves when the last line is written.
    pub(crate) fn start() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        let (done, written) = oneshot::channel();
        std::thread::spawn(move || {
            // A write error means that stdout is closed; the sender notices the closed channel.
            let _gone = write_lines(receiver);
            let _receiver_gone = done.send(());
        });
        (Self(sender), written)
    }

    /// Writes a line. Errors are ignored; [`closed`](Self::closed) reports a closed stdout.
    pub(crate) async fn write_line(&self, line: Bytes) {
        let _closed = self.0.send(line).await;
    }

    /// Returns when stdout is closed.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

fn write_lines(mut lines: mpsc::Receiver<Bytes>) -> std::io::Result<()> {
    // A plain buffer instead of a line buffer: lines that are queued together are written together.
    let mut stdout = std::io::BufWriter::with_capacity(BUFFER, std::io::stdout().lock());
    while let Some(line) = lines.blocking_recv() {
        stdout.write_all(&line)?;
        stdout.write_all(b"\n")?;
        if lines.is_empty() {
            stdout.flush()?;
        }
    }
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut source = BufReader::with_capacity(3, text);
        let line = || {
            Some(match next_line(&mut source, 8)? {
                Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
                Line::TooLong => "too long".to_owned(),
            })
        };
        std::iter::from_fn(line).collect()
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
