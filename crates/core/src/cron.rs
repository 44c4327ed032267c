//! Cron schedules, as the library robfig/cron v3 reads them: five fields, no seconds, no `@daily`.
//!
//! No crate has this grammar: `croner` takes `L`, `W`, `#` and a sixth field, and treats a restricted day of the month
//! beside a restricted day of the week differently; a test below shows the cases. Reference: `scalers/cron.md`.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// How far ahead a firing is searched.
const HORIZON_YEARS: i16 = 5;

/// A parsed schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days_of_month: Days,
    months: u64,
    days_of_week: Days,
    time_zone: Option<TimeZone>,
}

/// A field of days: the set, and whether it was written as a star.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Days {
    set: u64,
    star: bool,
}

/// One of the five fields.
struct Bounds {
    name: &'static str,
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { name: "minute", first: 0, last: 59, names: &[] };
const HOUR: Bounds = Bounds { name: "hour", first: 0, last: 23, names: &[] };
const DAY_OF_MONTH: Bounds = Bounds { name: "day of the month", first: 1, last: 31, names: &[] };
const MONTH: Bounds = Bounds {
    name: "month",
    first: 1,
    last: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const DAY_OF_WEEK: Bounds =
    Bounds { name: "day of the week", first: 0, last: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads `minute hour day-of-month month day-of-week`, with an optional `TZ=zone ` or `CRON_TZ=zone ` in front.
    ///
    /// # Errors
    /// A sentence that says which field is wrong and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (time_zone, text) = split_time_zone(text)?;
        if text.starts_with('@') {
            return Err(format!("parser does not accept descriptors: {text}"));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        Ok(Schedule {
            minutes: parse_field(minute, &MINUTE)?.set,
            hours: parse_field(hour, &HOUR)?.set,
            days_of_month: parse_field(day_of_month, &DAY_OF_MONTH)?,
            months: parse_field(month, &MONTH)?.set,
            days_of_week: parse_field(day_of_week, &DAY_OF_WEEK)?,
            time_zone,
        })
    }

    /// The first firing strictly after `after`, in the schedule's own time zone or else in `zone`; `None` when there
    /// is none in the five years ahead.
    ///
    /// An hour that daylight saving skips gives no firing, one that it repeats gives two.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let zone = self.time_zone.as_ref().unwrap_or(zone);
        let start = after.to_zoned(zone.clone());
        let last_year = start.year().checked_add(HORIZON_YEARS)?;
        let mut date = start.date();
        while date.year() <= last_year {
            if self.matches_date(date)
                && let Some(firing) = self.first_firing_on(date, after, zone)
            {
                return Some(firing);
            }
            date = if contains(self.months, date.month()) {
                date.tomorrow().ok()?
            } else {
                date.last_of_month().tomorrow().ok()?
            };
        }
        None
    }

    fn matches_date(&self, date: Date) -> bool {
        if !contains(self.months, date.month()) {
            return false;
        }
        let by_month = contains(self.days_of_month.set, date.day());
        let by_week = contains(self.days_of_week.set, date.weekday().to_sunday_zero_offset());
        if self.days_of_month.star || self.days_of_week.star { by_month && by_week } else { by_month || by_week }
    }

    /// The earliest instant of that local day whose wall clock shows a minute of the schedule.
    fn first_firing_on(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut earliest: Option<Timestamp> = None;
        for hour in (0..24i8).filter(|hour| contains(self.hours, *hour)) {
            for minute in (0..60i8).filter(|minute| contains(self.minutes, *minute)) {
                let local = date.at(hour, minute, 0, 0);
                for instant in instants(local, zone).into_iter().flatten().filter(|instant| *instant > after) {
                    earliest = Some(earliest.map_or(instant, |earliest| earliest.min(instant)));
                }
            }
            // A later hour can only be earlier than this one where clocks were set back, by an hour at most.
            if let Some(earliest) = earliest
                && let Ok(end) = date.at(hour, 59, 59, 0).to_zoned(zone.clone())
                && end.checked_sub(2.hours()).is_ok_and(|end: Zoned| end.timestamp() > earliest)
            {
                break;
            }
        }
        earliest
    }
}

/// The instants at which the zone's clock shows `local`: none in a gap, two in a fold.
fn instants(local: DateTime, zone: &TimeZone) -> [Option<Timestamp>; 2] {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    match ambiguous.offset() {
        jiff::tz::AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(local).ok(), None],
        jiff::tz::AmbiguousOffset::Gap { .. } => [None, None],
        jiff::tz::AmbiguousOffset::Fold { before, after } => {
            [before.to_timestamp(local).ok(), after.to_timestamp(local).ok()]
        }
    }
}

/// Finds a zone by its IANA name; `Local` and the empty name are UTC here, as nothing else is known offline.
///
/// # Errors
/// A sentence that names the zone.
pub fn find_time_zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" | "Local" => Ok(TimeZone::UTC),
        _ => jiff::tz::TimeZoneDatabase::bundled().get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

fn split_time_zone(text: &str) -> Result<(Option<TimeZone>, &str), String> {
    let Some(rest) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else {
        return Ok((None, text));
    };
    let (name, fields) = rest.split_once(' ').unwrap_or((rest, ""));
    let zone = find_time_zone(name).map_err(|error| format!("provided bad location {name}: {error}"))?;
    Ok((Some(zone), fields.trim()))
}

fn contains(set: u64, element: i8) -> bool {
    u32::try_from(element).is_ok_and(|element| set & (1 << element) != 0)
}

/// A comma list of ranges.
fn parse_field(field: &str, bounds: &Bounds) -> Result<Days, String> {
    let mut days = Days { set: 0, star: false };
    for part in field.split(',').filter(|part| !part.is_empty()) {
        let range = parse_range(part, bounds)?;
        days.set |= range.set;
        days.star |= range.star;
    }
    Ok(days)
}

