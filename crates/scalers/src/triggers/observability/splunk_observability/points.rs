//! Data points, as the service sends them.

use std::io::Read;

use flate2::read::GzDecoder;
use keda_core::sample::SourceError;

use crate::trigger::float;

/// The largest message once it is unpacked, in bytes.
const MAXIMUM: u64 = 16 << 20;

/// Bits of the flags.
const COMPRESSED: u8 = 1;
const JSON: u8 = 2;

/// Kinds of values.
const LONG: u8 = 1;
const DOUBLE: u8 = 2;
const INTEGER: u8 = 3;

/// The values in a message.
pub(super) fn read(message: &[u8]) -> Result<Vec<f64>, SourceError> {
    let malformed = || SourceError::malformed("a data message is cut off");
    let (head, rest) = message.split_first_chunk::<20>().ok_or_else(malformed)?;
    let [_version, _kind, flags, ..] = *head;
    if flags & JSON != 0 {
        return Err(SourceError::malformed("a data message is in JSON"));
    }
    let unpacked;
    let rest = if flags & COMPRESSED == 0 {
        rest
    } else {
        unpacked = unpack(rest)?;
        &unpacked
    };
    // Before the values: a time and their number.
    let (_time, rest) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
    let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
    let count = usize::try_from(u32::from_be_bytes(*count)).map_err(|_| malformed())?;
    let values = rest.get(..count.saturating_mul(17)).ok_or_else(malformed)?;
    values.chunks_exact(17).map(value).collect()
}

/// A value: its kind, the series that it belongs to, and eight bytes.
fn value(bytes: &[u8]) -> Result<f64, SourceError> {
    let wrong = || SourceError::malformed("could not convert Splunk Observability metric value to float64");
    let kind = bytes.first().ok_or_else(wrong)?;
    let value = *bytes.last_chunk::<8>().ok_or_else(wrong)?;
    match *kind {
        DOUBLE => Ok(f64::from_be_bytes(value)),
        LONG | INTEGER => Ok(float(i64::from_be_bytes(value))),
        _ => Err(wrong()),
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, SourceError> {
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(bytes).take(MAXIMUM).read_to_end(&mut unpacked);
    read.map(|_| unpacked).map_err(|_| SourceError::malformed("a data message cannot be unpacked"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn message(flags: u8, body: &[u8]) -> Vec<u8> {
        [&[1, 5, flags, 0][..], b"ch-1\0\0\0\0\0\0\0\0\0\0\0\0", body].concat()
    }

    fn body(values: &[(u8, [u8; 8])]) -> Vec<u8> {
        let values: Vec<Vec<u8>> =
            values.iter().map(|(kind, value)| [&[*kind][..], &[9; 8], &value[..]].concat()).collect();
        let count = u32::try_from(values.len()).unwrap();
        [&[0; 8][..], &count.to_be_bytes(), &values.concat()].concat()
    }

    #[test]
    fn values_have_several_kinds_and_may_be_compressed() {
        let body = body(&[(DOUBLE, 2.5_f64.to_be_bytes()), (LONG, (-3_i64).to_be_bytes())]);
        assert_eq!(read(&message(0, &body)), Ok(vec![2.5, -3.0]));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&body).unwrap();
        assert_eq!(read(&message(COMPRESSED, &encoder.finish().unwrap())), Ok(vec![2.5, -3.0]));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let whole = message(0, &body(&[(DOUBLE, [0; 8])]));
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        assert!(read(&message(JSON, b"{}")).is_err() && read(&message(COMPRESSED, b"x")).is_err());
        assert!(read(&message(0, &body(&[(7, [0; 8])]))).is_err());
    }
}
