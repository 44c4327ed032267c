//! Connection strings of SQL Server, as Go's driver reads them: `sqlserver://user:password@host:1433?database=name`,
//! `server=host;database=name;…`, and the same behind `odbc:` with braces around values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use keda_core::secret::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

/// The port of a server that is given none.
const PORT: u16 = 1433;

/// What a connection string says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Dsn {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user; empty where there is none.
    pub user: String,
    /// The password; empty where there is none.
    pub password: Secret,
    /// The database; the user's own where it is empty.
    pub database: String,
    /// Whether and how to use TLS.
    pub encryption: Encryption,
    /// Whether to take any certificate.
    pub trust: bool,
    /// File of a certificate to trust beside the system's.
    pub certificate: Option<PathBuf>,
    /// The name that the certificate is to have, where it is not the host's.
    pub certificate_name: Option<String>,
    /// Whether only to read.
    pub read_only: bool,
    /// What the server shows for the connection.
    pub application: String,
    /// Time to connect.
    pub connect_timeout: Option<Duration>,
}

/// Whether and how to use TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// Not at all.
    Disabled,
    /// For the login alone.
    #[default]
    Login,
    /// For everything.
    Full,
}

/// Parameters by their names in small letters.
type Parameters = BTreeMap<String, String>;

impl Dsn {
    /// A server that is known by its parts. A port of 0 or less is the usual one.
    ///
    /// # Errors
    /// That the port cannot be.
    pub fn of_parts(host: &str, port: i64) -> Result<Self, String> {
        let port = if port <= 0 { PORT } else { u16::try_from(port).map_err(|_| "port is above 65535".to_string())? };
        Ok(Dsn { host: host.trim_matches(['[', ']']).to_string(), port, trust: true, ..Dsn::default() })
    }

    /// Reads a connection string.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("sqlserver://") {
            return Dsn::of_parameters(&of_url(text)?);
        }
        match text.strip_prefix("odbc:") {
            Some(rest) => Dsn::of_parameters(&of_list(rest, true)?),
            None => Dsn::of_parameters(&of_list(text, false)?),
        }
    }

    fn of_parameters(parameters: &Parameters) -> Result<Self, String> {
        let get = |name: &str| parameters.get(name).map_or("", String::as_str);
        let (host, instance, port) = server(get("server"))?;
        let port = match get("port") {
            "" => port,
            text => Some(text.parse().map_err(|_| "the port is not a number from 1 to 65535".to_string())?),
        };
        if port.is_none() && instance {
            return Err("an instance by its name is not supported yet: give its port".to_string());
        }
        for unsupported in ["fedauth", "authenticator"] {
            if !get(unsupported).is_empty() {
                return Err(format!("the parameter {unsupported} is not supported yet"));
            }
        }
        let (encryption, trusts_anyway) = encryption(parameters.get("encrypt").map(String::as_str))?;
        let trust = match get("trustservercertificate") {
            "" => trusts_anyway,
            text => flag(text).ok_or("the parameter TrustServerCertificate is neither true nor false")?,
        };
        let seconds = get("dial timeout").parse().ok().filter(|seconds| *seconds > 0);
        Ok(Dsn {
            host,
            port: port.unwrap_or(PORT),
            user: get("user id").to_string(),
            password: Secret::new(get("password")),
            database: get("database").to_string(),
            encryption,
            trust,
            certificate: Some(get("certificate")).filter(|path| !path.is_empty()).map(PathBuf::from),
            certificate_name: Some(get("hostnameincertificate")).filter(|name| !name.is_empty()).map(str::to_string),
            read_only: get("applicationintent").eq_ignore_ascii_case("readonly"),
            application: get("app name").to_string(),
            connect_timeout: seconds.map(Duration::from_secs),
        })
    }
}

