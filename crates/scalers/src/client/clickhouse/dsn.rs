//! Connection strings of ClickHouse, as its client for Go reads them: `clickhouse://user:password@host:9000/database`.

use std::time::Duration;

use keda_core::secret::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

/// What is known to the client for Go and has no effect on reading a number.
const IGNORED: &[&str] = &[
    "block_buffer_size",
    "client_info_product",
    "compress",
    "compress_level",
    "conn_max_lifetime",
    "connection_open_strategy",
    "debug",
    "http_proxy",
    "max_compression_buffer",
    "max_idle_conns",
    "max_open_conns",
    "read_timeout",
];

/// What a connection string says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Dsn {
    /// Whether to talk over HTTP, and not in ClickHouse's own protocol.
    pub http: bool,
    /// Hosts with their ports, in the order in which they are tried.
    pub hosts: Vec<(String, u16)>,
    /// The user.
    pub user: String,
    /// The password; empty where there is none.
    pub password: Secret,
    /// The database.
    pub database: String,
    /// Whether to use TLS.
    pub secure: bool,
    /// Whether to take any certificate.
    pub skip_verify: bool,
    /// Path of the HTTP interface.
    pub http_path: String,
    /// Time to connect.
    pub dial_timeout: Option<Duration>,
    /// Settings of the server.
    pub settings: Vec<(String, String)>,
}

impl Dsn {
    /// Reads a connection string.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("the connection string has no scheme")?;
        let (hosts, url) = single_host(scheme, rest)?;
        let (http, secure) = match scheme {
            "http" => (true, false),
            "https" => (true, true),
            "clickhouse" | "tcp" | "native" => (false, false),
            _ => return Err("the connection string's scheme is none of clickhouse, tcp, http and https".to_string()),
        };
        let mut dsn = Dsn {
            http,
            hosts: Vec::new(),
            user: decoded(url.username()),
            password: Secret::new(decoded(url.password().unwrap_or_default())),
            database: decoded(url.path().trim_start_matches('/')),
            secure,
            skip_verify: false,
            http_path: String::new(),
            dial_timeout: None,
            settings: Vec::new(),
        };
        for (name, value) in url.query_pairs() {
            dsn.set(&name, &value)?;
        }
        for text in [&mut dsn.user, &mut dsn.database] {
            if text.is_empty() {
                *text = "default".to_string();
            }
        }
        dsn.hosts = hosts.split(',').map(|host| dsn.host_and_port(host)).collect::<Result<_, _>>()?;
        Ok(dsn)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let flag = |value: &str| match value {
            "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!("the parameter {name} of the connection string is neither true nor false")),
        };
        match name {
            "secure" => self.secure = flag(value)?,
            "skip_verify" => self.skip_verify = flag(value)?,
            "username" => self.user = value.to_string(),
            "password" => self.password = Secret::new(value),
            "database" => self.database = value.to_string(),
            "http_path" => self.http_path = value.to_string(),
            "dial_timeout" => {
                let timeout = keda_core::duration::parse(value)
                    .map_err(|_| "the parameter dial_timeout of the connection string is not a duration".to_string())?;
                self.dial_timeout = Some(timeout);
            }
            name if IGNORED.contains(&name) => {}
            name if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                return Err("the connection string has a parameter whose name no setting has".to_string());
            }
            name => self.settings.push((name.to_string(), value.to_string())),
        }
        Ok(())
    }

    fn host_and_port(&self, text: &str) -> Result<(String, u16), String> {
        let usual = match (self.http, self.secure) {
            (false, false) => 9000,
            (false, true) => 9440,
            (true, false) => 8123,
            (true, true) => 8443,
        };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| "the port is not a number from 1 to 65535")?)
            }
            _ => (text, usual),
        };
        match host.trim_matches(['[', ']']) {
            "" => Err("the connection string has no host".to_string()),
            host => Ok((host.to_string(), port)),
        }
    }
}

/// The hosts, and the address as if it were one of HTTP with one host: a URL cannot have several.
fn single_host<'a>(scheme: &str, rest: &'a str) -> Result<(&'a str, Url), String> {
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
    let scheme = if scheme == "https" { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{login}{}host{tail}", if login.is_empty() { "" } else { "@" }));
    Ok((hosts, url.map_err(|error| format!("the connection string is not an address: {error}"))?))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_says_where_and_who() {
        let dsn = Dsn::parse("clickhouse://u%40x:p%3A@a:9001,b/shop?secure=true&skip_verify&max_threads=1").unwrap();
        assert_eq!(dsn.hosts, [("a".to_string(), 9001), ("b".to_string(), 9440)]);
        assert_eq!((dsn.user.as_str(), dsn.password.expose(), dsn.database.as_str()), ("u@x", "p:", "shop"));
        assert!(dsn.secure && dsn.skip_verify && !dsn.http);
        assert_eq!(dsn.settings, [("max_threads".to_string(), "1".to_string())]);
        let dsn = Dsn::parse("http://[::1]").unwrap();
        assert_eq!((dsn.http, dsn.hosts, dsn.user.as_str()), (true, vec![("::1".to_string(), 8123)], "default"));
    }

    #[test]
    fn mistakes_are_told_without_showing_the_string() {
        for wrong in
            ["h:9000", "mysql://u:hunter2@h", "tcp://u:hunter2@", "tcp://u:hunter2@h:x", "tcp://h?secure=hunter2"]
        {
            let error = Dsn::parse(wrong).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
