//! What is told at the end: a picture of the replicas over time, and what they cost.

use std::fmt::Write;
use std::time::Duration;

use crate::fleet::{Cost, Replicas};

/// Width of the picture in characters, at the most.
const WIDTH: u32 = 60;

/// A picture of the replicas over time: a row per replica, a column per half second.
pub(crate) fn picture(replicas: &Replicas, end: Duration) -> String {
    let column = Duration::from_millis(500).max(end / WIDTH);
    let columns = (end.as_secs_f64() / column.as_secs_f64()).ceil();
    let times: Vec<Duration> = (0..WIDTH).map(|index| column * index).take_while(|time| *time < end).collect();
    let mut picture = String::from("  replicas\n");
    for level in (1..=replicas.peak()).rev() {
        let bar: String = times.iter().map(|time| if replicas.at(*time) >= level { '█' } else { ' ' }).collect();
        // Writing into a String cannot fail.
        let _ = writeln!(picture, "  {level:>4} │{}", bar.trim_end());
    }
    let _ = writeln!(picture, "     0 └{}", "─".repeat(times.len()));
    let label = format!("{:.0} s", columns * column.as_secs_f64());
    let _ = writeln!(picture, "        0 s{label:>width$}", width = times.len().saturating_sub(3));
    picture
}

/// What the replicas cost, beside fleets that are always there.
pub(crate) fn table(actual: &Cost, jobs: &[Duration], peak: u32, time: Duration) -> String {
    let fixed = |size: u32| Cost::of_fixed_fleet(size, jobs, time);
    let mut table =
        format!("  {:<26}{:>15}{:>14}{:>10}{:>9}\n", "", "replica-seconds", "median wait", "95th pct", "longest");
    let rows = [
        (format!("keda, 0 to {peak} workers"), actual),
        (format!("always {peak} workers *"), &fixed(peak)),
        ("always 1 worker *".to_string(), &fixed(1)),
    ];
    for (name, cost) in rows {
        let [median, most, longest] = [50, 95, 100].map(|percent| format!("{:.1} s", cost.wait(percent).as_secs_f64()));
        let _ = writeln!(table, "  {name:<26}{:>15.0}{median:>14}{most:>10}{longest:>9}", cost.replica_seconds);
    }
    let _ = writeln!(
        table,
        "  * computed for the same jobs over the same {:.0} s or until all are done",
        time.as_secs_f64()
    );
    table
}
