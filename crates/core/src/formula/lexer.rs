//! Splits a formula into tokens.

/// A token and the byte at which it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Integer(i64),
    Float(f64),
    Text(String),
    /// A name or a word of the language.
    Word(String),
    /// `#`, `#acc`, `#index`.
    Pointer(String),
    Operator(&'static str),
    End,
}

const OPERATORS: &[&str] = &[
    "**", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "..", "+", "-", "*", "/", "%", "^", "<", ">", "!", "?", ":",
    ".", ",", ";", "|", "(", ")", "[", "]", "{", "}", "=",
];

/// All tokens, ending with [`Kind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let (kind, length) = if rest.starts_with(char::is_whitespace) {
            (None, rest.len() - rest.trim_start().len())
        } else if rest.starts_with("/*") {
            (None, rest.find("*/").ok_or_else(|| format!("unclosed comment at {}", at + 1))? + 2)
        } else if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else {
            let (kind, length) = token(rest).map_err(|error| format!("{error} at {}", at + 1))?;
            (Some(kind), length)
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, at });
        }
        at += length;
    }
    tokens.push(Token { kind: Kind::End, at });
    Ok(tokens)
}

fn token(rest: &str) -> Result<(Kind, usize), String> {
    let first = rest.chars().next().unwrap_or_default();
    let word_length =
        |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(text.len());
    if first.is_ascii_digit() || (first == '.' && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)) {
        return number(rest);
    }
    if first.is_alphabetic() || first == '_' || first == '$' {
        let length = word_length(rest);
        return Ok((Kind::Word(rest.get(..length).unwrap_or_default().to_string()), length));
    }
    if let Some(after) = rest.strip_prefix('#') {
        let length = word_length(after);
        return Ok((Kind::Pointer(after.get(..length).unwrap_or_default().to_string()), length + 1));
    }
    if matches!(first, '"' | '\'' | '`') {
        return text(rest, first);
    }
    match OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
        Some(operator) => Ok((Kind::Operator(operator), operator.len())),
        None => Err(format!("unrecognized character {first:?}")),
    }
}

fn number(rest: &str) -> Result<(Kind, usize), String> {
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = rest.strip_prefix(prefix) {
            let length = digits.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(digits.len());
            let digits = digits.get(..length).unwrap_or_default().replace('_', "");
            let number = i64::from_str_radix(&digits, radix).map_err(|_| "bad number syntax".to_string())?;
            return Ok((Kind::Integer(number), length + 2));
        }
    }
    let bytes = rest.as_bytes();
    let mut length = 0;
    let mut float = false;
    while let Some(&byte) = bytes.get(length) {
        match byte {
            b'0'..=b'9' | b'_' => length += 1,
            // `1..5` is a range.
            b'.' if !float && bytes.get(length + 1) != Some(&b'.') => {
                float = true;
                length += 1;
            }
            b'e' | b'E' => {
                float = true;
                length += if matches!(bytes.get(length + 1), Some(b'+' | b'-')) { 2 } else { 1 };
            }
            _ => break,
        }
    }
    if bytes.get(length).is_some_and(u8::is_ascii_alphabetic) {
        return Err("bad number syntax".to_string());
    }
    let digits = rest.get(..length).unwrap_or_default().replace('_', "");
    let kind = if float { digits.parse().ok().map(Kind::Float) } else { digits.parse().ok().map(Kind::Integer) };
    kind.map(|kind| (kind, length)).ok_or_else(|| format!("bad number syntax {digits:?}"))
}

fn text(rest: &str, quote: char) -> Result<(Kind, usize), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Kind::Text(text), position + 1)),
            '\\' if quote != '`' => {
                let (_, escaped) = characters.next().ok_or("unclosed text")?;
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '\\' | '"' | '\'' => escaped,
                    _ => return Err(format!("unknown escape \\{escaped}")),
                });
            }
            _ => text.push(character),
        }
    }
    Err("unclosed text".to_string())
}
