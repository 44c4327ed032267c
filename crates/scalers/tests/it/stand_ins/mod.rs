//! Stand-ins for servers that no package has: they speak the protocol, and know what they are told.

pub mod grpc;
pub mod kafka;
pub mod tds;

use std::time::Duration;

use tokio::net::TcpListener;

/// Listens on a port, where a server may just have been stopped: a process that is being started meanwhile holds what was
/// open in this one for a moment.
pub async fn listen(port: u16) -> TcpListener {
    for _ in 0..100 {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    TcpListener::bind(("127.0.0.1", port)).await.expect("a port")
}
