//! Findings as a good compiler shows them: file, line, column, the line itself with a caret, what to do.

use std::io::{self, IsTerminal, Write};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use keda_core::manifest::{Finding, Loaded, Span, Text};
use keda_core::problem::Severity;

use crate::hidden::Hidden;
use crate::links;

/// Characters of a line that are shown around the place; lines of a manifest can be megabytes long.
const WINDOW: usize = 60;

/// What is shown in place of a secret.
const HIDDEN: &str = "***";

/// Prints the findings on standard error, with colours on a terminal, and a line that counts them.
pub(crate) fn print(loaded: &Loaded) {
    let renderer = if io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    let hidden = Hidden::of(loaded);
    let mut out = io::stderr().lock();
    for finding in &loaded.findings {
        let Some(text) = loaded.sources.get(finding.location.source) else { continue };
        // Nobody can be told when standard error is closed.
        let link = links::of(loaded, finding);
        let _ = writeln!(out, "{}\n", rendered(&renderer, text, finding, &hidden, link.as_deref()));
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

/// What is wrong. Of a secret it is said what it should be, and not what it is.
pub(crate) fn message<'a>(finding: &'a Finding, hidden: &Hidden) -> &'a str {
    let place = (finding.location.source, Span { start: finding.location.start, end: finding.location.end });
    match finding.problem.message.split_once(", found ") {
        Some((expected, _)) if hidden.contains(place) => expected,
        _ => &finding.problem.message,
    }
}

fn rendered(renderer: &Renderer, text: &Text, finding: &Finding, hidden: &Hidden, link: Option<&str>) -> String {
    let problem = &finding.problem;
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(message(finding, hidden)).id(problem.rule.id);
    let window = Window::around(&Line::of(text, finding, hidden.places()));
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
    let group = match link {
        Some(link) => group.element(Level::NOTE.message(link)),
        None => group,
    };
    renderer.render(&[group])
}

/// The line of a finding without the values of Secrets, and the bytes in it that are meant.
struct Line {
    text: String,
    start: usize,
    end: usize,
}

impl Line {
    fn of(text: &Text, finding: &Finding, hidden: &[(usize, Span)]) -> Self {
        let location = finding.location;
        let mut line = text.line(location.line).to_string();
        let mut start = line.chars().take(location.column.saturating_sub(1)).map(char::len_utf8).sum();
        let first_byte = location.start.saturating_sub(start);
        let mut end = location.end.saturating_sub(first_byte).clamp(start, line.len());
        for (_, span) in hidden.iter().filter(|(source, _)| *source == location.source) {
            let from = span.start.saturating_sub(first_byte).min(line.len());
            let to = span.end.saturating_sub(first_byte).min(line.len());
            if from >= to || line.get(from..to).is_none() {
                continue;
            }
            line.replace_range(from..to, HIDDEN);
            let moved = |at: usize, inside: usize| match at {
                at if at <= from => at,
                at if at >= to => at - (to - from) + HIDDEN.len(),
                _ => inside,
            };
            (start, end) = (moved(start, from), moved(end, from + HIDDEN.len()));
        }
        Line { text: line, start, end }
    }
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
    fn around(line: &Line) -> Self {
        let characters = |range: std::ops::Range<usize>| line.text.get(range).map_or(0, |part| part.chars().count());
        let column = characters(0..line.start);
        let length = characters(line.start..line.end).clamp(1, 3 * WINDOW);
        let skipped = if column > 2 * WINDOW { column - WINDOW } else { 0 };
        let shown: String =
            line.text.chars().skip(skipped).take(3 * WINDOW).map(|c| if c == '\t' { ' ' } else { c }).collect();
        let byte_at = |character: usize| shown.char_indices().nth(character).map_or(shown.len(), |(byte, _)| byte);
        let start = byte_at(column - skipped);
        let end = byte_at(column - skipped + length).max(start);
        Window { line: shown, start, end, skipped }
    }
}
