//! A port that refuses connections.

use std::net::TcpListener;

/// Returns a port of loopback on which nothing listens.
pub fn dead_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
