//! Ports for servers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::TcpSocket;

/// A port that nobody listens on right now. It is given out once, and is none of those that Linux gives to outgoing
/// connections: one could get it before a slow server listens, or while a server is down that comes back; and a client
/// that asks for a server that is down could reach itself.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Where another process begins is far away, above all where the next one does.
    let begin = std::process::id().wrapping_mul(12_361);
    let free = std::iter::repeat_with(|| begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000 + 12_000)
        .take(20_000)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| is_free(*port));
    free.expect("a free port")
}

/// Whether a server could listen there. This does not listen itself: a process that is just being started holds what was
/// open in this one for a moment, and would keep the port from the server.
fn is_free(port: u16) -> bool {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option of Linux");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}
