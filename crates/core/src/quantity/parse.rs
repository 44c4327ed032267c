//! Reading a [`Quantity`]: the grammar of Kubernetes, as lenient as it is, and its short and long ways, which differ in
//! what they round and in which texts they keep.

use std::str::FromStr;

use super::{BINARY_SUFFIXES, DECIMAL_SUFFIXES, Format, NANO, Quantity, QuantityError};

/// Decimal digits that always fit an `i64`; longer numbers take the slow path in Kubernetes.
const SHORT_DIGITS: usize = 18;
/// Decimal digits that always fit an `i128`, alone and after multiplication by 2^60.
const DECIMAL_DIGITS: usize = 38;
const BINARY_DIGITS: usize = 19;

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let parts = Parts::split(text)?;
        match Suffix::read(parts.suffix)? {
            Suffix::Decimal(power, format) => parts.decimal(text, power, format),
            Suffix::Binary(thousands) => parts.binary(text, thousands),
        }
    }
}

/// A text cut into the pieces of the grammar.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point without leading zeros; `0` if none are left.
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
    has_digits: bool,
}

impl<'a> Parts<'a> {
    /// As lenient as Kubernetes: `.`, `+` and `k` are all 0.
    fn split(text: &'a str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, rest) = split_while(unsigned.trim_start_matches('0'), |c| c.is_ascii_digit());
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split_while(rest, |c| c.is_ascii_digit()),
            None => ("", rest),
        };
        let (_, tail) = split_while(suffix, |c| "eEinumkKMGTP".contains(c));
        let tail = tail.strip_prefix(['+', '-']).unwrap_or(tail);
        if !tail.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        let whole = if whole.is_empty() { "0" } else { whole };
        let has_digits = unsigned.starts_with(|c: char| c.is_ascii_digit()) || !fraction.is_empty();
        Ok(Parts { negative: text.starts_with('-'), whole, fraction, suffix, has_digits })
    }

    fn decimal(&self, text: &str, power: i32, format: Format) -> Result<Quantity, QuantityError> {
        let digits = [self.whole, self.fraction].concat();
        let scale = power.saturating_sub(i32::try_from(self.fraction.len()).unwrap_or(i32::MAX));
        let (mantissa, dropped) = leading_digits(&digits, DECIMAL_DIGITS);
        let mut quantity = Quantity::new(self.signed(mantissa), scale.saturating_add(dropped), format);
        if digits.len() > SHORT_DIGITS || scale < NANO {
            self.need_digits()?;
            quantity.settle_at_nano();
        } else if scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0') {
            // Taken for canonical although it need not be: `5.500`, `+5`.
            quantity.text = Some(text.into());
        }
        Ok(quantity)
    }

    fn binary(&self, text: &str, thousands: u32) -> Result<Quantity, QuantityError> {
        let digits = [self.whole, self.fraction].concat();
        let (number, dropped) = leading_digits(&digits, BINARY_DIGITS);
        let scale = dropped.saturating_sub(i32::try_from(self.fraction.len()).unwrap_or(i32::MAX));
        let mantissa = number.saturating_mul(1_i128 << (10 * thousands));
        let mut quantity = Quantity::new(mantissa, scale, Format::BinarySi);
        let short = self.fraction.is_empty() && digits.len() + 3 * thousands as usize <= 14;
        if short {
            quantity.mantissa = self.signed(mantissa);
            if number & 7 != 0 {
                quantity.text = Some(text.into());
            }
            return Ok(quantity);
        }
        self.need_digits()?;
        quantity.settle_at_nano();
        if quantity > Quantity::from_integer(i64::MAX) {
            quantity = Quantity::new(i128::from(i64::MAX), 0, Format::BinarySi);
        } else if quantity < Quantity::from_integer(1) && !quantity.is_zero() {
            quantity.format = Format::DecimalSi;
        }
        quantity.mantissa = self.signed(quantity.mantissa);
        Ok(quantity)
    }

    /// Kubernetes takes a missing number for 0 only where it takes the short way.
    fn need_digits(&self) -> Result<(), QuantityError> {
        if self.has_digits { Ok(()) } else { Err(QuantityError::Numeric) }
    }

    fn signed(&self, mantissa: i128) -> i128 {
        if self.negative { -mantissa } else { mantissa }
    }
}

enum Suffix {
    Decimal(i32, Format),
    /// A power of 1024.
    Binary(u32),
}

impl Suffix {
    fn read(suffix: &str) -> Result<Self, QuantityError> {
        if let Some((_, power)) = DECIMAL_SUFFIXES.iter().find(|(of, _)| *of == suffix) {
            return Ok(Suffix::Decimal(*power, Format::DecimalSi));
        }
        if let Some(thousands) = (1..).zip(&BINARY_SUFFIXES[1..]).find(|(_, of)| **of == suffix).map(|(n, _)| n) {
            return Ok(Suffix::Binary(thousands));
        }
        let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
        let power = exponent.parse::<i32>().map_err(|_| QuantityError::Suffix)?;
        Ok(Suffix::Decimal(power, Format::DecimalExponent))
    }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// The number that the first `keep` digits make, and how many digits were dropped; rounded up if any was not 0.
fn leading_digits(digits: &str, keep: usize) -> (i128, i32) {
    let digits = digits.trim_start_matches('0');
    let (kept, dropped) = digits.split_at(keep.min(digits.len()));
    let number = kept.parse::<i128>().unwrap_or(0);
    let round_up = dropped.bytes().any(|b| b != b'0');
    (number + i128::from(round_up), i32::try_from(dropped.len()).unwrap_or(i32::MAX))
}
