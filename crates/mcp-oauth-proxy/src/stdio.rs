//! The stdin and stdout of the process. Each has its own thread, because a blocking read of a pipe cannot be
//! cancelled, and a runtime would wait for it when it shuts down.

use std::io::{ErrorKind, Read as _, Write as _};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::lines::{BUFFER, LONGEST_LINE, Line, LineSplitter, Lines, Output, QUEUE_LENGTH};

/// Starts the two threads.
pub(crate) fn open() -> Lines {
    let (sender, input) = mpsc::channel(QUEUE_LENGTH);
    // A read error ends the input, and so does a receiver that is gone.
    std::thread::spawn(move || drop(read_lines(&sender)));
    let (out, lines) = Output::new();
    let (done, written) = oneshot::channel();
    std::thread::spawn(move || {
        // A write error means that stdout is closed; the sender notices the closed channel.
        let _gone = write_lines(lines);
        let _receiver_gone = done.send(());
    });
    Lines {
        input,
        out,
        written,
        tasks: JoinSet::new(),
    }
}

/// Reads lines until stdin ends or they are no longer received.
fn read_lines(sender: &mpsc::Sender<Line>) -> std::io::Result<()> {
    let mut splitter = LineSplitter::new(LONGEST_LINE);
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; BUFFER];
    loop {
        let lines = match stdin.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => splitter.push(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for line in lines {
            if sender.blocking_send(line).is_err() {
                return Ok(());
            }
        }
    }
    if let Some(line) = splitter.finish() {
        let _gone = sender.blocking_send(line);
    }
    Ok(())
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
