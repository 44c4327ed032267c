//! How the text of a parameter becomes a value (`scalers/COMMON.md`, "Conversions").

use std::collections::BTreeMap;
use std::time::Duration;

use super::Parameter;
use crate::duration;
use crate::secret::Secret;

/// What a parameter's text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that must not be shown.
    Secret,
    /// `true`, `false` and what Go's `ParseBool` takes besides.
    Boolean,
    /// A JSON integer.
    Integer,
    /// A JSON number.
    Number,
    /// A Go duration, or an integer of milliseconds.
    Duration,
    /// Elements with a separator between them.
    List,
    /// `key=value` pairs with a separator between them.
    Map,
    /// A query string.
    UrlValues,
}

impl Kind {
    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Secret => "secret",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Duration => "duration",
            Kind::List => "list",
            Kind::Map => "map",
            Kind::UrlValues => "query string",
        }
    }
}

/// A type that a parameter can have.
pub trait Value: Default {
    /// What the text holds.
    const KIND: Kind;
    /// Whether the type itself says that the parameter may be absent.
    const OPTIONAL: bool = false;

    /// Reads a text that is not empty and has no blanks around it.
    ///
    /// # Errors
    /// What is wrong with the text, as half a sentence without the text itself.
    fn from_text(text: &str, parameter: &Parameter) -> Result<Self, String>;
}

impl Value for String {
    const KIND: Kind = Kind::Text;

    fn from_text(text: &str, _: &Parameter) -> Result<Self, String> {
        Ok(text.to_string())
    }
}

impl Value for Secret {
    const KIND: Kind = Kind::Secret;

    fn from_text(text: &str, _: &Parameter) -> Result<Self, String> {
        Ok(Secret::new(text))
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Boolean;

    fn from_text(text: &str, _: &Parameter) -> Result<Self, String> {
        parse_bool(text).ok_or_else(|| "expected true or false".to_string())
    }
}

/// What Go's `strconv.ParseBool` accepts.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::Integer;

            fn from_text(text: &str, _: &Parameter) -> Result<Self, String> {
                if !is_json_integer(text) {
                    return Err("expected an integer such as 5".to_string());
                }
                text.parse().map_err(|_| format!("expected an integer from {} to {}", <$type>::MIN, <$type>::MAX))
            }
        }
    )*};
}

integer!(i32, i64);

impl Value for f64 {
    const KIND: Kind = Kind::Number;

    fn from_text(text: &str, _: &Parameter) -> Result<Self, String> {
        let expected = || "expected a number such as 5 or 0.5".to_string();
        if !is_json_number(text) {
            return Err(expected());
        }
        text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(expected)
    }
}

impl Value for Duration {
    const KIND: Kind = Kind::Duration;

    fn from_text(text: &str, _: &Parameter) -> Result<Self, String> {
        match text.parse::<i64>() {
            Ok(milliseconds) => u64::try_from(milliseconds)
                .map(Duration::from_millis)
                .map_err(|_| "a duration cannot be negative".to_string()),
            Err(_) => duration::parse(text)
                .map_err(|_| "expected a duration that is not negative, such as 30s, 1m30s or 500ms".to_string()),
        }
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;

    fn from_text(text: &str, parameter: &Parameter) -> Result<Self, String> {
        if text == "null" && matches!(T::KIND, Kind::Integer | Kind::Number) {
            return Ok(None);
        }
        T::from_text(text, parameter).map(Some)
    }
}

impl Value for Vec<String> {
    const KIND: Kind = Kind::List;

    fn from_text(text: &str, parameter: &Parameter) -> Result<Self, String> {
        Ok(pieces(text, parameter).map(str::to_string).collect())
    }
}

/// Numbers above which a list with ranges is refused: a short text can stand for a great many.
const MAXIMUM_NUMBERS: usize = 100_000;

impl Value for Vec<i64> {
    const KIND: Kind = Kind::List;

    fn from_text(text: &str, parameter: &Parameter) -> Result<Self, String> {
        let mut numbers = Vec::new();
        for piece in pieces(text, parameter) {
            let ends: Vec<&str> = match parameter.range {
                Some(separator) => piece.split(separator).map(str::trim).collect(),
                None => vec![piece],
            };
            match ends.as_slice() {
                [one] => numbers.push(i64::from_text(one, parameter)?),
                [first, last] => {
                    let (first, last) = (i64::from_text(first, parameter)?, i64::from_text(last, parameter)?);
                    let length = usize::try_from(last.saturating_sub(first).max(0)).unwrap_or(usize::MAX);
                    if numbers.len().saturating_add(length) > MAXIMUM_NUMBERS {
                        return Err("the ranges in it hold too many numbers".to_string());
                    }
                    numbers.extend(first..=last);
                }
                _ => return Err("expected numbers, or ranges of two numbers".to_string()),
            }
        }
        Ok(numbers)
    }
}

/// `key=value` pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map(pub BTreeMap<String, String>);

impl Value for Map {
    const KIND: Kind = Kind::Map;

