//! Addresses, where KEDA takes those and only those that Go's `url.ParseRequestURI` takes.

use std::net::Ipv6Addr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// What is written as `%XX` when a path is sent.
const ESCAPED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// The parts of an address that triggers look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestUri {
    /// The host with its port; empty where there is none.
    pub host: String,
    /// The path without its escapes; empty where there is none, as in `localhost:8080/path`, which has the scheme
    /// `localhost`.
    pub path: String,
    /// The path as it is written, where it is not written as it is sent.
    pub raw_path: Option<String>,
}

impl RequestUri {
    /// Takes an address apart.
    ///
    /// # Errors
    /// What is wrong with it, without showing it: it may have a password in it.
    pub fn parse(address: &str) -> Result<Self, &'static str> {
        if address.is_empty() {
            return Err("empty url");
        }
        if address.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("invalid control character in URL");
        }
        if address == "*" {
            return Ok(RequestUri { path: "*".to_string(), ..RequestUri::default() });
        }
        let (scheme, rest) = split_scheme(address)?;
        let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
        if !rest.starts_with('/') {
            return if scheme.is_empty() { Err("invalid URI for request") } else { Ok(RequestUri::default()) };
        }
        let (authority, written) = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        check_escapes(written)?;
        let path: Vec<u8> = percent_decode_str(written).collect();
        let sent = percent_encode(&path, ESCAPED_IN_PATH).to_string();
        Ok(RequestUri {
            host: host_of(scheme, authority)?,
            path: String::from_utf8_lossy(&path).into_owned(),
            raw_path: (sent != written).then(|| written.to_string()),
        })
    }
}

/// The path of an address without its escapes; `None` where it is no address.
pub fn path(address: &str) -> Option<String> {
    RequestUri::parse(address).ok().map(|address| address.path)
}

/// Whether every percent sign has two hexadecimal digits behind it.
///
/// # Errors
/// That one has not.
pub fn check_escapes(text: &str) -> Result<(), &'static str> {
    let is_escape = |piece: &str| piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if text.split('%').skip(1).all(is_escape) { Ok(()) } else { Err("invalid URL escape") }
}

fn split_scheme(address: &str) -> Result<(&str, &str), &'static str> {
    match address.split_once(':') {
        Some(("", _)) => Err("missing protocol scheme"),
        Some((scheme, rest))
            if scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) =>
        {
            Ok((scheme, rest))
        }
        _ => Ok(("", address)),
    }
}

/// The host of `user:password@host:port`, with its port.
fn host_of(scheme: &str, authority: &str) -> Result<String, &'static str> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)) {
        return Err("invalid userinfo");
    }
    check_escapes(user)?;
    check_escapes(host)?;
    let port = match host.rfind('[') {
        Some(0) => port_after_address(host)?,
        Some(_) => return Err("invalid IP-literal"),
        None => {
            let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
            // Other schemes have lists of hosts with ports, such as that of MongoDB.
            let colon = if web { host.find(':') } else { host.rfind(':') };
            colon.map_or("", |colon| &host[colon..])
        }
    };
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit())) {
        return Err("invalid port after host");
    }
    let may_stand =
        |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-_.~!$&'()*+,;=:[]<>\"%".contains(&byte);
    // Of ASCII, only the percent sign itself may be escaped.
    let may_be_escaped = |piece: &str| piece.starts_with("25") || !piece.starts_with(|c: char| ('0'..'8').contains(&c));
    if !host.bytes().all(may_stand) || !host.split('%').skip(1).all(may_be_escaped) {
        return Err("invalid character in host name");
    }
    Ok(percent_decode_str(host).decode_utf8_lossy().into_owned())
}

/// What follows an address of IPv6 in brackets, which may have a zone.
fn port_after_address(host: &str) -> Result<&str, &'static str> {
    let (address, port) = host[1..].rsplit_once(']').ok_or("missing ']' in host")?;
    let (address, zone) = address.split_once("%25").unwrap_or((address, "any"));
    if zone.is_empty() || address.parse::<Ipv6Addr>().is_err() {
        return Err("invalid IP-literal");
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_path_are_told_apart() {
        let address = RequestUri::parse("https://u:p@h:9443/a%20b/c?d=e:f").unwrap();
        assert_eq!((address.host.as_str(), address.path.as_str(), address.raw_path), ("h:9443", "/a b/c", None));
        assert_eq!(RequestUri::parse("http://h/a=\"b\"").unwrap().raw_path.as_deref(), Some("/a=\"b\""));
        assert_eq!(RequestUri::parse("http://[fe80::1%25en0]:80").unwrap().host, "[fe80::1%en0]:80");
        assert_eq!(path("//h/a").as_deref(), Some("//h/a"), "a host needs a scheme");
        assert_eq!(path("arn:aws:sqs:r:1:q").as_deref(), Some(""));
    }

    #[test]
    fn a_host_with_a_port_and_no_scheme_passes_for_a_scheme() {
        assert_eq!(RequestUri::parse("localhost:8080/x"), Ok(RequestUri::default()));
        for wrong in ["", "host", "1.5", "127.0.0.1:80/x", ":80", "http://h:x/", "http://h/%zz", "http://a b/", "h\n:"]
        {
            assert!(RequestUri::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_in_brackets() {
        for wrong in ["a:1:2", "{h}", "[x]", "a[::1]", "u\"@h", "a%41", "[1.2.3.4]", "[::1"] {
            assert!(RequestUri::parse(&format!("http://{wrong}/")).is_err(), "{wrong}");
        }
        for fine in ["", "h:", "ü.example", "%C3%BC", "[::ffff:1.2.3.4]", "u:p@ss@h"] {
            assert!(RequestUri::parse(&format!("http://{fine}/")).is_ok(), "{fine}");
        }
        assert!(RequestUri::parse("mongodb://a:1,b:2/").is_ok());
    }
}
