//! A port that refuses connections.

use std::net::TcpListener;

/// Returns a loopback port without a listener.
pub fn unused_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
