//! A text that is neither YAML nor JSON: what is wrong, in plain words, and where.

use super::node::Span;
use crate::rule::{self, Rule};

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The rule that is broken.
    pub rule: Rule,
    /// Where in the source.
    pub span: Span,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<&'static str>,
}

impl SyntaxError {
    /// An error at one byte of the text.
    pub fn at(offset: usize, message: impl Into<String>) -> Self {
        SyntaxError {
            rule: rule::SYNTAX,
            span: Span { start: offset, end: offset.saturating_add(1) },
            message: message.into(),
            help: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn with_help(self, help: &'static str) -> Self {
        SyntaxError { help: Some(help), ..self }
    }

    /// The same error under another rule.
    #[must_use]
    pub fn under(self, rule: Rule) -> Self {
        SyntaxError { rule, ..self }
    }

    /// The error that the YAML scanner reported as `info` at byte `offset` of `text`.
    pub fn from_scanner(info: &str, text: &str, offset: usize) -> Self {
        if let Some(tab) = indentation_tab(text, offset) {
            return SyntaxError::at(tab, "a tab is used for indentation")
                .with_help("YAML is indented with spaces only");
        }
        if let Some(colon) = colon_without_space(text, offset) {
            return SyntaxError::at(colon, "a space is missing after the ':'")
                .with_help("a key and its value are separated by ': '");
        }
        // What is missing at the end of the text is missed after its last visible character.
        let last = text.trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
        let offset = offset.min(last);
        let (message, help) = plain_words(info);
        let error = SyntaxError::at(offset, message.unwrap_or_else(|| format!("this is not valid YAML: {info}")));
        SyntaxError { help, ..error }
    }
}

/// The first tab before the first visible character of the line that holds `offset`, or of the line before it.
fn indentation_tab(text: &str, offset: usize) -> Option<usize> {
    let line_start = |end: usize| text.get(..end).and_then(|head| head.rfind('\n')).map_or(0, |newline| newline + 1);
    let tab_in = |start: usize| {
        let line = text.get(start..)?.lines().next()?;
        let indentation = line.get(..line.len() - line.trim_start().len())?;
        indentation.find('\t').filter(|_| !line.trim().is_empty()).map(|column| start + column)
    };
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start = line_start(end);
    tab_in(start).or_else(|| tab_in(line_start(start.checked_sub(1)?)))
}

/// The colon of a key that its value follows at once, in the line that holds `offset` or the one before it.
fn colon_without_space(text: &str, offset: usize) -> Option<usize> {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start_of = |end: usize| text.get(..end).and_then(|head| head.rfind('\n')).map_or(0, |newline| newline + 1);
    let colon_in = |start: usize| {
        let line = text.get(start..)?.lines().next()?;
        let key = line.trim_start_matches([' ', '-']);
        let length = key.find(|character: char| !character.is_ascii_alphanumeric())?;
        let mut after = key.get(length..)?.strip_prefix(':')?.chars();
        let is_value =
            after.next().is_some_and(|next| next.is_alphanumeric() || matches!(next, '"' | '\'' | '[' | '{'));
        (length > 0 && is_value && !key.contains(": ")).then_some(start + line.len() - key.len() + length)
    };
    let start = start_of(end);
    colon_in(start).or_else(|| colon_in(start_of(start.checked_sub(1)?)))
}

/// The scanner's terms said so that a user of YAML understands them.
fn plain_words(info: &str) -> (Option<String>, Option<&'static str>) {
    const ALIGN: Option<&str> = Some("check the indentation: entries of one mapping or list start in the same column");
    const QUOTE: Option<&str> = Some("put the text in quotes, or check the indentation");
    let (message, help) = match info {
        "while scanning a quoted scalar, found unexpected end of stream"
        | "while scanning a quoted scalar, found unexpected document indicator" => {
            ("a quotation mark is opened here and never closed", None)
        }
        "invalid indentation in quoted scalar" => (
            "the quoted text that starts here goes on in a line that is not indented",
            Some("is its closing quotation mark missing?"),
        ),
        "mapping values are not allowed in this context" | "illegal placement of ':' indicator" => {
            ("a ':' is not expected here", QUOTE)
        }
        "simple key expected" | "simple key expect ':'" => ("a key is expected to be followed by ':' here", ALIGN),
        "while parsing a block mapping, did not find expected key" | "mapping keys are not allowed in this context" => {
            ("this line does not fit the mapping it stands in", ALIGN)
        }
        "while parsing a block collection, did not find expected '-' indicator" => {
            ("this line does not fit the list it stands in", ALIGN)
        }
        "block sequence entries are not allowed in this context" => ("a list item ('-') is not expected here", ALIGN),
        "invalid indentation" | "invalid indentation in flow construct" | "wrongly indented line in block scalar" => {
            ("this line is not indented as the lines around it", ALIGN)
        }
        "while parsing a flow sequence, expected ',' or ']'" => ("a list in [ ] lacks a ',' or its ']'", None),
        "while parsing a flow mapping, did not find expected ',' or '}'" => {
            ("a mapping in { } lacks a ',' or its '}'", None)
        }
        "comment intercepting the multiline text" => ("the text above has ended with its comment", ALIGN),
        "misplaced bracket" => ("a closing bracket has no opening one", None),
        "while parsing node, found unknown anchor" => ("this alias names an anchor that is not defined above", None),
        "while parsing a quoted scalar, found unknown escape character" => {
            ("this escape sequence is not known inside double quotes", Some("use single quotes, or write \\\\"))
        }
        "recursion limit exceeded" => ("the values are nested too deeply", None),
        "while parsing a node, did not find expected node content" => ("a value is expected here", QUOTE),
        "invalid trailing content after double-quoted scalar" => {
            ("something follows the closing quotation mark", Some("quote the whole value, or none of it"))
        }
        "did not find expected <document start>" => ("the document ends above, and this does not belong to it", ALIGN),
        _ if info.starts_with("unexpected character") || info.contains("cannot start any token") => {
            ("a value cannot start with this character", QUOTE)
        }
        _ => return (None, None),
    };
    (Some(message.to_owned()), help)
}
