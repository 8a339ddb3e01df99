//! A hostile HTTP/2 server (docs/hostile.md H48). It encodes its frames itself, because no library would
//! send them.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, WriteHalf, split};

/// The length of the connection preface (RFC 9113 §3.4).
const PREFACE: usize = 24;

// Frames (RFC 9113 §6), flags and errors (§7).
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PUSH_PROMISE: u8 = 0x5;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const INTERNAL_ERROR: u8 = 0x2;
const REFUSED_STREAM: u8 = 0x7;

/// `:status: 200`, by its number in the static table of HPACK (RFC 7541 §A).
const STATUS_200: [u8; 1] = [0x88];
/// `:status: 103`, written out after the name of the static table.
const STATUS_103: [u8; 5] = [0x08, 3, b'1', b'0', b'3'];
/// A header `x: y`, written out.
const X_Y: [u8; 5] = [0x00, 1, b'x', 1, b'y'];
/// The number of frames in one write.
const AT_ONCE: usize = 512;

/// Serves one connection, and responds to each request in this `manner`, by its name in the cases.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    manner: &str,
    requests: &AtomicUsize,
) -> std::io::Result<()> {
    let (mut reader, mut writer) = split(stream);
    reader.read_exact(&mut [0; PREFACE]).await?;
    writer.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        reader.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => {
                writer.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
            }
            HEADERS => {
                requests.fetch_add(1, Ordering::Relaxed);
                respond(&mut writer, manner, u32::from_be_bytes(stream)).await?;
            }
            _ => {}
        }
    }
}

async fn respond<S: AsyncWrite>(
    writer: &mut WriteHalf<S>,
    manner: &str,
    stream: u32,
) -> std::io::Result<()> {
    let begun = frame(HEADERS, END_HEADERS, stream, &STATUS_200);
    let error = |code| [0, 0, 0, code];
    match manner {
        "honest" => {
            let body = frame(DATA, END_STREAM, stream, b"{}");
            writer.write_all(&[begun, body].concat()).await
        }
        // Once for each request.
        "resets" => {
            let reset = frame(RST_STREAM, 0, stream, &error(INTERNAL_ERROR));
            writer.write_all(&reset).await
        }
        "refusals" => {
            let reset = frame(RST_STREAM, 0, stream, &error(REFUSED_STREAM));
            writer.write_all(&reset).await
        }
        // No request of this connection was processed: a client may retry on another one.
        "goes-away" => {
            writer.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).await?;
            writer.shutdown().await
        }
        "promises" => {
            let promise = [&2_u32.to_be_bytes()[..], &STATUS_200].concat();
            let promise = frame(PUSH_PROMISE, END_HEADERS, stream, &promise);
            writer.write_all(&promise).await
        }
        "many-headers" => {
            let block = [&STATUS_200[..], &X_Y.repeat(3000)].concat();
            let headers = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
            writer.write_all(&headers).await
        }
        // Until the client closes the connection.
        "goes-away-for-ever" => {
            let goaway = [&stream.to_be_bytes()[..], &[0; 4]].concat();
            flood(writer, &frame(GOAWAY, 0, 0, &goaway)).await
        }
        "pings" => flood(writer, &frame(PING, 0, 0, &[0; 8])).await,
        "settings" => flood(writer, &frame(SETTINGS, 0, 0, &[])).await,
        "windows" => flood(writer, &frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1])).await,
        "informational" => flood(writer, &frame(HEADERS, END_HEADERS, stream, &STATUS_103)).await,
        "continuations" => {
            writer
                .write_all(&frame(HEADERS, 0, stream, &STATUS_200))
                .await?;
            flood(writer, &frame(CONTINUATION, 0, stream, &X_Y.repeat(100))).await
        }
        "empty-data" => {
            writer.write_all(&begun).await?;
            flood(writer, &frame(DATA, 0, stream, &[])).await
        }
        "data" => {
            writer.write_all(&begun).await?;
            flood(writer, &frame(DATA, 0, stream, &[b'x'; 4096])).await
        }
        other => panic!("no HTTP/2 manner `{other}`"),
    }
}

async fn flood<S: AsyncWrite>(writer: &mut WriteHalf<S>, frame: &[u8]) -> std::io::Result<()> {
    let frames = frame.repeat(AT_ONCE);
    loop {
        writer.write_all(&frames).await?;
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
