//! The pipes of a client in the same process.

use std::io::{ErrorKind, Result};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter},
    pin,
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::lines::{BUFFER, LONGEST_LINE, Line, LineSplitter, Lines, Output, QUEUE_LENGTH};

/// Starts the two tasks.
pub(crate) fn open<R, W>(reader: R, writer: W) -> Lines
where
    R: AsyncRead + Send + 'static,
    W: AsyncWrite + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let (sender, input) = mpsc::channel(QUEUE_LENGTH);
    // A read error ends the input, and so does a receiver that is gone.
    tasks.spawn(async move { drop(read_lines(reader, &sender).await) });
    let (out, lines) = Output::new();
    let (done, written) = oneshot::channel();
    tasks.spawn(async move {
        // A write error means that the client does not read; the sender notices the closed channel.
        let _gone = write_lines(writer, lines).await;
        let _receiver_gone = done.send(());
    });
    Lines {
        input,
        out,
        written,
        tasks,
    }
}

/// Reads lines until the pipe ends or they are no longer received.
async fn read_lines(reader: impl AsyncRead, sender: &mpsc::Sender<Line>) -> Result<()> {
    pin!(reader);
    let mut splitter = LineSplitter::new(LONGEST_LINE);
    let mut buffer = vec![0; BUFFER];
    loop {
        let lines = match reader.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => splitter.push(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for line in lines {
            if sender.send(line).await.is_err() {
                return Ok(());
            }
        }
    }
    if let Some(line) = splitter.finish() {
        let _gone = sender.send(line).await;
    }
    Ok(())
}

async fn write_lines(writer: impl AsyncWrite, mut lines: mpsc::Receiver<Bytes>) -> Result<()> {
    pin!(writer);
    let mut writer = BufWriter::with_capacity(BUFFER, writer);
    while let Some(line) = lines.recv().await {
        writer.write_all(&line).await?;
        writer.write_all(b"\n").await?;
        if lines.is_empty() {
            writer.flush().await?;
        }
    }
    writer.shutdown().await
}
