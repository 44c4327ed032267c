//! The Prometheus text format, as far as one sample of it is wanted (`scalers/metrics-api.md`).
//!
//! The crates for it know no selectors, and have not been kept.

/// Which sample is wanted: `name{label="value",…}`, or `{__name__="name",…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

impl Selector {
    /// Reads a selector. As in KEDA the operator is ignored: `!=` and `=~` compare for equality.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, labels) = match text.split_once('{') {
            Some((name, rest)) => {
                let inner = rest.trim_end().strip_suffix('}').ok_or("the selector's { is not closed")?;
                (name.trim(), parse_labels(inner)?)
            }
            None => (text, Vec::new()),
        };
        let mut labels = labels;
        let name = if name.is_empty() {
            let position = labels.iter().position(|(label, _)| label == "__name__");
            labels.remove(position.ok_or("the selector names no metric")?).1
        } else {
            name.to_string()
        };
        if !is_name(&name) {
            return Err(format!("{name:?} is not the name of a metric"));
        }
        Ok(Selector { name, labels })
    }

    /// The value of the first sample that has the wanted labels.
    ///
    /// # Errors
    /// That there is none, or which line cannot be read.
    pub fn find(&self, body: &str) -> Result<f64, String> {
        let mut known = false;
        for line in body.lines().map(|line| line.trim_end_matches('\r').trim()) {
            if let Some(comment) = line.strip_prefix('#') {
                let words: Vec<&str> = comment.split_whitespace().collect();
                let ["TYPE", name, kind] = words.as_slice() else { continue };
                if *name == self.name {
                    known = true;
                    if matches!(*kind, "histogram" | "summary") {
                        return Err(format!("value for metric '{}' not found: it is a {kind}", self.name));
                    }
                } else if is_part(&self.name, name, kind) {
                    return Err(format!("metric '{}' not found: it is a part of the {kind} {name}", self.name));
                }
                continue;
            }
            if line.is_empty() {
                continue;
            }
            let (name, labels, rest) = split_sample(line).map_err(|error| format!("{error} in line {line:?}"))?;
            if name != self.name {
                continue;
            }
            known = true;
            if self.labels.iter().all(|wanted| labels.contains(wanted)) {
                let value = rest.split_whitespace().next().unwrap_or_default();
                return value.parse().map_err(|_| format!("{value:?} is not a number in line {line:?}"));
            }
        }
        if known {
            Err(format!("value for metric '{}' with these labels not found", self.name))
        } else {
            Err(format!("metric '{}' not found", self.name))
        }
    }
}

/// Whether samples of this name belong to a histogram or summary.
fn is_part(sample: &str, family: &str, kind: &str) -> bool {
    let parts: &[&str] = match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["_sum", "_count"],
        _ => &[],
    };
    sample.strip_prefix(family).is_some_and(|part| parts.contains(&part))
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || first == ':')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

type Labels = Vec<(String, String)>;

/// A line's name, labels, and the rest with its value.
fn split_sample(line: &str) -> Result<(&str, Labels, &str), String> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace()).ok_or("there is no value")?;
    let (name, rest) = line.split_at(end);
    let Some(inner) = rest.strip_prefix('{') else { return Ok((name, Vec::new(), rest)) };
    let close = closing_brace(inner).ok_or("the labels are not closed")?;
    let labels = parse_labels(inner.get(..close).unwrap_or_default())?;
    Ok((name, labels, inner.get(close + 1..).unwrap_or_default()))
}

fn closing_brace(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(position),
            _ => {}
        }
    }
    None
}

/// `label="value"` pairs.
fn parse_labels(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut labels = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', '!']).ok_or_else(|| format!("expected label=\"value\", found {rest:?}"))?;
        let (name, after) = rest.split_at(end);
        let after = after.trim_start_matches(['=', '!', '~']).trim_start();
        let (value, after) = quoted(after)?;
        labels.push((name.trim().to_string(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(format!("expected a comma, found {rest:?}")),
        };
    }
    Ok(labels)
}

/// A quoted text with its escapes resolved, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let quote = quote.ok_or_else(|| format!("expected a quoted value, found {text:?}"))?;
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((value, text.get(position + 1..).unwrap_or_default())),
            '\\' if quote != '`' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            _ => value.push(character),
        }
    }
    Err("a quoted value is not closed".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "# HELP q jobs\r\n# TYPE q gauge\r\nq{a=\"1\"} 0\r\nq{a=\"2\",b=\"x}y\"} 2 1700000000\nup 1\n# TYPE h histogram\nh_sum 3";

    fn find(selector: &str) -> Result<f64, String> {
        Selector::parse(selector)?.find(BODY)
    }

    #[test]
    fn the_first_sample_with_the_labels_is_taken() {
        assert_eq!(find("q"), Ok(0.0));
        assert_eq!(find("q{a=\"2\"}"), Ok(2.0));
        assert_eq!(find("{__name__=\"q\", b='x}y'}"), Ok(2.0));
        assert_eq!(find("q{a!=\"2\"}"), Ok(2.0), "the operator is ignored, as in KEDA");
        assert_eq!(find("up"), Ok(1.0));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(find("nosuch").unwrap_err().contains("metric 'nosuch' not found"));
        assert!(find("q{a=\"3\"}").is_err());
        assert!(find("h").unwrap_err().contains("histogram"));
        assert!(find("h_sum").unwrap_err().contains("a part of the histogram h"));
        for selector in ["", "{a=\"1\"}", "q{a=1}", "q{a=\"1\"", "1q"] {
            assert!(Selector::parse(selector).is_err(), "{selector}");
        }
    }
}
