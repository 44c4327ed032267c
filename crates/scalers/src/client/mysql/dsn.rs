//! Connection strings of MySQL, as Go's driver reads them: `user:password@tcp(host:port)/database?parameters`.

use std::time::Duration;

use keda_core::secret::Secret;
use percent_encoding::percent_decode_str;

/// The port of a server that is given none.
const PORT: u16 = 3306;

/// What Go's driver knows and has no effect on reading a number.
const IGNORED: &[&str] = &[
    "allowAllFiles",
    "allowFallbackToPlaintext",
    "allowNativePasswords",
    "allowOldPasswords",
    "charset",
    "checkConnLiveness",
    "clientFoundRows",
    "collation",
    "columnsWithAlias",
    "compress",
    "connectionAttributes",
    "interpolateParams",
    "loc",
    "maxAllowedPacket",
    "multiStatements",
    "parseTime",
    "readTimeout",
    "rejectReadOnly",
    "serverPubKey",
    "timeTruncate",
    "writeTimeout",
];

/// What a connection string says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dsn {
    /// The user; empty where there is none.
    pub user: String,
    /// The password; empty where there is none.
    pub password: Secret,
    /// Where the server is.
    pub place: Place,
    /// The database; empty where there is none.
    pub database: String,
    /// Whether and how to use TLS.
    pub tls: TlsMode,
    /// Whether a server may ask for the password as it is.
    pub cleartext: bool,
    /// Time to connect.
    pub connect_timeout: Option<Duration>,
    /// Variables of the session, as they stand in `SET`.
    pub variables: Vec<(String, String)>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host and its port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(String),
}

/// Whether and how to use TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// No.
    #[default]
    Off,
    /// If the server can, and whatever its certificate.
    Preferred,
    /// Yes, whatever the server's certificate.
    SkipVerify,
    /// Yes, with a certificate that is trusted.
    On,
}

impl Dsn {
    /// A server that is known by its parts.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn of_parts(host: &str, port: &str, database: &str) -> Result<Self, String> {
        if host.is_empty() {
            return Err("no host given".to_string());
        }
        let port = port.parse().map_err(|_| format!("port {port:?} is not a number from 1 to 65535"))?;
        Ok(Dsn::at(Place::Tcp(host.trim_matches(['[', ']']).to_string(), port), database))
    }

    fn at(place: Place, database: &str) -> Self {
        Dsn {
            user: String::new(),
            password: Secret::default(),
            place,
            database: database.to_string(),
            tls: TlsMode::default(),
            cleartext: false,
            connect_timeout: None,
            variables: Vec::new(),
        }
    }

    /// Reads a connection string.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let missing = "invalid DSN: missing the slash separating the database name";
        let (server, rest) = text.rsplit_once('/').ok_or(missing)?;
        let (database, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, address) = server.rsplit_once('@').unwrap_or(("", server));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let mut dsn = Dsn::at(place(address)?, &decoded(database)?);
        dsn.user = user.to_string();
        dsn.password = Secret::new(password);
        for parameter in parameters.split('&') {
            if let Some((name, value)) = parameter.split_once('=') {
                dsn.set(name, value)?;
            }
        }
        Ok(dsn)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "tls" => {
                self.tls = match value.to_lowercase().as_str() {
                    "true" | "1" | "t" => TlsMode::On,
                    "false" | "0" | "f" => TlsMode::Off,
                    "skip-verify" => TlsMode::SkipVerify,
                    "preferred" => TlsMode::Preferred,
                    _ => return Err("invalid value / unknown config name of the parameter tls".to_string()),
                }
            }
            "allowCleartextPasswords" => self.cleartext = matches!(value, "1" | "true" | "TRUE" | "True"),
            "timeout" => {
                let timeout = keda_core::duration::parse(value)
                    .map_err(|_| "invalid DSN: the parameter timeout is not a duration".to_string())?;
                self.connect_timeout = Some(timeout);
            }
            name if IGNORED.contains(&name) => {}
            // Whoever writes the connection string may run any query anyway; this keeps a mistake from becoming one.
            name if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.@".contains(c)) => {
                return Err("invalid DSN: a parameter has a name that no variable has".to_string());
            }
            name => self.variables.push((name.to_string(), decoded(&value.replace('+', " "))?)),
        }
        Ok(())
    }
}

