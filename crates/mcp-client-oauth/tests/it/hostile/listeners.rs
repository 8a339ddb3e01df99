//! Listeners besides the testbed: some that must receive nothing, a third party that records all
//! requests, and a server that sends given bytes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::lock;

/// The value of `wire` for a server that accepts the request and never responds.
const SILENCE: &str = "silence";

/// A listener that records its requests. Dropping it closes the port.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Listens at `address`; returns none if this system does not have it.
    pub(super) async fn at(address: &str) -> Option<Self> {
        Self::with_response(address, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await
    }

    /// Listens like `at`, with a response in which each character is one byte.
    pub(super) async fn with_response(address: &str, response: &str) -> Option<Self> {
        let socket = TcpListener::bind(address).await.ok()?;
        let address = socket.local_addr().ok()?;
        let received = Arc::new(Mutex::default());
        let silent = response == SILENCE;
        let byte = |c| u8::try_from(c).expect("each character is a byte");
        let response: Arc<[u8]> = response.chars().map(byte).collect();
        let (recorded, response) = (Arc::clone(&received), (!silent).then_some(response));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&recorded), response.clone()));
            }
        });
        Some(Self {
            address,
            received,
            task,
        })
    }

    /// Returns the head of each request; an empty one for a connection without a request.
    pub(super) fn received(&self) -> Vec<String> {
        lock(&self.received).clone()
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(
    mut stream: TcpStream,
    received: Arc<Mutex<Vec<String>>>,
    response: Option<Arc<[u8]>>,
) {
    let index = {
        let mut received = lock(&received);
        received.push(String::new());
        received.len() - 1
    };
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    // The first byte of a TLS handshake is enough.
    while request.first() != Some(&0x16) && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(count) => request.extend_from_slice(&piece[..count]),
        }
        lock(&received)[index] = String::from_utf8_lossy(&request).into_owned();
    }
    let Some(response) = response else {
        return std::future::pending().await;
    };
    // The client may close the connection before the end.
    let _ = stream.write_all(&response).await;
    let _ = stream.shutdown().await;
}
