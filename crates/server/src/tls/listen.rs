//! Listening as KEDA's programs do.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use super::ServerError;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on an address; a port of 0 lets the system choose. All addresses, however they are written (`0.0.0.0`, `[::]`),
/// are those of IPv4 and IPv6.
///
/// # Errors
/// That the address cannot be listened on.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = match address.ip().is_unspecified() {
        true => listen_everywhere(address.port(), dual_stack()),
        false => TcpListener::bind(address).await,
    };
    listener.map_err(|source| ServerError::Bind { address, source })
}

/// Without a socket of both families there is no IPv6 here.
fn listen_everywhere(port: u16, dual_stack: io::Result<TcpSocket>) -> io::Result<TcpListener> {
    let (socket, address) = match dual_stack {
        Ok(socket) => (socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))),
        Err(_) => (TcpSocket::new_v4()?, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
    };
    // A program that starts anew gets its port although old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A socket of IPv6 that takes IPv4 too, whatever the system's default is.
fn dual_stack() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v6()?;
    SockRef::from(&socket).set_only_v6(false)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    async fn answers(host: &str, port: u16) -> bool {
        TcpStream::connect((host, port)).await.is_ok()
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let has_ipv6 = TcpListener::bind("[::1]:0").await.is_ok();
        for everywhere in ["0.0.0.0:0", "[::]:0"] {
            let listener = bind(everywhere.parse().unwrap()).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            assert!(answers("127.0.0.1", port).await, "{everywhere}");
            assert_eq!(answers("::1", port).await, has_ipv6, "{everywhere}");
        }
    }

    #[tokio::test]
    async fn one_address_is_that_one_alone() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(answers("127.0.0.1", port).await && !answers("::1", port).await);
    }

    #[tokio::test]
    async fn where_there_is_no_ipv6_it_is_ipv4() {
        let listener = listen_everywhere(0, Err(io::ErrorKind::Unsupported.into())).unwrap();
        assert!(listener.local_addr().unwrap().is_ipv4());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let taken = bind("[::]:0".parse().unwrap()).await.unwrap();
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, taken.local_addr().unwrap().port()));
        let error = bind(address).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
    }
}
