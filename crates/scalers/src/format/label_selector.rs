//! Whether a label selector is one that Kubernetes takes. Which objects it takes, the cluster knows.

/// Characters that are words by themselves or with `=`.
const SPECIAL: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];
/// The longest name and value, and the longest prefix of a key.
const NAME: usize = 63;
const PREFIX: usize = 253;

/// Checks a selector.
///
/// # Errors
/// What is wrong with it.
pub fn check(selector: &str) -> Result<(), String> {
    let words = words(selector);
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        rest = requirement(rest)?;
        match rest {
            [] => return Ok(()),
            [",", after @ ..] if !after.is_empty() && (after[0] == "!" || is_text(after[0])) => rest = after,
            [",", ..] => return Err("an identifier is expected after ','".to_string()),
            [word, ..] => return Err(format!("found {word:?}, expected ',' or the end")),
        }
    }
    Ok(())
}

fn words(selector: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = selector.trim_start_matches(is_blank);
    while let Some(first) = rest.chars().next() {
        let length = if SPECIAL.contains(&first) {
            ["==", "!="].iter().find(|word| rest.starts_with(**word)).map_or(1, |word| word.len())
        } else {
            rest.find(|next: char| SPECIAL.contains(&next) || is_blank(next)).unwrap_or(rest.len())
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start_matches(is_blank);
    }
    words
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_text(word: &str) -> bool {
    !word.starts_with(SPECIAL)
}

/// One requirement at the start of `words`; what follows it.
fn requirement<'a, 'w>(words: &'w [&'a str]) -> Result<&'w [&'a str], String> {
    let (denied, words) = match words {
        ["!", rest @ ..] => (true, rest),
        _ => (false, words),
    };
    let [key, rest @ ..] = words else { return Err("an identifier is expected after '!'".to_string()) };
    if !is_text(key) {
        return Err(format!("found {key:?}, expected an identifier"));
    }
    check_key(key)?;
    match rest {
        _ if denied => Ok(rest),
        [] | [",", ..] => Ok(rest),
        ["in" | "notin", "(", rest @ ..] => set(rest),
        ["in" | "notin", ..] => Err("'(' is expected".to_string()),
        [operator @ ("=" | "==" | "!=" | ">" | "<"), rest @ ..] => {
            let (value, rest) = match rest {
                [] | [",", ..] => ("", rest),
                [value, rest @ ..] if is_text(value) => (*value, rest),
                [other, ..] => return Err(format!("found {other:?}, expected a value")),
            };
            if matches!(*operator, ">" | "<") && value.parse::<i64>().is_err() {
                return Err(format!("{value:?} must be an integer after '{operator}'"));
            }
            check_value(value)?;
            Ok(rest)
        }
        [other, ..] => Err(format!("found {other:?}, expected an operator")),
    }
}

/// The values of a set after its `(`; what follows it. Nothing between commas is the empty value.
fn set<'a, 'w>(mut words: &'w [&'a str]) -> Result<&'w [&'a str], String> {
    if let [")", ..] = words {
        return Err("the set of values cannot be empty".to_string());
    }
    loop {
        match words {
            [",", rest @ ..] => words = rest,
            [")", rest @ ..] => return Ok(rest),
            [value, rest @ ..] if is_text(value) => {
                check_value(value)?;
                if !matches!(rest, ["," | ")", ..]) {
                    return Err("',' or ')' is expected".to_string());
                }
                words = rest;
            }
            [other, ..] => return Err(format!("found {other:?}, expected a value")),
            [] => return Err("')' is expected".to_string()),
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_domain = |prefix: &str| {
        let is_label =
            |label: &str| is_framed(label, |c| c == '-') && !label.bytes().any(|byte| byte.is_ascii_uppercase());
        prefix.len() <= PREFIX && prefix.split('.').all(is_label)
    };
    let is_name = name.len() <= NAME && is_framed(name, |c| matches!(c, '-' | '_' | '.'));
    if is_name && prefix.is_none_or(is_domain) { Ok(()) } else { Err(format!("{key:?} cannot be the key of a label")) }
}

fn check_value(value: &str) -> Result<(), String> {
    let is_value = value.is_empty() || is_framed(value, |c| matches!(c, '-' | '_' | '.'));
    if is_value && value.len() <= NAME { Ok(()) } else { Err(format!("{value:?} cannot be the value of a label")) }
}

/// Letters and digits, and between the first and the last also what `inside` allows.
fn is_framed(text: &str, inside: impl Fn(char) -> bool) -> bool {
    let ends =
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    ends && text.chars().all(|c| c.is_ascii_alphanumeric() || inside(c))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_kubernetes_takes_is_taken() {
        for good in [
            "a",
            "!a",
            "a=b",
            "a==b",
            "a != b",
            "a=",
            "a=,b",
            "a in (b)",
            "a in (b, c),!d",
            "a notin (,)",
            "a in (b,)",
            "x/y=z",
            "a.b/c_d.e in (F)",
            "a>5",
            "a < 5",
            "",
            "in in (in)",
            "! a , b",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "app in (",
            "a in ()",
            "a in b",
            "a=b c",
            "=b",
            "a=b,",
            ",a",
            "a,,b",
            "!",
            "!a=b",
            "a=(b)",
            "a>b",
            "a>",
            "-a",
            "a < -5",
            "a=-b",
            "A.B/c",
            "/a",
            "a/b/c",
            "a ! b",
            "a in (b c)",
            "a in (b",
            "a=é",
            "a b",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&"a".repeat(64)).is_err() && check(&format!("a={}", "b".repeat(64))).is_err());
    }
}
