//! Numbers as Kubernetes writes them: `1500m`, `1Gi`, `12e6`.
//!
//! A [`Quantity`] is read, kept and printed the way the API server and its clients do it, down to their peculiarities,
//! because users compare what we write with what they know: `5.500` stays `5.500`, `0.500` becomes `500m`, and `1.5Gi`
//! becomes `1536Mi`. Comparison is by value. Three things are mended: integers that overflow saturate, long negative
//! numbers round away from zero as short ones do, and `1000E` does not lose its suffix.

mod parse;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Add;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// How a quantity prints its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`.
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// `e3`, `e-6`.
    DecimalExponent,
}

/// A fixed-point number with at most nine decimal places and a preferred way to print it.
///
/// Equality and order are by value: `1` equals `1000m`.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// The value is `mantissa * 10^scale`.
    mantissa: i128,
    scale: i32,
    format: Format,
    /// The text it was read from, where Kubernetes prints that instead of the canonical form.
    text: Option<Box<str>>,
}

/// Why a text is no quantity; the wording is that of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Characters or an order of them that no quantity has.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// No digits before a suffix that needs them.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// A suffix that is none of the known ones.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The smallest power of ten that a quantity holds.
const NANO: i32 = -9;
const MILLI: i32 = -3;
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Zero.
    pub const ZERO: Quantity = Quantity::new(0, 0, Format::DecimalSi);

    /// A whole number.
    pub const fn from_integer(value: i64) -> Self {
        Quantity::new(value as i128, 0, Format::DecimalSi)
    }

    /// A number of thousandths.
    pub const fn from_milli(value: i64) -> Self {
        Quantity::from_milli_as(value, Format::DecimalSi)
    }

    /// A number of thousandths, printed in the given format.
    pub const fn from_milli_as(value: i64, format: Format) -> Self {
        Quantity::new(value as i128, MILLI, format)
    }

    /// A float as KEDA reports it: three decimals, rounded half to even on the binary value; not a number, infinite
    /// and negative become 0 (reference/scalers/COMMON.md, "metricType and targets").
    pub fn from_float(value: f64) -> Self {
        if !value.is_finite() || value < 0.0 {
            return Quantity::ZERO;
        }
        format!("{value:.3}").parse().unwrap_or(Quantity::ZERO)
    }

    /// The number of thousandths, rounded away from zero; saturates.
    pub fn milli_value(&self) -> i64 {
        self.scaled(MILLI)
    }

    /// The whole number, rounded away from zero; saturates.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The nearest float, computed as Kubernetes does (mantissa times power of ten, so `150m` is `150.0 * 0.001`).
    pub fn to_f64(&self) -> f64 {
        if self.scale == 0 { self.mantissa as f64 } else { self.mantissa as f64 * power_of_ten(self.scale) }
    }

    /// Whether the value is 0.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// How it prefers to be printed.
    pub fn format(&self) -> Format {
        self.format
    }

    const fn new(mantissa: i128, scale: i32, format: Format) -> Self {
        Quantity { mantissa, scale, format, text: None }
    }

    /// The value in units of `10^scale`, rounded away from zero.
    fn scaled(&self, scale: i32) -> i64 {
        let value = rescale(self.mantissa, self.scale, scale);
        let saturated = value.unwrap_or(if self.mantissa < 0 { i128::MIN } else { i128::MAX });
        i64::try_from(saturated).unwrap_or(if saturated < 0 { i64::MIN } else { i64::MAX })
    }

    /// The decimal digits without trailing zeros, and the power of ten that goes with them.
    fn digits(&self) -> (String, i32) {
        let all = self.mantissa.unsigned_abs().to_string();
        let kept = all.trim_end_matches('0');
        let dropped = i32::try_from(all.len() - kept.len()).unwrap_or(0);
        (kept.to_owned(), self.scale.saturating_add(dropped))
    }

    /// The value as a whole number of at least 1024, if it is one.
    fn binary_integer(&self) -> Option<i128> {
        let whole = rescale(self.mantissa, self.scale, 0)?;
        let exact = Quantity::new(whole, 0, Format::BinarySi) == *self;
        (exact && whole.unsigned_abs() >= 1024).then_some(whole)
    }

    fn write_decimal(&self, f: &mut fmt::Formatter<'_>, format: Format) -> fmt::Result {
        let (digits, power) = self.digits();
        let power_shown = match format {
            Format::DecimalExponent => power - power.rem_euclid(3),
            _ => (power - power.rem_euclid(3)).min(18),
        };
        let zeros = usize::try_from(power - power_shown).unwrap_or(0);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        // Not by a width, which must not be above 65,535.
        write!(f, "{sign}{digits}{}", "0".repeat(zeros))?;
        match (format, power_shown) {
            (_, 0) => Ok(()),
            (Format::DecimalExponent, power) => write!(f, "e{power}"),
            (_, power) => {
                let suffix = DECIMAL_SUFFIXES.iter().find(|(_, of)| *of == power).map_or("", |(suffix, _)| *suffix);
                f.write_str(suffix)
            }
        }
    }

    fn write_binary(f: &mut fmt::Formatter<'_>, mut whole: i128) -> fmt::Result {
        let mut suffixes = BINARY_SUFFIXES.iter();
        let mut suffix = suffixes.next();
        while whole % 1024 == 0 {
            let Some(next) = suffixes.next() else { break };
            whole /= 1024;
            suffix = Some(next);
        }
        write!(f, "{whole}{}", suffix.copied().unwrap_or_default())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        if self.is_zero() {
            return f.write_str("0");
        }
        match self.format {
            // What binary suffixes cannot show exactly is shown in decimal.
            Format::BinarySi => match self.binary_integer() {
                Some(whole) => Quantity::write_binary(f, whole),
                None => self.write_decimal(f, Format::DecimalSi),
            },
            format => self.write_decimal(f, format),
        }
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if by_sign != Ordering::Equal || self.is_zero() {
            return by_sign;
        }
        let magnitude = compare_magnitude(self.digits(), other.digits());
        if self.mantissa < 0 { magnitude.reverse() } else { magnitude }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl Hash for Quantity {
    /// By value, as equality is.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mantissa.signum().hash(state);
        if !self.is_zero() {
            self.digits().hash(state);
        }
    }
}

