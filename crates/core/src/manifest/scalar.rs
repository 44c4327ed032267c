//! What a plain scalar means, by the rules of Kubernetes' YAML reader: YAML 1.1 booleans and numbers, dates as text.

use super::node::Value;

/// A number that JSON cannot carry: infinity or not-a-number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotFinite;

/// Resolves an unquoted scalar.
pub(super) fn resolve(text: &str) -> Result<Value, NotFinite> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        ".nan" | ".NaN" | ".NAN" => return Err(NotFinite),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => return Err(NotFinite),
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'.' | b'0'..=b'9' | b'+' | b'-') => Ok(number(text)),
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// An unquoted key as text: `on` is the key `true`, and `0x10` the key `16`, as Kubernetes reads them.
pub(super) fn resolve_key(text: &str) -> String {
    match resolve(text) {
        Ok(Value::Bool(value)) => value.to_string(),
        Ok(Value::Integer(value)) => value.to_string(),
        Ok(Value::Float(value)) => value.to_string(),
        Ok(Value::Null) => "null".to_owned(),
        _ => text.to_owned(),
    }
}

fn number(text: &str) -> Value {
    let plain = text.replace('_', "");
    let float = || plain.parse::<f64>().ok().filter(|_| is_decimal(&plain)).and_then(finite);
    integer(&plain).or_else(float).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Decimal, `0x`, `0o`, `0b` and C-style octal (`0777`) integers.
fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, plain.get(1..)?),
        b'+' => (false, plain.get(1..)?),
        _ => (false, plain),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..)?),
        Some("0o" | "0O") => (8, digits.get(2..)?),
        Some("0b" | "0B") => (2, digits.get(2..)?),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    match i64::try_from(value) {
        Ok(value) => Some(Value::Integer(value)),
        Err(_) if negative => None,
        Err(_) => plain.parse::<f64>().ok().map(Value::Float),
    }
}

/// Whether the text is a decimal number such as `-1.5e+3`: no `inf`, no hexadecimal floats.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}

/// A float without a fraction travels through JSON as a whole number; none when it is too large.
fn finite(number: f64) -> Option<Value> {
    number.is_finite().then(|| whole(number).map_or(Value::Float(number), Value::Integer))
}

/// The integer that a float holds exactly, as far as floats count every integer.
pub(super) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then(|| format!("{number:.0}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_1_1_words_are_booleans_and_nulls() {
        assert_eq!(resolve("yes"), Ok(Value::Bool(true)));
        assert_eq!(resolve("Off"), Ok(Value::Bool(false)));
        assert_eq!(resolve("~"), Ok(Value::Null));
        assert_eq!(resolve("yEs"), Ok(Value::String("yEs".into())));
        assert_eq!(resolve(".inf"), Err(NotFinite));
    }

    #[test]
    fn numbers_come_in_every_base() {
        for (text, value) in [
            ("0777", 511),
            ("0o17", 15),
            ("0xFF", 255),
            ("0b101", 5),
            ("1_000", 1000),
            ("+5", 5),
            ("-0x10", -16),
            ("5.0", 5),
        ] {
            assert_eq!(resolve(text), Ok(Value::Integer(value)), "{text}");
        }
        assert_eq!(resolve("1.5"), Ok(Value::Float(1.5)));
        assert_eq!(resolve("1e3"), Ok(Value::Integer(1000)));
        assert_eq!(resolve(".5"), Ok(Value::Float(0.5)));
        assert_eq!(resolve("0x1p3"), Ok(Value::String("0x1p3".into())));
        assert_eq!(resolve("08"), Ok(Value::Integer(8)));
        assert_eq!(resolve("18446744073709551615"), Ok(Value::Float(18_446_744_073_709_551_615.0)));
    }

    #[test]
    fn dates_and_versions_stay_text() {
        for text in ["2024-01-02", "1.2.3", "1Gi", "-", "+", "5m", "0x", "12:30:45", "1e", "e5", "1e400"] {
            assert_eq!(resolve(text), Ok(Value::String(text.into())), "{text}");
        }
    }
}
