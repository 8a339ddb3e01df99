//! A server that closes all its connections when it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A server that runs until it is stopped or dropped.
///
/// `axum::serve` would leave kept-alive connections open, which would still respond after the server
/// was stopped.
#[derive(Debug)]
pub(crate) struct RunningServer(Mutex<Option<JoinHandle<()>>>);

impl RunningServer {
    pub(crate) fn start(listener: TcpListener, router: Router) -> Self {
        Self(Mutex::new(Some(tokio::spawn(accept(listener, router)))))
    }

    /// Serves again, after [`stop`](Self::stop).
    pub(crate) fn restart(&self, listener: TcpListener, router: Router) {
        let serving = tokio::spawn(accept(listener, router));
        let before = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(serving);
        if let Some(task) = before {
            task.abort();
        }
    }

    /// Stops the server: closes the port and every connection.
    pub(crate) async fn stop(&self) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // The error is the cancellation itself.
            let _cancelled = task.await;
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        if let Some(task) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Returns a listener on a free port of 127.0.0.1.
pub(crate) async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(serve_connection(stream, router.clone())); }
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    // Sends small responses at once; otherwise they wait for the peer's delayed acknowledgement.
    let _undelayed = stream.set_nodelay(true);
    // A connection that a peer or a fault closes is no failure of the server.
    let _cut = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades()
        .await;
}
