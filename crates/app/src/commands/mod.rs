//! The commands, one file each. A command returns the exit code.

mod completion;
mod convert;
mod crds;
mod docs;
mod explain;
mod explain_trigger;
mod get;
mod manifests;
mod new;
mod render;
mod schema;
mod up;
mod validate;
mod watch;

use std::io::Write;

use anyhow::Context;
use keda_scalers::registry::{self, TriggerType};
use serde::Serialize;

use crate::cli::{Arguments, Command, Format, Instance};
use crate::local::instance::{self, Answer, Question};
use crate::roles::Role;
use crate::settings::Settings;
use crate::{FINDINGS, FINE, UNUSABLE};

/// Runs a role, and reports what it could not report itself.
pub(crate) fn run_role(role: Role) -> u8 {
    reported(role.run())
}

fn reported(result: anyhow::Result<u8>) -> u8 {
    result.unwrap_or_else(|error| {
        complain(&format!("error: {error:#}"));
        UNUSABLE
    })
}

/// Runs a command, and reports what it could not report itself.
pub(crate) fn run(arguments: Arguments) -> u8 {
    if let Command::Operator(flags) = arguments.command {
        // The operator logs in a way of its own.
        return run_role(Role::All(flags));
    }
    // What libraries warn of goes to standard error; what keda has to tell, each command prints itself.
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).without_time().init();
    reported(match arguments.command {
        Command::Shim { folder } => return shim(&folder),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Render(arguments) => render::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Get(arguments) => get::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completion(arguments) => completion::run(&arguments),
        Command::Docs(arguments) => docs::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Crds(arguments) => crds::run(&arguments),
        Command::Manifests(arguments) => manifests::run(&arguments),
        Command::Operator(flags) => Role::All(flags).run(),
    })
}

/// The row of a trigger type; where there is none the user has been told, and the exit code is left.
fn trigger_type(name: &str) -> Result<&'static TriggerType, u8> {
    registry::find(name).ok_or_else(|| {
        let hint = match registry::similar(name) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "`keda docs` lists all".to_string(),
        };
        complain(&format!("error: there is no trigger type {name:?}; {hint}"));
        FINDINGS
    })
}

fn shim(folder: &std::path::Path) -> u8 {
    // An exit code cannot be read back; the shim's own code tells nothing that is not in its folder.
    let _ = crate::local::process::shim::run(folder);
    FINE
}

/// Asks a running `keda up`; `None` when there is none, which has been reported then.
fn ask(instance: &Instance, settings: &Settings, question: &Question) -> anyhow::Result<Option<Vec<Answer>>> {
    let state_directory = instance::state_directory(instance, settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(instance::ask(&state_directory, question)) {
        Ok(answers) => Ok(Some(answers)),
        Err(error) => {
            complain(&format!("error: {error:#}"));
            Ok(None)
        }
    }
}

/// A line on standard error.
pub(crate) fn complain(line: &str) {
    // Nobody can be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints objects: as one `v1` List in JSON, as documents with `---` between them in YAML.
pub(crate) fn print_objects<T: Serialize>(objects: &[T], format: Format) -> anyhow::Result<()> {
    let items = objects.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let text = match format {
        Format::Json => {
            let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
            serde_json::to_string_pretty(&list)? + "\n"
        }
        Format::Yaml => {
            let documents = items.iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>()?;
            documents.join("---\n")
        }
    };
    print(&text)
}

/// Prints a text on standard output. A reader that has gone is not an error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write the output"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn yaml_reads_back_the_same_for_a_reader_of_the_old_kind() {
        let value = json!({
            "flag": true, "number": 5, "text": "yes", "port": "8080", "octal": "0777", "colon": "a: b", "q": "1500m",
            "nested": { "a b": ["x", { "y": "z", "k": [[1, 2], []] }, "- no"], "multi": "a\nb", "empty": {}, "tilde": "~" },
        });
        let text = serde_saphyr::to_string(&value).unwrap();
        assert_eq!(keda_core::manifest::parse_value(&text).unwrap(), value, "{text}");
    }
}
