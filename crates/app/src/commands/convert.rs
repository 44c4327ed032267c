//! `keda convert`: manifests of KEDA 1 as those of KEDA 2.

use keda_core::convert::{Conversion, Note, convert};
use keda_core::manifest::{Loaded, Text, load};
use keda_core::problem::Severity;

use crate::cli::Convert;
use crate::files::Reader;
use crate::{FINE, UNUSABLE, report};

/// Any error means: nothing on standard output, exit code 2.
pub(crate) fn run(arguments: &Convert) -> anyhow::Result<u8> {
    let manifests = &arguments.manifests;
    let mut loaded = load(&Reader::default().read(&manifests.paths, manifests.recursive)?);
    let conversion = convert(&mut loaded);
    report::print(&loaded);
    if loaded.findings.iter().any(|finding| manifests.strict || finding.problem.severity == Severity::Error) {
        return Ok(UNUSABLE);
    }
    for note in &conversion.notes {
        super::complain(&line(&loaded, note));
    }
    super::complain(&summary(&conversion));
    super::print_objects(&conversion.objects, arguments.output)?;
    Ok(FINE)
}

fn line(loaded: &Loaded, note: &Note) -> String {
    let file = loaded.sources.get(note.location.source).map(Text::name).unwrap_or_default();
    let to_do = if note.is_to_do { "to do: " } else { "" };
    format!("note: {file}:{}: {to_do}{}", note.location.line, note.text)
}

/// `3 objects converted, 1 passed on; 9 notes, 2 of them to do`.
fn summary(conversion: &Conversion) -> String {
    let Conversion { objects, converted, notes } = conversion;
    let to_do = notes.iter().filter(|note| note.is_to_do).count();
    let plural = if *converted == 1 { "" } else { "s" };
    let others = objects.len() - converted;
    format!("{converted} object{plural} converted, {others} passed on; {} notes, {to_do} of them to do", notes.len())
}