/// How much is encrypted, and whether any certificate will do where nothing is said of that.
fn encryption(text: Option<&str>) -> Result<(Encryption, bool), String> {
    match text.map(str::to_lowercase).as_deref() {
        None => Ok((Encryption::Login, true)),
        Some("disable") => Ok((Encryption::Disabled, false)),
        Some("mandatory" | "yes" | "1" | "t" | "true") => Ok((Encryption::Full, false)),
        Some("optional" | "no" | "0" | "f" | "false") => Ok((Encryption::Login, false)),
        Some("strict") => Err("encrypt=strict is not supported yet".to_string()),
        Some(_) => Err("the parameter encrypt is none of disable, optional, mandatory and strict".to_string()),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Host, whether an instance is named, and port of `tcp:host\instance,port`.
fn server(text: &str) -> Result<(String, bool, Option<u16>), String> {
    let text = text.strip_prefix("tcp:").unwrap_or(text);
    let (text, port) = match text.rsplit_once(',') {
        Some((text, port)) => {
            (text, Some(port.trim().parse().map_err(|_| "the port is not a number from 1 to 65535".to_string())?))
        }
        None => (text, None),
    };
    let (host, instance) = text.split_once('\\').map_or((text, false), |(host, _)| (host, true));
    match host.trim() {
        "" | "." | "(local)" => Ok(("localhost".to_string(), instance, port)),
        host => Ok((host.trim_matches(['[', ']']).to_string(), instance, port)),
    }
}

fn of_url(text: &str) -> Result<Parameters, String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let url = Url::parse(text).map_err(|error| format!("the connection string is not an address: {error}"))?;
    let mut parameters: Parameters =
        url.query_pairs().map(|(name, value)| (known_name(&name), value.into_owned())).collect();
    let instance = decoded(url.path().trim_start_matches('/'));
    let host = decoded(url.host_str().unwrap_or_default());
    let server = if instance.is_empty() { host } else { format!("{host}\\{instance}") };
    parameters.insert("server".to_string(), server);
    if let Some(port) = url.port() {
        parameters.insert("port".to_string(), port.to_string());
    }
    if !url.username().is_empty() {
        parameters.insert("user id".to_string(), decoded(url.username()));
        parameters.insert("password".to_string(), decoded(url.password().unwrap_or_default()));
    }
    Ok(parameters)
}

/// `name=value` with `;` between them. A value may stand in quotation marks, or in braces as ODBC has it; two closing
/// ones stand for one.
fn of_list(text: &str, braces: bool) -> Result<Parameters, String> {
    let mut parameters = Parameters::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_at(rest.find(['=', ';']).unwrap_or(rest.len()));
        let Some(after) = after.strip_prefix('=') else {
            return Err("the connection string has a part without an equals sign".to_string());
        };
        let after = after.trim_start();
        let quote = match after.chars().next() {
            Some('{') if braces => Some('}'),
            Some('"') if !braces => Some('"'),
            _ => None,
        };
        let (value, left) = match quote {
            Some(quote) => quoted(after.get(1..).unwrap_or_default(), quote)?,
            None => {
                let (value, left) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_string(), left)
            }
        };
        parameters.insert(known_name(name), value);
        rest = left.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
    }
    Ok(parameters)
}

/// The text up to the closing mark, and what is behind the next semicolon.
fn quoted(text: &str, mark: char) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(mark).ok_or("a value of the connection string has no end".to_string())?;
        value.push_str(before);
        match after.strip_prefix(mark) {
            Some(after) => {
                value.push(mark);
                rest = after;
            }
            None => return Ok((value, after.split_once(';').map_or("", |(_, left)| left))),
        }
    }
}

/// The one name of a parameter that has several.
fn known_name(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let known = match name.as_str() {
        "addr" | "address" | "data source" | "network address" => "server",
        "uid" | "user" => "user id",
        "pwd" => "password",
        "initial catalog" => "database",
        "application name" => "app name",
        _ => return name,
    };
    known.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_notations_say_the_same() {
        for text in [
            "sqlserver://us%40er:pa%3Bss@h:1434?database=shop&encrypt=true",
            "Server=tcp:h,1434;Initial Catalog=shop; User Id=us@er;Pwd=\"pa;ss\";Encrypt=True;",
            "odbc:server=h;port=1434;database=shop;uid=us@er;pwd={pa;ss};encrypt=yes",
        ] {
            let dsn = Dsn::parse(text).unwrap();
            assert_eq!((dsn.host.as_str(), dsn.port, dsn.database.as_str()), ("h", 1434, "shop"), "{text}");
            assert_eq!((dsn.user.as_str(), dsn.password.expose()), ("us@er", "pa;ss"), "{text}");
            assert_eq!((dsn.encryption, dsn.trust), (Encryption::Full, false), "{text}");
        }
    }

    #[test]
    fn any_certificate_will_do_where_nothing_is_said() {
        let tls = |text: &str| Dsn::parse(text).map(|dsn| (dsn.encryption, dsn.trust)).unwrap();
        assert_eq!(tls("sqlserver://h"), (Encryption::Login, true));
        assert_eq!(tls("sqlserver://h?encrypt=false"), (Encryption::Login, false));
        assert_eq!(tls("server=h;encrypt=disable"), (Encryption::Disabled, false));
        assert_eq!(tls("server=h;encrypt=true;TrustServerCertificate=true"), (Encryption::Full, true));
    }

    #[test]
    fn mistakes_are_told_without_showing_the_string() {
        for wrong in [
            "sqlserver://u:hunter2@h:x",
            "server=h;password=\"hunter2",
            "hunter2",
            "server=h;hunter2;password=p",
            "server=h\\hunter2",
            "server=h;encrypt=hunter2",
            "server=h;fedauth=hunter2",
        ] {
            let error = Dsn::parse(wrong).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert_eq!(Dsn::parse("server=h\\instance,1500").unwrap().port, 1500);
    }

    #[test]
    fn an_apostrophe_is_a_part_of_a_password() {
        let dsn = Dsn::parse("server=h;user id=u;password='p;database=d").unwrap();
        assert_eq!((dsn.password.expose(), dsn.database.as_str()), ("'p", "d"));
    }
}
