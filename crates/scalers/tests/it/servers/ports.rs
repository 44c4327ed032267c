//! Ports for servers.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

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
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("a free port")
}