    fn from_text(text: &str, parameter: &Parameter) -> Result<Self, String> {
        let mut map = BTreeMap::new();
        for piece in pieces(text, parameter) {
            let parts: Vec<&str> = piece.split('=').collect();
            let [key, value] = parts.as_slice() else { return Err("expected format key=value".to_string()) };
            map.insert(key.trim().to_string(), value.trim().to_string());
        }
        Ok(Map(map))
    }
}

/// A decoded query string, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct UrlValues(pub Vec<(String, String)>);

impl Value for UrlValues {
    const KIND: Kind = Kind::UrlValues;

    fn from_text(text: &str, _: &Parameter) -> Result<Self, String> {
        let mut pairs = Vec::new();
        for piece in text.split('&').filter(|piece| !piece.is_empty()) {
            if piece.contains(';') {
                return Err("invalid semicolon separator in query".to_string());
            }
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            pairs.push((query_unescape(key)?, query_unescape(value)?));
        }
        Ok(UrlValues(pairs))
    }
}

fn query_unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err("invalid percent escape in query".to_string());
                };
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            _ => bytes.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn pieces<'a>(text: &'a str, parameter: &Parameter) -> impl Iterator<Item = &'a str> {
    text.split(parameter.separator.unwrap_or(",")).map(str::trim)
}

fn is_json_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits == "0"
        || (!digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_json_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(position) => (&text[..position], Some(&text[position + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_json_integer(whole)
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|exponent| all_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Parameter = Parameter {
        names: &["x"],
        sources: &[],
        kind: Kind::Text,
        optional: false,
        default: None,
        one_of: &[],
        exclusive: &[],
        separator: None,
        range: Some("-"),
        deprecated: None,
        announce: None,
        doc: "",
    };

    fn read<T: Value>(text: &str) -> Option<T> {
        T::from_text(text, &PLAIN).ok()
    }

    #[test]
    fn integers_are_json_literals() {
        assert_eq!(read::<i64>("-5"), Some(-5));
        for text in ["+5", "05", "5.0", "1e3", "0x5", "null", "9223372036854775808", ""] {
            assert_eq!(read::<i64>(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_json_literals() {
        assert_eq!(read::<f64>("1e3"), Some(1000.0));
        assert_eq!(read::<f64>("-0.5E-1"), Some(-0.05));
        for text in [".5", "5.", "NaN", "Inf", "+1", "1e", "1e999", "01"] {
            assert_eq!(read::<f64>(text), None, "{text}");
        }
    }

    #[test]
    fn durations_may_be_milliseconds() {
        assert_eq!(read("1500"), Some(Duration::from_millis(1500)));
        assert_eq!(read("1m"), Some(Duration::from_secs(60)));
        assert_eq!(read::<Duration>("-1"), None);
    }

    #[test]
    fn lists_keep_empty_elements_and_expand_ranges() {
        assert_eq!(read::<Vec<String>>("a,, b "), Some(vec!["a".into(), String::new(), "b".into()]));
        assert_eq!(read::<Vec<i64>>("1,3-5,9-8"), Some(vec![1, 3, 4, 5]));
        assert_eq!(read::<Vec<i64>>("1-2-3"), None);
        assert_eq!(read::<Vec<i64>>("0-99999").map(|numbers| numbers.len()), Some(100_000));
        assert_eq!(read::<Vec<i64>>(&["0-60000"; 2].join(",")), None);
    }

    #[test]
    fn maps_take_exactly_one_equals_sign() {
        assert!(read::<Map>("a=b, c = d").is_some_and(|map| map.0["c"] == "d"));
        assert_eq!(read::<Map>("a=b=c"), None);
        assert_eq!(read::<Map>("a"), None);
    }

    #[test]
    fn query_strings_are_decoded() {
        let values = read::<UrlValues>("a=1&b=x%20y+z&a=3").map(|values| values.0);
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        assert_eq!(values, Some(vec![pair("a", "1"), pair("b", "x y z"), pair("a", "3")]));
    }

    #[test]
    fn an_optional_number_may_be_null() {
        assert_eq!(read::<Option<f64>>("null"), Some(None));
    }
}
