//! Log lines as KEDA's programs write them: zap's JSON and console layouts.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::flags::CommonFlags;
use crate::clock;

/// Begins to log to standard error as the flags say.
pub(crate) fn start(flags: &CommonFlags) {
    let level = level(flags);
    let console = match flags.zap_encoder.as_deref() {
        Some(encoder) => encoder.eq_ignore_ascii_case("console"),
        None => flags.zap_devel,
    };
    let layout = Layout { console, time: Time::of(&flags.zap_time_encoding) };
    // What libraries have to tell at these levels is of no use to operators; of failing watches we tell ourselves.
    let filter = tracing_subscriber::filter::Targets::new().with_default(Level::WARN.min(level)).with_targets([
        ("kube_runtime", Level::ERROR),
        ("kube_client", Level::ERROR),
        ("keda", level),
        ("keda_server", level),
        ("keda_scalers", level),
        ("keda_core", level),
    ]);
    use tracing_subscriber::layer::{Layer, SubscriberExt};
    use tracing_subscriber::util::SubscriberInitExt;
    let layer = tracing_subscriber::fmt::layer().event_format(layout).with_writer(std::io::stderr).with_filter(filter);
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// The words count in any case, as with zap. Whoever asks for a level gets that one, for people or not.
fn level(flags: &CommonFlags) -> Level {
    match flags.zap_log_level.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("error" | "panic") => Level::ERROR,
        Some("info") => Level::INFO,
        Some("debug") => Level::DEBUG,
        Some(text) if text.parse::<u32>().is_ok_and(|number| number > 0) => Level::DEBUG,
        _ if flags.zap_devel || flags.v.is_some_and(|number| number > 0) => Level::DEBUG,
        _ => Level::INFO,
    }
}

struct Layout {
    console: bool,
    time: Time,
}

#[derive(Clone, Copy)]
enum Time {
    Epoch,
    Millis,
    Nano,
    Rfc3339,
    Rfc3339Nano,
}

impl Time {
    fn of(name: &str) -> Self {
        match name {
            "epoch" => Time::Epoch,
            "millis" => Time::Millis,
            "nano" => Time::Nano,
            "rfc3339nano" | "iso8601" => Time::Rfc3339Nano,
            _ => Time::Rfc3339,
        }
    }

    fn value(self, now: Timestamp) -> Value {
        match self {
            Time::Epoch => Value::from(now.as_microsecond() as f64 / 1e6),
            Time::Millis => Value::from(now.as_microsecond() as f64 / 1e3),
            Time::Nano => Value::from(i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX)),
            Time::Rfc3339 => Value::from(format!("{now:.0}")),
            Time::Rfc3339Nano => Value::from(now.to_string()),
        }
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.others.insert(field.name().to_string(), Value::from(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.insert(field.name().to_string(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.insert(field.name().to_string(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.insert(field.name().to_string(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.insert(field.name().to_string(), Value::from(value));
    }
}

impl<S, N> FormatEvent<S, N> for Layout
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = self.time.value(clock::wall());
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => "debug",
        };
        let logger = event.metadata().target().rsplit("::").next().unwrap_or_default();
        if self.console {
            let time = time.as_str().map_or_else(|| time.to_string(), str::to_string);
            write!(writer, "{time}\t{}\t{logger}\t{}", level.to_uppercase(), fields.message)?;
            if !fields.others.is_empty() {
                write!(writer, "\t{}", Value::Object(fields.others))?;
            }
            writer.write_char('\n')
        } else {
            let mut line = Map::new();
            line.insert("level".into(), Value::from(level));
            line.insert("ts".into(), time);
            line.insert("logger".into(), Value::from(logger));
            line.insert("msg".into(), Value::from(fields.message));
            line.extend(fields.others);
            writeln!(writer, "{}", Value::Object(line))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::flags::OperatorFlags;
    use super::*;

    #[test]
    fn levels_are_named_as_zap_names_them() {
        let level = |arguments: &[&str]| level(&OperatorFlags::parse_from(["keda"].iter().chain(arguments)).common);
        assert_eq!(level(&[]), Level::INFO);
        for (name, expected) in [("ERROR", Level::ERROR), ("Debug", Level::DEBUG), ("2", Level::DEBUG)] {
            let flag = format!("--zap-log-level={name}");
            assert_eq!(level(&[flag.as_str()]), expected, "{name}");
        }
        assert_eq!(level(&["--zap-devel"]), Level::DEBUG);
        assert_eq!(level(&["--zap-devel", "--zap-log-level=info", "--v=4"]), Level::INFO, "what is asked for counts");
    }
}
