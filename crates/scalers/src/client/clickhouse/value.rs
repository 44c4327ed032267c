//! Columns as ClickHouse's own protocol writes them, and the number in the first row.

use keda_core::sample::SourceError;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::native::{malformed, read_string};
use crate::client::stream::transport;
use crate::format::sql_number;

/// A type of a column, as far as it may hold a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers of so many bytes, below zero too or not.
    Integer {
        size: usize,
        signed: bool,
    },
    Float32,
    Float64,
    /// Whole numbers of so many bytes with so many digits behind the point.
    Decimal {
        size: usize,
        scale: u32,
    },
    String,
    FixedString(usize),
    Nullable(Box<Kind>),
    /// `NULL` itself.
    Nothing,
}

impl Kind {
    /// Reads the name of a type; `None` for one that holds no number.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let inner = |outer: &str| name.strip_prefix(outer)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(inner) = inner("Nullable") {
            return Some(Kind::Nullable(Box::new(Kind::parse(inner)?)));
        }
        if let Some(length) = inner("FixedString") {
            return Some(Kind::FixedString(length.parse().ok()?));
        }
        if let Some((precision, scale)) = inner("Decimal").and_then(|inner| inner.split_once(',')) {
            let size = match precision.trim().parse::<u32>().ok()? {
                ..=9 => 4,
                10..=18 => 8,
                19..=38 => 16,
                _ => 32,
            };
            return Some(Kind::Decimal { size, scale: scale.trim().parse().ok()? });
        }
        let integer = |bits: &str, signed| {
            let size = ["8", "16", "32", "64", "128", "256"].iter().position(|known| *known == bits)?;
            Some(Kind::Integer { size: 1 << size, signed })
        };
        match name {
            "Float32" => Some(Kind::Float32),
            "Float64" => Some(Kind::Float64),
            "String" => Some(Kind::String),
            "Nothing" => Some(Kind::Nothing),
            _ => match name.strip_prefix("UInt") {
                Some(bits) => integer(bits, false),
                None => name.strip_prefix("Int").and_then(|bits| integer(bits, true)),
            },
        }
    }
}

/// The number in the first of `rows` rows of a column, which is read to its end.
pub(super) async fn first_number<R>(input: &mut R, kind: &Kind, rows: u64) -> Result<Number, SourceError>
where
    R: AsyncRead + Unpin + Send,
{
    if let Kind::Nullable(inner) = kind {
        let is_null = fixed(input, 1, rows).await?.first() != Some(&0);
        let number = not_nullable(input, inner, rows).await?;
        return Ok(if is_null { Err(sql_number::null()) } else { number });
    }
    not_nullable(input, kind, rows).await
}

/// A number, or what is there in its place.
pub(super) type Number = Result<f64, String>;

async fn not_nullable<R>(input: &mut R, kind: &Kind, rows: u64) -> Result<Number, SourceError>
where
    R: AsyncRead + Unpin + Send,
{
    Ok(match kind {
        Kind::Integer { size, signed } => Ok(integer(&fixed(input, *size, rows).await?, *signed)),
        Kind::Decimal { size, scale } => {
            let whole = integer(&fixed(input, *size, rows).await?, true);
            Ok(whole / 10_f64.powi(i32::try_from(*scale).unwrap_or(i32::MAX)))
        }
        Kind::Float32 => {
            let bytes = fixed(input, 4, rows).await?;
            Ok(f64::from(f32::from_le_bytes(bytes.try_into().unwrap_or_default())))
        }
        Kind::Float64 => {
            let bytes = fixed(input, 8, rows).await?;
            Ok(f64::from_le_bytes(bytes.try_into().unwrap_or_default()))
        }
        Kind::FixedString(size) => text(&fixed(input, *size, rows).await?),
        Kind::String => {
            let first = read_string(input).await?;
            for _ in 1..rows {
                read_string(input).await?;
            }
            text(&first)
        }
        Kind::Nothing => {
            fixed(input, 1, rows).await?;
            Err(sql_number::null())
        }
        Kind::Nullable(_) => return Err(malformed("a type of the answer cannot be")),
    })
}

