//! The table of all objects: what their triggers read, what they have and what they are to have.

use comfy_table::{ContentArrangement, Table, presets};

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Namespace and name.
    pub(crate) object: String,
    /// Values of the triggers, each beside its target.
    pub(crate) triggers: Vec<String>,
    /// Ready replicas.
    pub(crate) ready: u32,
    /// Wanted replicas.
    pub(crate) wanted: u32,
    /// Why the replicas changed last, or are what they are.
    pub(crate) reason: String,
}

/// The table as text of lines that fit into `width` columns, each ending with a line break.
pub(crate) fn render(rows: &[Row], width: u16) -> String {
    let mut table = Table::new();
    table.set_width(width);
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["OBJECT", "VALUE / TARGET", "READY", "WANTED", "REASON"]);
    for row in rows {
        table.add_row([
            row.object.clone(),
            row.triggers.join("\n"),
            row.ready.to_string(),
            row.wanted.to_string(),
            row.reason.clone(),
        ]);
    }
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
