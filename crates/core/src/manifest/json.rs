//! Reads JSON, one value after another, into the same tree as YAML.
//!
//! The YAML scanner reads JSON too, but ten times slower, and not two values in a row.

use super::node::{Entry, Node, Span, Value};
use super::scalar;
use super::syntax::SyntaxError;
use super::yaml::MAX_DEPTH;

/// Reads all the values of a text from byte `start` on; on an error nothing is added to `documents`.
pub(super) fn read(text: &str, start: usize, documents: &mut Vec<Node>) -> Result<(), SyntaxError> {
    let mut reader = Reader { text, at: start, depth: 0 };
    let mut found = Vec::new();
    while reader.skip_blanks() {
        found.push(reader.value()?);
    }
    documents.extend(found);
    Ok(())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves to the next visible character; false at the end of the text.
    fn skip_blanks(&mut self) -> bool {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek().is_some()
    }

    fn value(&mut self) -> Result<Node, SyntaxError> {
        self.skip_blanks();
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::mapping)?,
            Some(b'[') => self.nested(Self::sequence)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err(SyntaxError::at(start, "this is not a JSON value")),
            None => return Err(SyntaxError::at(start, "the JSON text ends too early: a value is missing")),
        };
        Ok(Node { value, span: Span { start, end: self.at } })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, SyntaxError>) -> Result<Value, SyntaxError> {
        if self.depth >= MAX_DEPTH {
            let message = format!("the values are nested more than {MAX_DEPTH} levels deep");
            return Err(SyntaxError::at(self.at, message));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn mapping(&mut self) -> Result<Value, SyntaxError> {
        let mut entries = Vec::new();
        while self.another(b'}', entries.is_empty())? {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(SyntaxError::at(start, "a key in double quotes is expected here"));
            }
            let key = self.string()?;
            let key_span = Span { start, end: self.at };
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(SyntaxError::at(self.at, "a ':' is expected after the key"));
            }
            self.at += 1;
            entries.push(Entry { key, key_span, value: self.value()? });
        }
        Ok(Value::Mapping(entries))
    }

    fn sequence(&mut self) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        while self.another(b']', items.is_empty())? {
            items.push(self.value()?);
        }
        Ok(Value::Sequence(items))
    }

    /// Steps over the comma before another element, or over the closing bracket.
    fn another(&mut self, close: u8, first: bool) -> Result<bool, SyntaxError> {
        self.skip_blanks();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !first => self.at += 1,
            _ if first => return Ok(true),
            Some(_) => {
                return Err(SyntaxError::at(self.at, format!("a ',' or '{}' is expected here", char::from(close))));
            }
            None => {
                return Err(SyntaxError::at(self.at, format!("the JSON text ends before a '{}'", char::from(close))));
            }
        }
        self.skip_blanks();
        Ok(true)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, SyntaxError> {
        if !self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return Err(SyntaxError::at(self.at, "this is not a JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if let Ok(value) = text.parse::<i64>() {
            return Ok(Value::Integer(value));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(scalar::whole(number).map_or(Value::Float(number), Value::Integer)),
            _ => Err(SyntaxError::at(start, format!("{text} is not a number"))),
        }
    }

    /// A string, with the reader at its opening quotation mark.
    fn string(&mut self) -> Result<String, SyntaxError> {
        let open = self.at;
        self.at += 1;
        let mut content = self.at;
        let mut text = String::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    text.push_str(self.text.get(content..self.at).unwrap_or_default());
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(self.text.get(content..self.at).unwrap_or_default());
                    text.push(self.escape()?);
                    content = self.at;
                }
                Some(byte) if byte < 0x20 => {
                    return Err(SyntaxError::at(self.at, "a line break or tab inside a JSON string"));
                }
                Some(_) => self.at += 1,
                None => return Err(SyntaxError::at(open, "a quotation mark is opened here and never closed")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.at;
        self.at += 2;
        match self.text.as_bytes().get(start + 1) {
            Some(b'"') => Ok('"'),
            Some(b'\\') => Ok('\\'),
            Some(b'/') => Ok('/'),
            Some(b'b') => Ok('\u{8}'),
            Some(b'f') => Ok('\u{c}'),
            Some(b'n') => Ok('\n'),
            Some(b'r') => Ok('\r'),
            Some(b't') => Ok('\t'),
            Some(b'u') => self.unicode(start),
            _ => Err(SyntaxError::at(start, "this escape sequence is not known in JSON")),
        }
    }

    /// `\uXXXX`, or two of them for a character beyond the basic plane; a lone half becomes U+FFFD, as in Go.
    fn unicode(&mut self, start: usize) -> Result<char, SyntaxError> {
        let high = self.hex().ok_or_else(|| SyntaxError::at(start, "\\u needs four hexadecimal digits"))?;
        if !(0xd800..0xdc00).contains(&high) || self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let resume = self.at;
        self.at += 2;
        match self.hex() {
            Some(low) if (0xdc00..0xe000).contains(&low) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => {
                self.at = resume;
                Ok(char::REPLACEMENT_CHARACTER)
            }
        }
    }

    fn hex(&mut self) -> Option<u32> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
