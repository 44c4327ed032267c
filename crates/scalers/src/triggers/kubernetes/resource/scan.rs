//! Numbers at the start of a text, as Go's `fmt.Sscanf` takes them: blanks before them are skipped, and what follows
//! them does not matter.

/// As `%d`: the longest run of digits.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    let mut scan = Scan::begin(text)?;
    scan.one_of("+-");
    if !scan.one_of("0123456789_") {
        return Err("expected integer".to_string());
    }
    scan.all_of("0123456789_");
    let token = scan.token();
    token.parse().map_err(|_| format!("{token:?} is not an integer of 64 bits"))
}

/// As `%f`: decimal, hexadecimal, infinite or not a number.
pub(super) fn float(text: &str) -> Result<f64, String> {
    let mut scan = Scan::begin(text)?;
    if scan.one_of("nN") && scan.one_of("aA") && scan.one_of("nN") {
        return Ok(f64::NAN);
    }
    let is_negative = scan.rest().starts_with('-');
    scan.one_of("+-");
    if scan.one_of("iI") && scan.one_of("nN") && scan.one_of("fF") {
        return Ok(if is_negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let is_hexadecimal = scan.one_of("0") && scan.one_of("xX");
    let (digits, exponent) = if is_hexadecimal { ("0123456789abcdefABCDEF_", "pP") } else { ("0123456789_", "eEpP") };
    scan.all_of(digits);
    if scan.one_of(".") {
        scan.all_of(digits);
    }
    if scan.one_of(exponent) {
        scan.one_of("+-");
        scan.all_of("0123456789_");
    }
    let token = scan.token();
    let number = if is_hexadecimal { hexadecimal(token) } else { decimal(token) };
    number.filter(|number| number.is_finite()).ok_or_else(|| format!("{token:?} is not a number"))
}

/// A place in a text.
struct Scan<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> Scan<'t> {
    fn begin(text: &'t str) -> Result<Self, String> {
        let text = text.trim_start_matches(|c: char| c != '\n' && c.is_whitespace());
        match text.chars().next() {
            None => Err("there is nothing in it".to_string()),
            Some('\n') => Err("unexpected newline".to_string()),
            Some(_) => Ok(Scan { text, position: 0 }),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// Steps over one of these characters, if one comes.
    fn one_of(&mut self, characters: &str) -> bool {
        let comes = self.rest().starts_with(|c| characters.contains(c));
        self.position += usize::from(comes);
        comes
    }

    fn all_of(&mut self, characters: &str) {
        while self.one_of(characters) {}
    }

    /// What was stepped over.
    fn token(&self) -> &'t str {
        self.text.get(..self.position).unwrap_or_default()
    }
}

/// A decimal number; `p` stands before a power of two.
fn decimal(token: &str) -> Option<f64> {
    let token = without_underscores(token)?;
    match token.split_once(['p', 'P']) {
        Some((mantissa, power)) => Some(mantissa.parse::<f64>().ok()? * 2f64.powi(power.parse().ok()?)),
        None => token.parse().ok(),
    }
}

/// A hexadecimal number, which needs its power of two.
fn hexadecimal(token: &str) -> Option<f64> {
    let token = without_underscores(token)?.to_ascii_lowercase();
    let (sign, digits) = match token.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, token.strip_prefix('+').unwrap_or(&token)),
    };
    let (mantissa, power) = digits.strip_prefix("0x")?.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = whole.chars().chain(fraction.chars());
    let number = digits.filter_map(|digit| digit.to_digit(16)).fold(0.0, |sum, digit| sum * 16.0 + f64::from(digit));
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(sign * number * 2f64.powi(power.parse::<i32>().ok()?.checked_sub(places)?))
}

/// Underscores may stand between digits, and after `0x`.
fn without_underscores(token: &str) -> Option<String> {
    let bytes = token.as_bytes();
    let is_digit = |position: Option<usize>| {
        position
            .and_then(|position| bytes.get(position))
            .is_some_and(|byte| byte.is_ascii_hexdigit() || *byte | 32 == b'x')
    };
    let between = |position: usize| is_digit(position.checked_sub(1)) && is_digit(position.checked_add(1));
    let good = token.match_indices('_').all(|(position, _)| between(position));
    good.then(|| token.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_ends_where_something_else_begins() {
        for (text, value) in [
            ("42\n", 42.0),
            ("12abc", 12.0),
            ("1k", 1.0),
            ("  7", 7.0),
            ("\t-2.5e1x", -25.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x1p4", 16.0),
            ("0x.8p1", 1.0),
            ("1p3", 8.0),
            ("1_000", 1000.0),
            ("1.2.3", 1.2),
            ("+3 4", 3.0),
        ] {
            assert_eq!(float(text), Ok(value), "{text:?}");
        }
        assert!(float("NaN").unwrap().is_nan());
        assert_eq!((float("-Inf"), float("infinity")), (Ok(f64::NEG_INFINITY), Ok(f64::INFINITY)));
        for (text, value) in [("12.7", 12), ("-5 apples", -5), (" 8\n", 8)] {
            assert_eq!(integer(text), Ok(value), "{text:?}");
        }
    }

    #[test]
    fn what_does_not_begin_with_one_is_none() {
        for text in ["", "  ", "\n5", "abc", "1e", "1e999", "0x10", "_1", "1__0", "-", "x1", "é"] {
            assert!(float(text).is_err(), "{text:?}");
        }
        for text in ["", "\n5", "abc", "1_000", "+", "9223372036854775808", "é"] {
            assert!(integer(text).is_err(), "{text:?}");
        }
    }
}
