//! Label selectors, as far as this API goes: only `key=value` says something here, everything else is refused with the
//! words that Kubernetes has for it.

use super::status::Status;

/// The label that says which ScaledObject a metric belongs to.
pub(super) const NAME_LABEL: &str = "scaledobject.keda.sh/name";

/// The terms of a selector that consists of equalities, sorted by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<(String, String)>);

impl Selector {
    /// Reads a text such as `scaledobject.keda.sh/name=shop,tier=web`.
    ///
    /// A text that is no selector is a bad request; one that asks for anything but equality is an error without a reason,
    /// as KEDA answers it.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        let mut terms = split_terms(text)?.into_iter().map(Term::parse).collect::<Result<Vec<_>, _>>()?;
        terms.sort_by(|one, other| one.key.cmp(other.key));
        let equality = |term: Term<'_>| match term.operator {
            Operator::Equals(value) => Ok((term.key.to_owned(), value.to_owned())),
            Operator::Other(written) => Err(Status::unknown(format!("invalid selector: [{written}]"))),
        };
        terms.into_iter().map(equality).collect::<Result<_, _>>().map(Selector)
    }

    /// The value that a key must have. Of two terms with the same key the last one counts.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

struct Term<'a> {
    key: &'a str,
    operator: Operator<'a>,
}

enum Operator<'a> {
    Equals(&'a str),
    /// The term as it was written.
    Other(&'a str),
}

impl<'a> Term<'a> {
    fn parse(text: &'a str) -> Result<Self, Status> {
        let text = text.trim();
        let other = |key: &'a str| -> Result<Self, Status> {
            check_key(key)?;
            Ok(Term { key, operator: Operator::Other(text) })
        };
        if let Some(key) = text.strip_prefix('!') {
            return other(key.trim());
        }
        let end = text.find(['=', '!', '<', '>', ' ', '\t', '(']).unwrap_or(text.len());
        let (key, rest) = (&text[..end], text[end..].trim_start());
        if rest.is_empty() {
            return other(key);
        }
        if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
            let value = value.trim();
            check_key(key)?;
            check_value(key, value)?;
            return Ok(Term { key, operator: Operator::Equals(value) });
        }
        let words = rest.split(['(', ' ', '\t']).next().unwrap_or_default();
        let is_set = matches!(words, "in" | "notin") && rest.contains('(') && rest.ends_with(')');
        if is_set || rest.starts_with("!=") || rest.starts_with(['<', '>']) {
            return other(key);
        }
        Err(unparsable(&format!("found '{rest}', expected: in, notin, =, ==, !=, gt, lt")))
    }
}

/// Commas part terms, but not within parentheses.
fn split_terms(text: &str) -> Result<Vec<&str>, Status> {
    let (mut terms, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    if text.trim().is_empty() {
        return Ok(terms);
    }
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Err(unparsable("found ')', expected: ',' or 'end of string'")),
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(unparsable("found '', expected: ',' or ')'"));
    }
    terms.push(&text[start..]);
    Ok(terms)
}

fn unparsable(what: &str) -> Status {
    Status::bad_request(format!("unable to parse requirement: {what}"))
}

/// `[prefix/]name` with a DNS name before the slash and a label's characters after it.
fn check_key(key: &str) -> Result<(), Status> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        return Err(unparsable(&format!(
            "<nil>: Invalid value: {key:?}: prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
             characters, '-' or '.', and must start and end with an alphanumeric character"
        )));
    }
    if name.is_empty() || !is_label(name) {
        return Err(unparsable(&format!(
            "<nil>: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character, and be no more than 63 characters"
        )));
    }
    Ok(())
}

fn check_value(key: &str, value: &str) -> Result<(), Status> {
    if is_label(value) {
        return Ok(());
    }
    Err(unparsable(&format!(
        "values[0][{key}]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, \
         '-', '_' or '.', and must start and end with an alphanumeric character, and be no more than 63 characters"
    )))
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = [bytes.first(), bytes.last()].into_iter().flatten().all(u8::is_ascii_alphanumeric);
    bytes.len() <= 63 && bytes.iter().all(inner) && ends
}

fn is_subdomain(text: &str) -> bool {
    let label = |part: &str| {
        let bytes = part.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        !bytes.is_empty() && bytes.iter().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Selector, (u64, String)> {
        Selector::parse(text).map_err(|status| {
            let status = serde_json::to_value(&status).unwrap();
            (status["code"].as_u64().unwrap(), status["message"].as_str().unwrap().to_owned())
        })
    }

    #[test]
    fn equalities_are_read() {
        let selector = parsed("tier = web,scaledobject.keda.sh/name==shop").unwrap();
        assert_eq!(
            (selector.value(NAME_LABEL), selector.value("tier"), selector.value("x")),
            (Some("shop"), Some("web"), None)
        );
        assert_eq!(parsed(""), Ok(Selector::default()));
        assert_eq!(parsed("empty=").unwrap().value("empty"), Some(""));
    }

    #[test]
    fn other_operators_are_invalid_selectors() {
        for term in ["a in (b,c)", "a notin (b)", "a", "!a", "a!=b", "a>1"] {
            let (code, message) = parsed(&format!("{NAME_LABEL}=shop,{term}")).unwrap_err();
            assert_eq!((code, message), (500, format!("invalid selector: [{term}]")));
        }
    }

    #[test]
    fn what_is_no_selector_is_a_bad_request() {
        for text in ["a=b,", "=b", "a in b", "a in (b", "a)", "a b", "a=b=c", "-a=b", "a=b c", "A_/b=c", "/b=c"] {
            let (code, message) = parsed(text).unwrap_err();
            assert_eq!(code, 400, "{text}: {message}");
            assert!(message.starts_with("unable to parse requirement: "), "{message}");
        }
    }
}
