//! Who listens beside the testbed: places that must hear nothing, a stranger who writes everything
//! down, and a server that says what it is told to, byte for byte.

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

/// What a server in a case says when it takes the request and never answers.
const SILENCE: &str = "silence";

/// A listener that remembers what came. It ends with this.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// At `address`, which may be one that this machine does not have.
    pub(super) async fn at(address: &str) -> Option<Self> {
        Self::saying(address, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await
    }

    /// The same, with an answer in which each character is a byte.
    pub(super) async fn saying(address: &str, answer: &str) -> Option<Self> {
        let socket = TcpListener::bind(address).await.ok()?;
        let address = socket.local_addr().ok()?;
        let heard = Arc::new(Mutex::default());
        let silent = answer == SILENCE;
        let byte = |c| u8::try_from(c).expect("each character is a byte");
        let answer: Arc<[u8]> = answer.chars().map(byte).collect();
        let (ears, answer) = (Arc::clone(&heard), (!silent).then_some(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&ears), answer.clone()));
            }
        });
        Some(Self {
            address,
            heard,
            task,
        })
    }

    /// The head of each request; empty for a connection without one.
    pub(super) fn heard(&self) -> Vec<String> {
        lock(&self.heard).clone()
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn converse(
    mut stream: TcpStream,
    heard: Arc<Mutex<Vec<String>>>,
    answer: Option<Arc<[u8]>>,
) {
    let index = {
        let mut heard = lock(&heard);
        heard.push(String::new());
        heard.len() - 1
    };
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    // A TLS handshake is heard when it has begun.
    while request.first() != Some(&0x16) && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(count) => request.extend_from_slice(&piece[..count]),
        }
        lock(&heard)[index] = String::from_utf8_lossy(&request).into_owned();
    }
    let Some(answer) = answer else {
        return std::future::pending().await;
    };
    // Who hangs up before the end has heard enough.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}
