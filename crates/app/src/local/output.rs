//! What `keda up` tells: on a terminal lines and a live table, elsewhere one JSON line per event.
//!
//! The JSON has zap's field names (`level`, `ts`, `logger`, `msg`, …), as KEDA's own logs do.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::table;
use crate::clock;

/// How bad a piece of news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
}

/// One piece of news.
#[derive(Debug, Clone)]
pub(crate) struct News {
    level: Level,
    logger: &'static str,
    message: String,
    fields: Map<String, Value>,
}

impl News {
    /// Something happened.
    pub(crate) fn new(level: Level, logger: &'static str, message: impl Into<String>) -> Self {
        News { level, logger, message: message.into(), fields: Map::new() }
    }

    /// With one more field.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_string(), value.into());
        self
    }

    fn json(&self, at: Timestamp) -> String {
        let level = match self.level {
            Level::Info => "info",
            Level::Warning => "warn",
            Level::Error => "error",
        };
        let mut line = Map::new();
        line.insert("level".into(), json!(level));
        line.insert("ts".into(), json!(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()));
        line.insert("logger".into(), json!(self.logger));
        line.insert("msg".into(), json!(self.message));
        line.extend(self.fields.clone());
        Value::Object(line).to_string()
    }

    fn text(&self, at: Timestamp) -> String {
        let time = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
        let mark = match self.level {
            Level::Info => " ",
            Level::Warning => "!",
            Level::Error => "✗",
        };
        let field = |name: &str| self.fields.get(name).and_then(Value::as_str);
        let subject = field("object").or_else(|| field("replica")).map(|name| format!("{name}  ")).unwrap_or_default();
        let because = field("reason").map(|reason| format!(" — {reason}")).unwrap_or_default();
        format!("{time} {mark} {subject}{}{because}", self.message)
    }
}

/// Where the news goes.
#[derive(Debug)]
pub(crate) enum Output {
    /// JSON lines on standard output.
    Json,
    /// Lines with a table below them that is kept up to date.
    Live(Live),
}

/// A terminal whose last lines are a table.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Lines of the table on the screen.
    drawn: usize,
}

impl Output {
    /// JSON, or a live terminal.
    pub(crate) fn new(live: bool) -> Self {
        if live { Output::Live(Live::default()) } else { Output::Json }
    }

    /// Whether there is a table to keep up to date.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Output::Live(_))
    }

    /// Tells something.
    pub(crate) fn tell(&mut self, news: &News) {
        let at = clock::wall();
        match self {
            Output::Json => write(&format!("{}\n", news.json(at))),
            Output::Live(live) => live.line(&news.text(at)),
        }
    }

    /// Passes on a line that a worker wrote.
    pub(crate) fn worker_line(&mut self, replica: &str, line: &str) {
        match self {
            Output::Json => {
                let news = News::new(Level::Info, "worker", line).with("replica", replica);
                write(&format!("{}\n", news.json(clock::wall())));
            }
            Output::Live(live) => live.line(&format!("{replica} | {line}")),
        }
    }

    /// Draws the table anew.
    pub(crate) fn draw(&mut self, rows: &[table::Row]) {
        if let Output::Live(live) = self {
            live.draw(&table::render(rows, width()));
        }
    }
}

impl Live {
    fn line(&mut self, line: &str) {
        let erase = self.erase();
        write(&format!("{erase}{line}\n"));
    }

    fn draw(&mut self, table: &str) {
        let erase = self.erase();
        self.drawn = table.lines().count();
        write(&format!("{erase}{table}"));
    }

    /// Moves to the first line of the table and clears everything below.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

/// Columns of the terminal.
fn width() -> u16 {
    rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| if size.ws_col == 0 { 80 } else { size.ws_col })
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    // A reader that has gone away must not stop the workers.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_has_the_fields_of_zap_first() {
        let news = News::new(Level::Info, "scaleexecutor", "scaled").with("object", "default/orders").with("to", 3);
        assert_eq!(
            news.json("2026-03-01T12:00:00.5Z".parse().unwrap()),
            r#"{"level":"info","ts":"2026-03-01T12:00:00.500Z","logger":"scaleexecutor","msg":"scaled","object":"default/orders","to":3}"#
        );
    }
}
