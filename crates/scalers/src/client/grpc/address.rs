//! Where a gRPC target leads.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::client::servers::join_host_port;

/// The port of a target that has none.
const PORT: u16 = 443;

/// What is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A name, or an IP address without brackets, and a port.
    Tcp { host: String, port: u16 },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Reads a target.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(target: &str) -> Result<Self, String> {
        if let Some(path) = target.strip_prefix("unix://").or_else(|| target.strip_prefix("unix:")) {
            return if path.is_empty() {
                Err("there is no path in it".to_string())
            } else {
                Ok(Address::Unix(path.into()))
            };
        }
        let address = match target.strip_prefix("dns:").or_else(|| target.strip_prefix("passthrough:")) {
            Some(rest) => match rest.strip_prefix("//") {
                Some(rest) => match rest.split_once('/') {
                    Some(("", address)) => address,
                    _ => return Err("a DNS server of its own is not supported".to_string()),
                },
                None => rest,
            },
            None => target,
        };
        if address.contains('/') {
            return Err("it has a scheme that gRPC does not know, or a path".to_string());
        }
        host_and_port(address)
    }

    /// The name that the server is to have.
    pub(super) fn host(&self) -> &str {
        match self {
            Address::Tcp { host, .. } => host,
            Address::Unix(_) => "localhost",
        }
    }

    /// The name as calls give it.
    pub(super) fn authority(&self) -> String {
        match self {
            Address::Tcp { host, port } => join_host_port(host, port),
            Address::Unix(_) => "localhost".to_string(),
        }
    }
}

fn host_and_port(address: &str) -> Result<Address, String> {
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(Address::Tcp { host: bare.to_string(), port: PORT });
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| "its port is no number from 0 to 65535".to_string())?),
        None => (address, PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match (host, address) {
        ("", "") => Err("it is empty".to_string()),
        ("", _) => Ok(Address::Tcp { host: "localhost".to_string(), port }),
        _ => Ok(Address::Tcp { host: host.to_string(), port }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lead_where_grpc_says() {
        for (target, authority) in [
            ("scaler:6000", "scaler:6000"),
            ("dns:///scaler.ns.svc:6000", "scaler.ns.svc:6000"),
            ("dns:scaler:1", "scaler:1"),
            ("passthrough:///10.0.0.1:6000", "10.0.0.1:6000"),
            ("scaler", "scaler:443"),
            (":6000", "localhost:6000"),
            ("[::1]:6000", "[::1]:6000"),
            ("::1", "[::1]:443"),
            ("unix:/run/s.sock", "localhost"),
        ] {
            assert_eq!(Address::parse(target).unwrap().authority(), authority, "{target}");
        }
        assert_eq!(Address::parse("unix:///run/s.sock"), Ok(Address::Unix("/run/s.sock".into())));
        for target in ["http://scaler:6000", "scaler:port", "dns://10.0.0.53/scaler:1", "unix:", "scaler:6000/path", ""]
        {
            assert!(Address::parse(target).is_err(), "{target}");
        }
    }
}
