//! Findings as a good compiler shows them: file, line, column, the line itself with a caret, what to do.

use std::io::{self, IsTerminal, Write};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use keda_core::manifest::{Finding, Loaded, Text};
use keda_core::problem::Severity;

/// Characters of a line that are shown around the place; lines of a manifest can be megabytes long.
const WINDOW: usize = 60;

/// Prints the findings on standard error, with colours on a terminal, and a line that counts them.
pub(crate) fn print(loaded: &Loaded) {
    let renderer = if io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    let mut out = io::stderr().lock();
    for finding in &loaded.findings {
        let Some(text) = loaded.sources.get(finding.location.source) else { continue };
        // Nobody can be told when standard error is closed.
        let _ = writeln!(out, "{}\n", rendered(&renderer, text, finding));
    }
    if let Some(summary) = summary(&loaded.findings) {
        let _ = writeln!(out, "{summary}");
    }
}

/// `2 errors, 1 warning`.
pub(crate) fn summary(findings: &[Finding]) -> Option<String> {
    let count = |severity, word: &str| {
        let number = findings.iter().filter(|finding| finding.problem.severity == severity).count();
        (number > 0).then(|| format!("{number} {word}{}", if number == 1 { "" } else { "s" }))
    };
    let parts: Vec<String> =
        [count(Severity::Error, "error"), count(Severity::Warning, "warning")].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn rendered(renderer: &Renderer, text: &Text, finding: &Finding) -> String {
    let problem = &finding.problem;
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str()).id(problem.rule);
    let window = Window::around(text, finding);
    let path = problem.path.to_string();
    let label = if path.is_empty() { "here".to_string() } else { path };
    // The renderer adds line and column; of a line that is shown in part it would give the wrong column.
    let place = match window.skipped {
        0 => text.name().to_string(),
        _ => format!("{} (column {})", text.name(), finding.location.column),
    };
    let snippet = Snippet::source(window.line.as_str())
        .line_start(finding.location.line)
        .path(place)
        .annotation(AnnotationKind::Primary.span(window.start..window.end).label(label.as_str()));
    let group = title.element(snippet);
    let group = match &problem.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    };
    renderer.render(&[group])
}

/// The part of a line that is shown, and the bytes in it that are meant.
struct Window {
    line: String,
    start: usize,
    end: usize,
    /// Characters before it.
    skipped: usize,
}

impl Window {
    fn around(text: &Text, finding: &Finding) -> Self {
        let line = text.line(finding.location.line);
        let column = finding.location.column.saturating_sub(1);
        let skipped = if column > 2 * WINDOW { column - WINDOW } else { 0 };
        let shown: String =
            line.chars().skip(skipped).take(3 * WINDOW).map(|c| if c == '\t' { ' ' } else { c }).collect();
        let byte_at = |character: usize| shown.char_indices().nth(character).map_or(shown.len(), |(byte, _)| byte);
        let start = byte_at(column - skipped);
        let length = text
            .text()
            .get(finding.location.start..finding.location.end)
            .and_then(|span| span.lines().next())
            .map_or(1, |span| span.chars().take(3 * WINDOW).count().max(1));
        let end = byte_at(column - skipped + length).max(start);
        Window { line: shown, start, end, skipped }
    }
}
