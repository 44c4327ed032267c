//! Durations as Go writes them: `30s`, `1h15m`, `1.5s`.
//!
//! No crate reads exactly this grammar: `humantime` takes `1 day` and refuses `1.5h`, `jiff` refuses `1h1.5m`.

use std::time::Duration;

/// Nanoseconds of the largest duration that Go can hold.
const MAXIMUM: u128 = i64::MAX as u128;

/// Phases of an interval.
const PHASES: u128 = 100;

/// The first moment strictly after `now` that lies at the phase of `interval` which `seed` fixes: what has its own
/// seed spreads over the interval, what shares one meets. There are a hundred phases: a process that has more to do in
/// an interval wakes for several things at a time, which takes a good part of the effort that waking is.
pub fn next_in_phase(seed: u128, interval: Duration, now: Duration) -> Duration {
    let interval = interval.as_nanos().max(1_000_000);
    let step = interval / PHASES;
    let phase = seed % interval / step * step;
    let periods = (now.as_nanos() + interval - phase) / interval;
    Duration::from_nanos(u64::try_from(periods * interval + phase).unwrap_or(u64::MAX))
}

/// Reads a Go duration; negative ones are refused, as every duration in a trigger must not be negative.
///
/// # Errors
/// A sentence that names the text and what is wrong with it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("invalid duration {text:?}: expected a number with a unit, such as 30s, 1m30s or 500ms");
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Some(rest) = unsigned.strip_prefix('-') {
        return match parse(rest) {
            Ok(Duration::ZERO) => Ok(Duration::ZERO),
            Ok(_) => Err(format!("duration {text:?} cannot be negative")),
            Err(_) => Err(invalid()),
        };
    }
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut total: u128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (nanoseconds, remaining) = component(rest).ok_or_else(invalid)?;
        total = total.checked_add(nanoseconds).filter(|total| *total <= MAXIMUM).ok_or_else(invalid)?;
        rest = remaining;
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| invalid())
}

/// The first `number unit` of `text` in nanoseconds, and what follows it.
fn component(text: &str) -> Option<(u128, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let scale: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(scale)?;
    let mut step = scale;
    for digit in fraction.chars().take(30) {
        step /= 10;
        nanoseconds = nanoseconds.checked_add(step * u128::from(digit.to_digit(10)?))?;
    }
    Some((nanoseconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0s", 0),
            ("30s", 30_000_000_000),
            ("1h15m", 4_500_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1h1.5m", 3_690_000_000_000),
            ("2us3ns", 2003),
            ("+1ms", 1_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "5", "-1s", "1d", "1 s", "s", ".s", "1..5s", "9999999999999999999h", "1e3s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
