//! Connection strings of PostgreSQL, as pgx reads them: URLs and `key=value` lists.
//!
//! Only the string counts. Variables such as `PGHOST`, password files and service files belong to the process, not to
//! whoever wrote the string, and are not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keda_core::secret::Secret;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// Time to connect when the string gives none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What other clients know and we have no use for.
const IGNORED: &[&str] = &[
    "client_encoding",
    "default_query_exec_mode",
    "description_cache_capacity",
    "gssencmode",
    "krbspn",
    "krbsrvname",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "service",
    "servicefile",
    "sslsni",
    "statement_cache_capacity",
    "statement_cache_mode",
];

/// What a connection string says.
#[derive(Debug, Clone)]
pub struct Dsn {
    /// Names, addresses or folders of sockets, each with its port, in the order in which they are tried.
    pub hosts: Vec<(String, u16)>,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database.
    pub database: Option<String>,
    /// Whether and how to use TLS.
    pub ssl_mode: SslMode,
    /// File of the roots to trust; the system's where there is none.
    pub root_cert: Option<PathBuf>,
    /// Files of the client's certificate and key.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// Password of the client's key.
    pub key_password: Option<Secret>,
    /// Whether the login must be bound to the TLS connection, so that nobody in between can pass it on.
    pub bound_login: bool,
    /// Time to connect to one host.
    pub connect_timeout: Duration,
    /// What the server shows for the connection.
    pub application_name: String,
    /// `read-write` or `read-only` where only such a server will do.
    pub session: Session,
    /// Settings of the session, as the server's command line has them.
    pub options: String,
}

/// Which servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Any.
    Any,
    /// Those that can be written to.
    ReadWrite,
    /// Those that cannot.
    ReadOnly,
}

/// Whether and how to use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No.
    Disable,
    /// Only if the server insists.
    Allow,
    /// If the server can.
    Prefer,
    /// Yes, with any certificate unless there is a file of roots.
    Require,
    /// Yes, with a certificate from a trusted root.
    VerifyCa,
    /// Yes, and the certificate is for this host.
    VerifyFull,
}

impl Dsn {
    /// Reads a connection string.
    ///
    /// # Errors
    /// What is wrong with it, without the string itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
        Dsn::from_settings(match url {
            Some(rest) => url_settings(rest)?,
            None => keyword_settings(text)?,
        })
    }

    fn from_settings(mut settings: BTreeMap<String, String>) -> Result<Self, String> {
        for key in IGNORED {
            settings.remove(*key);
        }
        let mut take = |key: &str| settings.remove(key).filter(|value| !value.is_empty());
        let hosts = hosts(take("host").as_deref().unwrap_or("localhost"), take("port").as_deref().unwrap_or("5432"))?;
        let mut root_cert = take("sslrootcert").map(PathBuf::from);
        let mut ssl_mode = match take("sslmode").as_deref() {
            None | Some("prefer") => SslMode::Prefer,
            Some("disable") => SslMode::Disable,
            Some("allow") => SslMode::Allow,
            Some("require") => SslMode::Require,
            Some("verify-ca") => SslMode::VerifyCa,
            Some("verify-full") => SslMode::VerifyFull,
            Some(_) => return Err("sslmode is invalid".to_string()),
        };
        if root_cert.as_deref() == Some(Path::new("system")) {
            (root_cert, ssl_mode) = (None, SslMode::VerifyFull);
        }
        // Every server also takes what it is usually asked first.
        if take("sslnegotiation").as_deref() == Some("direct") && ssl_mode == SslMode::Prefer {
            ssl_mode = SslMode::Require;
        }
        let bound_login = match take("channel_binding").as_deref() {
            None | Some("prefer" | "disable") => false,
            Some("require") => true,
            Some(_) => return Err("unknown channel_binding value".to_string()),
        };
        let client_cert = match (take("sslcert"), take("sslkey")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => return Err(r#"both "sslcert" and "sslkey" are required"#.to_string()),
        };
        let connect_timeout = match take("connect_timeout") {
            None => CONNECT_TIMEOUT,
            Some(seconds) => {
                let seconds = seconds.parse().map_err(|_| "invalid connect_timeout".to_string())?;
                if seconds == 0 { CONNECT_TIMEOUT } else { Duration::from_secs(seconds) }
            }
        };
        let session = match take("target_session_attrs").as_deref() {
            None | Some("any" | "prefer-standby") => Session::Any,
            Some("read-write" | "primary") => Session::ReadWrite,
            Some("read-only" | "standby") => Session::ReadOnly,
            Some(_) => return Err("unknown target_session_attrs value".to_string()),
        };
        Ok(Dsn {
            hosts,
            user: take("user"),
            password: take("password").map(Secret::new),
            database: take("database"),
            ssl_mode,
            root_cert,
            client_cert,
            key_password: take("sslpassword").map(Secret::new),
            bound_login,
            connect_timeout,
            application_name: take("application_name").unwrap_or_else(|| "keda".to_string()),
            session,
            options: options(take("options").unwrap_or_default(), &settings),
        })
    }
}

/// Hosts and ports, either one port for all or one for each.
fn hosts(hosts: &str, ports: &str) -> Result<Vec<(String, u16)>, String> {
    let ports: Vec<u16> = ports
        .split(',')
        .map(|port| if port.is_empty() { Ok(5432) } else { port.parse() })
        .collect::<Result<_, _>>()
        .map_err(|_| "invalid port: expected a number from 1 to 65535".to_string())?;
    if ports.contains(&0) {
        return Err("invalid port: expected a number from 1 to 65535".to_string());
    }
    let first = ports.first().copied().unwrap_or(5432);
    let port = |position: usize| ports.get(position).copied().unwrap_or(first);
    Ok(hosts.split(',').enumerate().map(|(position, host)| (host.to_string(), port(position))).collect())
}