/// `*`, `?`, `n`, `a-b`, each with an optional `/step`.
fn parse_range(part: &str, bounds: &Bounds) -> Result<Days, String> {
    let wrong = |why: String| format!("{why} in {} field: {part}", bounds.name);
    let pieces: Vec<&str> = part.split('/').collect();
    let (range, step) = match pieces.as_slice() {
        [range] => (*range, None),
        [range, step] => (*range, Some(parse_number(step).map_err(wrong)?)),
        _ => return Err(wrong("too many slashes".to_string())),
    };
    let ends: Vec<&str> = range.split('-').collect();
    let (first, mut last, mut star) = match ends.as_slice() {
        ["*" | "?"] => (bounds.first, bounds.last, true),
        [one] => {
            let number = parse_element(one, bounds).map_err(wrong)?;
            (number, number, false)
        }
        [first, last] if *first != "*" && *first != "?" => {
            (parse_element(first, bounds).map_err(wrong)?, parse_element(last, bounds).map_err(wrong)?, false)
        }
        _ => return Err(wrong("too many hyphens".to_string())),
    };
    if let Some(step) = step {
        if ends.len() == 1 && !star {
            last = bounds.last;
        }
        if step > 1 {
            star = false;
        }
    }
    let step = step.unwrap_or(1);
    if first < bounds.first {
        return Err(wrong(format!("beginning of range ({first}) below minimum ({})", bounds.first)));
    }
    if last > bounds.last {
        return Err(wrong(format!("end of range ({last}) above maximum ({})", bounds.last)));
    }
    if first > last {
        return Err(wrong(format!("beginning of range ({first}) beyond end of range ({last})")));
    }
    if step == 0 {
        return Err(wrong("step of range should be a positive number".to_string()));
    }
    let elements = (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    Ok(Days { set: elements.fold(0, |set, element| set | 1 << element), star })
}

fn parse_element(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(position) => u32::try_from(position).map(|position| position + bounds.first).map_err(|e| e.to_string()),
        None => parse_number(text),
    }
}

fn parse_number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if text.starts_with('-') {
        return Err(format!("negative number ({text}) not allowed"));
    }
    digits.parse().map_err(|_| format!("failed to parse int from {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> String {
        let zone = find_time_zone(zone).unwrap();
        let after: Timestamp = after.parse::<DateTime>().unwrap().to_zoned(zone.clone()).unwrap().timestamp();
        match Schedule::parse(schedule).unwrap().next(after, &zone) {
            Some(firing) => firing.to_zoned(zone).datetime().to_string(),
            None => "never".to_string(),
        }
    }

    #[test]
    fn fires_strictly_after() {
        assert_eq!(next("0 6 * * *", "2026-03-02T05:59:59", "Asia/Kolkata"), "2026-03-02T06:00:00");
        assert_eq!(next("0 6 * * *", "2026-03-02T06:00:00", "Asia/Kolkata"), "2026-03-03T06:00:00");
        assert_eq!(next("1-59/2 * * * *", "2026-03-02T06:00:30", "UTC"), "2026-03-02T06:01:00");
    }

    #[test]
    fn days_of_month_and_week_join_as_robfig_joins_them() {
        // Both restricted: either may match. 2026-03-01 is a Sunday.
        assert_eq!(next("0 0 13 * Fri", "2026-03-02T00:00:00", "UTC"), "2026-03-06T00:00:00");
        // One is a star: both must match.
        assert_eq!(next("0 0 */2 * Fri", "2026-03-02T00:00:00", "UTC"), "2026-03-03T00:00:00");
        assert_eq!(next("0 0 ? * Fri", "2026-03-02T00:00:00", "UTC"), "2026-03-06T00:00:00");
    }

    #[test]
    fn impossible_dates_never_fire() {
        assert_eq!(next("0 0 30 2 *", "2026-03-02T00:00:00", "UTC"), "never");
        assert_eq!(next("0 0 29 2 *", "2026-03-02T00:00:00", "UTC"), "2028-02-29T00:00:00");
    }

    #[test]
    fn daylight_saving_skips_and_repeats() {
        assert_eq!(next("30 2 * * *", "2026-03-29T00:00:00", "Europe/Berlin"), "2026-03-30T02:30:00");
        let zone = find_time_zone("Europe/Berlin").unwrap();
        let schedule = Schedule::parse("30 2 * * *").unwrap();
        let first = schedule.next("2026-10-25T00:00:00Z".parse().unwrap(), &zone).unwrap();
        let second = schedule.next(first, &zone).unwrap();
        assert_eq!(first.to_string(), "2026-10-25T00:30:00Z");
        assert_eq!(second.to_string(), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn grammar_that_other_libraries_read_differently() {
        for refused in [
            "@daily",
            "0 0 * * 7",
            "0 0 L * *",
            "0 0 * * 5#2",
            "0 0 0 * * *",
            "5-2 * * * *",
            "*/0 * * * *",
            "-30 * * * *",
            "0 0 * *",
            "50 * * -3 *",
            "1-*/2 * * * *",
            "TZ=Mars/X 0 0 * * *",
            "60 * * * *",
            "a * * * *",
        ] {
            assert!(Schedule::parse(refused).is_err(), "{refused}");
        }
        for accepted in ["0 0 * JAN-mar sun", "CRON_TZ=Asia/Tokyo 0 6 * * *", "5/15 * ? * *", "0,30 1-23/2 * * *"] {
            assert!(Schedule::parse(accepted).is_ok(), "{accepted}");
        }
    }
}