fn place(address: &str) -> Result<Place, String> {
    let (network, address) = match address.split_once('(') {
        None => (address, ""),
        Some((network, rest)) => {
            let unterminated = "invalid DSN: network address not terminated (missing closing brace)";
            (network, rest.strip_suffix(')').ok_or(unterminated)?)
        }
    };
    match (network, address) {
        ("" | "tcp" | "tcp4" | "tcp6", "") => Ok(Place::Tcp("127.0.0.1".to_string(), PORT)),
        ("" | "tcp" | "tcp4" | "tcp6", address) => host_and_port(address),
        ("unix", "") => Ok(Place::Unix("/tmp/mysql.sock".to_string())),
        ("unix", path) => Ok(Place::Unix(path.to_string())),
        _ => Err("invalid DSN: the network is neither tcp nor unix".to_string()),
    }
}

fn host_and_port(address: &str) -> Result<Place, String> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => {
            let port = port.parse().map_err(|_| "invalid DSN: the port is not a number from 1 to 65535")?;
            (host, port)
        }
        _ => (address, PORT),
    };
    let host = host.trim_matches(['[', ']']);
    Ok(Place::Tcp(if host.is_empty() { "localhost" } else { host }.to_string(), port))
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| "invalid DSN: an escape is not UTF-8".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp(host.to_string(), port)
    }

    #[test]
    fn user_and_password_stand_as_they_are() {
        let dsn = Dsn::parse("u:p@s:s/w%20d@tcp(h:3307)/my%2Fdb?tls=skip-verify&parseTime=true&timeout=5s").unwrap();
        assert_eq!((dsn.user.as_str(), dsn.password.expose()), ("u", "p@s:s/w%20d"));
        assert_eq!((dsn.place, dsn.database.as_str()), (tcp("h", 3307), "my/db"));
        assert_eq!((dsn.tls, dsn.connect_timeout), (TlsMode::SkipVerify, Some(Duration::from_secs(5))));
        let dsn = Dsn::parse("/?max_execution_time=1000&sql_mode=%27ANSI%27").unwrap();
        let variable = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(dsn.variables, [variable("max_execution_time", "1000"), variable("sql_mode", "'ANSI'")]);
    }

    #[test]
    fn a_server_is_at_a_port_or_a_socket() {
        let place = |text: &str| Dsn::parse(text).unwrap().place;
        assert_eq!(place("/db"), tcp("127.0.0.1", 3306));
        assert_eq!(place("u@tcp/db"), tcp("127.0.0.1", 3306));
        assert_eq!(place("u@tcp(h)/db"), tcp("h", 3306));
        assert_eq!(place("u@tcp(:3307)/db"), tcp("localhost", 3307));
        assert_eq!(place("u@tcp([de:ad::1]:3307)/db"), tcp("de:ad::1", 3307));
        assert_eq!(place("u@tcp([de:ad::1])/db"), tcp("de:ad::1", 3306));
        assert_eq!(place("u@unix(/run/mysqld.sock)/db"), Place::Unix("/run/mysqld.sock".to_string()));
        assert_eq!(Dsn::of_parts("::1", "3306", "d").unwrap().place, tcp("::1", 3306));
    }

    #[test]
    fn mistakes_are_told_without_showing_the_string() {
        for wrong in [
            "u:hunter2@tcp(h",
            "u:hunter2@tcp(h/d",
            "u:hunter2@udp(h)/d",
            "u:hunter2@tcp(h:x)/d",
            "/?tls=hunter2",
            "/?a;b=1",
            "/?timeout=hunter2",
        ] {
            let error = Dsn::parse(wrong).unwrap_err();
            assert!(error.contains("invalid") && !error.contains("hunter2"), "{wrong}: {error}");
        }
        assert!(Dsn::of_parts("", "3306", "d").is_err() && Dsn::of_parts("h", "", "d").is_err());
    }
}