/// What is left are settings of the session.
fn options(mut options: String, settings: &BTreeMap<String, String>) -> String {
    for (name, value) in settings.iter().filter(|(name, value)| !name.is_empty() && !value.is_empty()) {
        let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
        if !options.is_empty() {
            options.push(' ');
        }
        options.push_str(&format!("-c {name}={value}"));
    }
    options
}

/// `user:password@host:port,host:port/database?key=value`.
fn url_settings(rest: &str) -> Result<BTreeMap<String, String>, String> {
    let decode = |text: &str| {
        percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| "not UTF-8".to_string())
    };
    let mut settings = BTreeMap::new();
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, places) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !login.is_empty() {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        settings.insert("user".to_string(), decode(user)?);
        settings.insert("password".to_string(), decode(password)?);
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for place in places.split(',').filter(|place| !place.is_empty()) {
        let bracketed = place.strip_prefix('[').and_then(|place| place.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => place.rsplit_once(':').unwrap_or((place, "")),
        };
        hosts.push(decode(host)?);
        ports.push(port);
    }
    settings.insert("host".to_string(), hosts.join(","));
    if ports.iter().any(|port| !port.is_empty()) {
        settings.insert("port".to_string(), ports.join(","));
    }
    settings.insert("database".to_string(), decode(database)?);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        settings.insert(canonical(&key), value.into_owned());
    }
    Ok(settings)
}

/// `key=value key='other value'`, where a backslash takes the next character as it is.
fn keyword_settings(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut settings = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or("invalid keyword/value")?;
        let key = key.trim();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err("invalid keyword/value".to_string());
        }
        let after = after.trim_start_matches([' ', '\t']);
        let (value, remaining) = keyword_value(if after.is_empty() { "" } else { after })?;
        settings.insert(canonical(key), value);
        rest = remaining.trim_start();
    }
    Ok(settings)
}

/// The first value of `text`, and what follows it.
fn keyword_value(text: &str) -> Result<(String, &str), String> {
    let (quoted, body) = match text.strip_prefix('\'') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next().ok_or("invalid backslash")?.1),
            '\'' if quoted => return Ok((value, body.get(position + 1..).unwrap_or_default())),
            blank if !quoted && blank.is_ascii_whitespace() => {
                return Ok((value, body.get(position..).unwrap_or_default()));
            }
            other => value.push(other),
        }
    }
    if quoted { Err("unterminated quoted string in connection info string".to_string()) } else { Ok((value, "")) }
}

fn canonical(key: &str) -> String {
    if key == "dbname" { "database".to_string() } else { key.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> String {
        let dsn = Dsn::parse(text).unwrap();
        let password = dsn.password.as_ref().map_or("-", Secret::expose).to_string();
        format!("{:?} {:?} {password} {:?} {:?}", dsn.hosts, dsn.user, dsn.database, dsn.ssl_mode)
    }

    #[test]
    fn both_forms_say_the_same() {
        let expected = r#"[("h", 5433)] Some("u") p'a\s Some("d") Require"#;
        assert_eq!(summary(r"host=h port=5433 user=u dbname=d sslmode=require password='p\'a\\s'"), expected);
        assert_eq!(summary("postgresql://u:p'a%5Cs@h:5433/d?sslmode=require"), expected);
        assert_eq!(summary("postgres://h:5433/d?user=u&password=p'a%5Cs&sslmode=require"), expected);
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(summary("postgresql://"), r#"[("localhost", 5432)] None - None Prefer"#);
        assert_eq!(summary("host=a,b port=1,2"), r#"[("a", 1), ("b", 2)] None - None Prefer"#);
        assert_eq!(summary("host=a,b,c port=1,2"), r#"[("a", 1), ("b", 2), ("c", 1)] None - None Prefer"#);
        assert_eq!(summary("postgres://[::1],b:7/"), r#"[("::1", 5432), ("b", 7)] None - None Prefer"#);
        assert_eq!(summary("user=u password="), r#"[("localhost", 5432)] Some("u") - None Prefer"#);
        assert_eq!(Dsn::parse("connect_timeout=7").unwrap().connect_timeout, Duration::from_secs(7));
    }

    #[test]
    fn unknown_keys_are_settings_of_the_session() {
        let dsn = Dsn::parse("host=h search_path='a b' statement_timeout=5 options='-c x=1'").unwrap();
        assert_eq!(dsn.options, "-c x=1 -c search_path=a\\ b -c statement_timeout=5");
    }

    #[test]
    fn what_is_said_of_tls_and_of_the_login_is_no_setting_of_the_session() {
        let text = "postgresql://h/d?sslmode=require&channel_binding=require&max_protocol_version=latest";
        let dsn = Dsn::parse(text).unwrap();
        assert!(dsn.bound_login && dsn.options.is_empty() && dsn.ssl_mode == SslMode::Require);
        let dsn = Dsn::parse("host=h sslrootcert=system channel_binding=prefer").unwrap();
        assert!(!dsn.bound_login && dsn.root_cert.is_none() && dsn.ssl_mode == SslMode::VerifyFull);
        let dsn = Dsn::parse("host=h sslnegotiation=direct").unwrap();
        assert!(dsn.options.is_empty() && dsn.ssl_mode == SslMode::Require);
    }

    #[test]
    fn mistakes_are_told_without_the_string() {
        for text in [
            "hunter2",
            "host=h port=hunter2",
            "sslmode=hunter2",
            "password='hunter2",
            "sslcert=hunter2",
            "channel_binding=hunter2",
        ] {
            assert!(!Dsn::parse(text).unwrap_err().contains("hunter2"), "{text}");
        }
    }
}