/// The first of `rows` values of `size` bytes each; the others are left behind.
async fn fixed<R>(input: &mut R, size: usize, rows: u64) -> Result<Vec<u8>, SourceError>
where
    R: AsyncRead + Unpin + Send,
{
    if size > super::native::MAXIMUM_TEXT {
        return Err(malformed("a value of the answer is too long"));
    }
    let mut first = vec![0; size];
    input.read_exact(&mut first).await.map_err(transport)?;
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    let rest = rows.saturating_sub(1).checked_mul(size).ok_or_else(|| malformed("the answer is too long"))?;
    let skipped = tokio::io::copy(&mut input.take(rest), &mut tokio::io::sink()).await.map_err(transport)?;
    if skipped < rest {
        return Err(SourceError::malformed("the answer breaks off"));
    }
    Ok(first)
}

/// A whole number whose lowest byte comes first, as a float.
fn integer(bytes: &[u8], signed: bool) -> f64 {
    let negative = signed && bytes.last().is_some_and(|last| last & 0x80 != 0);
    let digits = bytes.iter().rev().map(|byte| if negative { !byte } else { *byte });
    // Of a negative number one less is read, for its bytes are turned around.
    let mut magnitude = Wide::default();
    digits.for_each(|digit| magnitude.push(digit));
    if negative { -magnitude.plus(1) } else { magnitude.plus(0) }
}

/// A number of many bytes: its upper part as a float, its lower 64 bits exactly.
#[derive(Default)]
struct Wide {
    upper: f64,
    lower: u64,
}

impl Wide {
    fn push(&mut self, digit: u8) {
        self.upper = self.upper * 256.0 + f64::from(u8::try_from(self.lower >> 56).unwrap_or_default());
        self.lower = (self.lower << 8) | u64::from(digit);
    }

    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53, far above any backlog")]
    fn plus(&self, more: u64) -> f64 {
        self.upper * 2_f64.powi(64) + self.lower as f64 + more as f64
    }
}

/// The number in a text, whose end may be filled with zeros.
fn text(bytes: &[u8]) -> Number {
    sql_number::parse(String::from_utf8_lossy(bytes).trim_end_matches('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(name: &str, rows: u64, bytes: &[u8]) -> Result<Number, SourceError> {
        let mut input = bytes;
        let number = first_number(&mut input, &Kind::parse(name).unwrap(), rows).await?;
        assert!(input.is_empty(), "{name} is read to its end");
        Ok(number)
    }

    #[tokio::test]
    async fn numbers_of_every_kind_are_read() {
        let number = |value: f64| Ok(Ok(value));
        assert_eq!(first("UInt8", 2, &[200, 1]).await, number(200.0));
        assert_eq!(first("Int16", 1, &[0xfe, 0xff]).await, number(-2.0));
        assert_eq!(first("UInt64", 1, &u64::MAX.to_le_bytes()).await, number(18_446_744_073_709_551_615.0));
        assert_eq!(first("Int64", 1, &(-5_000_000_000_i64).to_le_bytes()).await, number(-5e9));
        assert_eq!(first("Int256", 1, &[0xff; 32]).await, number(-1.0));
        assert_eq!(first("UInt128", 1, &(1_u128 << 100).to_le_bytes()).await, number(2_f64.powi(100)));
        assert_eq!(first("Float32", 1, &2.5_f32.to_le_bytes()).await, number(2.5));
        assert_eq!(first("Float64", 2, &[2.25_f64.to_le_bytes(), [0; 8]].concat()).await, number(2.25));
        assert_eq!(first("Decimal(9, 2)", 1, &1234_i32.to_le_bytes()).await, number(12.34));
        assert_eq!(first("String", 2, b"\x0212\x01x").await, number(12.0));
        assert_eq!(first("FixedString(3)", 1, b"7\0\0").await, number(7.0));
        assert_eq!(first("Nullable(UInt8)", 2, &[0, 1, 9, 0]).await, number(9.0));
    }

    #[tokio::test]
    async fn what_is_no_number_is_told() {
        assert!(first("Nullable(UInt8)", 1, &[1, 0]).await.unwrap().unwrap_err().contains("NULL"));
        assert!(first("String", 1, b"\x04many").await.unwrap().unwrap_err().contains("\"many\" is not a number"));
        assert!(first("UInt64", 1, &[1, 2]).await.is_err());
        for name in ["Bool", "Date", "Array(UInt8)", "Nullable(Date)", "UInt7"] {
            assert_eq!(Kind::parse(name), None, "{name}");
        }
    }
}