impl Default for Quantity {
    fn default() -> Self {
        Quantity::ZERO
    }
}

impl From<i64> for Quantity {
    fn from(value: i64) -> Self {
        Quantity::from_integer(value)
    }
}

impl Add<&Quantity> for Quantity {
    type Output = Quantity;

    /// The exact sum in the format of the left side (of the right one if the left is 0); saturates.
    fn add(self, other: &Quantity) -> Quantity {
        if self.is_zero() {
            return other.clone();
        }
        let scale = self.scale.min(other.scale).max(NANO);
        let align = |q: &Quantity| rescale(q.mantissa, q.scale, scale).unwrap_or(i128::MAX);
        Quantity::new(align(&self).saturating_add(align(other)), scale, self.format)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 500m, 1Gi or 3")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.trim().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl Quantity {
    /// Rounds what is finer than nano away from zero and, where it fits, expresses the value in nano.
    fn settle_at_nano(&mut self) {
        if let Some(nano) = rescale(self.mantissa, self.scale, NANO) {
            (self.mantissa, self.scale) = (nano, NANO);
        }
    }
}

/// `mantissa * 10^from` in units of `10^to`, rounded away from zero; `None` if that does not fit.
fn rescale(mantissa: i128, from: i32, to: i32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    let shift = i64::from(from) - i64::from(to);
    let factor = u32::try_from(shift.unsigned_abs()).ok().and_then(|power| 10_i128.checked_pow(power));
    match (factor, shift >= 0) {
        (Some(factor), true) => mantissa.checked_mul(factor),
        (None, true) => None,
        (Some(divisor), false) => {
            let rounding = if mantissa % divisor == 0 { 0 } else { mantissa.signum() };
            Some(mantissa / divisor + rounding)
        }
        (None, false) => Some(mantissa.signum()),
    }
}

/// Compares positive numbers given as digits without trailing zeros and a power of ten.
fn compare_magnitude((left, left_power): (String, i32), (right, right_power): (String, i32)) -> Ordering {
    let order = |digits: &str, power: i32| i64::try_from(digits.len()).unwrap_or(i64::MAX) + i64::from(power);
    order(&left, left_power).cmp(&order(&right, right_power)).then_with(|| left.cmp(&right))
}

/// A correctly rounded power of ten for the scales in use.
fn power_of_ten(power: i32) -> f64 {
    match power {
        -9 => 1e-9,
        -8 => 1e-8,
        -7 => 1e-7,
        -6 => 1e-6,
        -5 => 1e-5,
        -4 => 1e-4,
        -3 => 1e-3,
        -2 => 1e-2,
        -1 => 1e-1,
        // Exact up to 10^22; beyond, a quantity is a curiosity.
        _ => 10_f64.powi(power),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use proptest::prelude::*;

    use super::*;

    fn q(text: &str) -> Quantity {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn prints_as_many_zeros_as_it_takes() {
        let long = format!("1{}E", "0".repeat(70_000));
        assert_eq!(q(&long).to_string(), long);
    }

    #[test]
    fn prints_the_canonical_form() {
        for (text, printed) in [
            ("0", "0"),
            ("000", "0"),
            ("0.500", "500m"),
            ("100.000", "100"),
            ("1000", "1k"),
            ("1.5Gi", "1536Mi"),
            ("1024Ki", "1Mi"),
            ("512Ki", "512Ki"),
            ("1000Ki", "1000Ki"),
            ("0.5Ki", "512"),
            ("0.1Ki", "102400m"),
            ("100E", "100E"),
            ("1500e-3", "1500e-3"),
            ("15e2", "1500"),
            ("1e4", "10e3"),
            ("12e6", "12e6"),
            ("0.1m", "100u"),
            ("0.00000000001", "1n"),
            ("-0.00000000001", "-1n"),
            ("-1500m", "-1500m"),
            ("-2.5Gi", "-2560Mi"),
            ("9223372036854775807m", "9223372036854775807m"),
            ("16Ei", "9223372036854775807"),
            ("1000E", "1000E"),
            ("123456789.987654321", "123456789.987654321"),
        ] {
            assert_eq!(q(text).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn keeps_texts_that_look_canonical() {
        for text in ["5.500", "12.200", "+5", "1.500", "2500m", "5Gi", "+3Mi", "17"] {
            assert_eq!(q(text).to_string(), text);
        }
    }

    #[test]
    fn is_as_lenient_as_kubernetes() {
        for text in [".", "+", "-", "k", "Ki", "0e5"] {
            assert_eq!(q(text), Quantity::ZERO, "{text}");
        }
        assert_eq!(q("5."), q("5"));
        assert_eq!(q(".5"), q("500m"));
    }

    #[test]
    fn refuses_what_kubernetes_refuses() {
        for text in ["", " 1", "1 ", "abc", "1.2.3", "1e5x"] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::Format), "{text}");
        }
        for text in ["Ei", "+Pi", "e-10"] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::Numeric), "{text}");
        }
        for text in ["1K", "--1", "1i", "1e", "1mm", "1Kie", "1eE5"] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError::Suffix), "{text}");
        }
    }

    #[test]
    fn rounds_away_from_zero() {
        assert_eq!(q("1n").milli_value(), 1);
        assert_eq!(q("-1n").milli_value(), -1);
        assert_eq!(q("1500m").value(), 2);
        assert_eq!(q("6022903u").milli_value(), 6023);
        assert_eq!(q("9223372036854775807m").milli_value(), i64::MAX);
        assert_eq!(q("100E").milli_value(), i64::MAX);
        assert_eq!(q("-1e300").value(), i64::MIN);
    }

    #[test]
    fn compares_by_value() {
        assert_eq!(q("1"), q("1000m"));
        assert_eq!(q("1e300"), q("0.1e301"));
        assert!(q("1Ki") > q("1k"));
        assert!(q("-2") < q("-1"));
        assert!(q("-1") < q("1n"));
    }

    #[test]
    fn takes_floats_as_keda_does() {
        for (float, printed) in [(0.0004, "0"), (0.5, "500m"), (5.5, "5.500"), (100.0, "100"), (0.0625, "62m")] {
            assert_eq!(Quantity::from_float(float).to_string(), printed);
        }
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0] {
            assert_eq!(Quantity::from_float(float), Quantity::ZERO);
        }
        assert_eq!(Quantity::from_float(f64::MAX).milli_value(), i64::MAX);
    }

    #[test]
    fn travels_as_text_and_is_read_from_numbers() {
        assert_eq!(serde_json::to_string(&q("0.5")).unwrap(), "\"500m\"");
        assert_eq!(serde_json::from_str::<Quantity>("80").unwrap(), q("80"));
        assert_eq!(serde_json::from_str::<Quantity>("0.25").unwrap(), q("250m"));
        assert!(serde_json::from_str::<Quantity>("true").is_err());
    }

    #[test]
    fn adds_exactly() {
        assert_eq!(q("100m") + &q("1Gi"), q("1073741824100m"));
        assert_eq!((q("0") + &q("1Gi")).to_string(), "1Gi");
    }

    proptest! {
        #[test]
        fn printing_keeps_the_value(text in r"[+-]?[0-9]{0,25}(\.[0-9]{0,12})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,2})?") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                let printed = quantity.to_string();
                let again = q(&printed);
                prop_assert_eq!(&again, &quantity, "{}", printed);
                prop_assert_eq!(again.to_string(), printed);
            }
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,40}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                let _ = (quantity.to_string(), quantity.milli_value(), quantity.value(), quantity.to_f64());
            }
        }

        #[test]
        fn milli_round_trips(value: i64) {
            prop_assert_eq!(Quantity::from_milli(value).milli_value(), value);
            prop_assert_eq!(q(&Quantity::from_milli(value).to_string()).milli_value(), value);
        }

        #[test]
        fn order_agrees_with_integers(left: i64, right: i64) {
            prop_assert_eq!(Quantity::from_milli(left).cmp(&Quantity::from_milli(right)), left.cmp(&right));
        }

        #[test]
        fn what_is_equal_has_one_hash(value: i32) {
            let hash = |quantity: &Quantity| BuildHasherDefault::<DefaultHasher>::default().hash_one(quantity);
            let milli = q(&format!("{value}000m"));
            prop_assert_eq!(&milli, &Quantity::from_integer(value.into()));
            prop_assert_eq!(hash(&milli), hash(&Quantity::from_integer(value.into())));
        }

        #[test]
        fn floats_never_break_it(value: f64) {
            let quantity = Quantity::from_float(value);
            prop_assert!(quantity >= Quantity::ZERO);
            let _ = quantity.to_string();
        }
    }
}
