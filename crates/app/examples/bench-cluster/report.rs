//! The figures, for programs and for people.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Settings;

/// What each figure is, in the order of the table. The notes are not written to the file.
const ROWS: [(&str, &str); 10] = [
    ("hpas_all_seconds", "from the last ScaledObject created to the last HPA, s"),
    ("rss_mib", "resident memory after the idle time, MiB"),
    ("cpu_s_per_min", "processor time per idle minute, s"),
    ("writes_per_object_10min", "API writes per object in 10 idle minutes"),
    ("read_p50_ms", "metric read through the API server, median, ms"),
    ("read_p99_ms", "the same, 99th percentile, ms"),
    ("read_cpu_ms", "operator's processor time per read, ms"),
    ("activation_seconds", "from the source's answer to one replica, s"),
    ("delete_seconds", "deletion of the namespace with all objects, s"),
    ("rss_big_cluster_mib", "resident memory with one object among many pods, MiB"),
];

/// The figures of an operator, by name.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Figures {
    values: BTreeMap<&'static str, f64>,
    /// Figures for people alone.
    #[serde(skip)]
    notes: BTreeMap<&'static str, f64>,
}

impl Figures {
    pub(crate) fn set(&mut self, name: &'static str, value: f64) {
        self.values.insert(name, (value * 1000.0).round() / 1000.0);
    }

    /// Notes a figure that only people read.
    pub(crate) fn note(&mut self, name: &'static str, value: f64) {
        self.notes.insert(name, value);
    }

    /// Each figure's median over runs.
    pub(crate) fn medians(runs: &[Figures]) -> Self {
        let of = |pick: fn(&Figures) -> &BTreeMap<&'static str, f64>| {
            let names: Vec<&'static str> = runs.iter().flat_map(|run| pick(run).keys().copied()).collect();
            let value = |name: &str| median(runs.iter().filter_map(|run| pick(run).get(name).copied()).collect());
            names.into_iter().map(|name| (name, value(name))).collect()
        };
        Figures { values: of(|run| &run.values), notes: of(|run| &run.notes) }
    }
}

/// The value that this part of the others does not exceed, by the nearest rank; 0 of none.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        Some(upper) if values.len().is_multiple_of(2) => {
            f64::midpoint(*upper, values.get(middle - 1).copied().unwrap_or(*upper))
        }
        Some(middle) => *middle,
        None => 0.0,
    }
}

/// The table for people.
pub(crate) fn table(settings: &Settings, ours: &Figures, peer: Option<&Figures>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let header = ["", "", "ours", "peer"];
    table.set_header(header.iter().take(if peer.is_some() { 4 } else { 3 }));
    let columns: Vec<&Figures> = std::iter::once(ours).chain(peer).collect();
    let mut row = |name: &str, text: &str, pick: fn(&Figures) -> &BTreeMap<&'static str, f64>| {
        let key = if name.is_empty() { text } else { name };
        let cell =
            |figures: &&Figures| pick(figures).get(key).map_or_else(|| "–".to_string(), |value| format!("{value:.2}"));
        let cells: Vec<String> = columns.iter().map(cell).collect();
        table.add_row([name.to_string(), text.to_string()].into_iter().chain(cells));
    };
    for (name, text) in ROWS {
        row(name, text, |figures| &figures.values);
    }
    let notes: std::collections::BTreeSet<&str> =
        columns.iter().flat_map(|figures| figures.notes.keys().copied()).collect();
    for note in notes {
        row("", note, |figures| &figures.notes);
    }
    let Settings { objects, idle_minutes, runs, .. } = settings;
    let runs = if *runs <= 1 { "1 run".to_string() } else { format!("medians of {runs} runs") };
    format!("{objects} ScaledObjects, {idle_minutes} idle minutes, {runs}\n{table}")
}
