//! Patterns for names of blobs. There are no separators in them: a star stands for slashes too.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, escape};

/// Makes a regular expression of a pattern; one slash at its beginning is left out, as no blob's name has one.
///
/// # Errors
/// What is wrong with the pattern.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut rest = pattern.strip_prefix('/').unwrap_or(pattern).chars().peekable();
    let mut expression = String::from("(?s)^");
    let mut open_groups = 0;
    while let Some(character) = rest.next() {
        match character {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => class(&mut rest, &mut expression)?,
            '{' => {
                open_groups += 1;
                expression.push_str("(?:");
            }
            ',' if open_groups > 0 => expression.push('|'),
            '}' if open_groups > 0 => {
                open_groups -= 1;
                expression.push(')');
            }
            '\\' => expression.extend(rest.next().map(literal)),
            other => expression.push_str(&literal(other)),
        }
    }
    // A group that nothing closes ends with the pattern.
    expression.push_str(&")".repeat(open_groups));
    expression.push('$');
    Regex::new(&expression).map_err(|_| "it is too large".to_string())
}

/// What follows an opening bracket: `a-z` or single characters, none of which stand for a range then.
fn class(rest: &mut Peekable<Chars<'_>>, expression: &mut String) -> Result<(), String> {
    let unclosed = || "unexpected end of input".to_string();
    expression.push('[');
    if rest.next_if_eq(&'!').is_some() {
        expression.push('^');
    }
    let first = rest.next().ok_or_else(unclosed)?;
    if rest.next_if_eq(&'-').is_some() {
        let last = rest.next().ok_or_else(unclosed)?;
        if rest.next().ok_or_else(unclosed)? != ']' {
            return Err("expected close range character".to_string());
        }
        if last < first {
            return Err(format!("hi character '{last}' should be greater than lo '{first}'"));
        }
        expression.push_str(&format!("{}-{}]", literal(first), literal(last)));
        return Ok(());
    }
    let mut characters = String::new();
    let mut next = first;
    while next != ']' {
        let character = if next == '\\' { rest.next().ok_or_else(unclosed)? } else { next };
        characters.push_str(&literal(character));
        next = rest.next().ok_or_else(unclosed)?;
    }
    if characters.is_empty() {
        return Err("could not parse range".to_string());
    }
    expression.push_str(&format!("{characters}]"));
    Ok(())
}

fn literal(character: char) -> String {
    escape(character.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_slashes_too() {
        let matches = |pattern, name| compile(pattern).is_ok_and(|expression| expression.is_match(name));
        for (pattern, name) in [
            ("/in/*.txt", "in/deep/d.txt"),
            ("in/**", "in/a"),
            ("?.{txt,js*}", "é.json"),
            ("[!a-c][-x]", "d-"),
            ("[a.b]", "."),
            (r"\*[\]]", "*]"),
            ("a}b,c]", "a}b,c]"),
            ("{a,b", "b"),
            ("", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.txt", "a.txt2"), ("[!a-c]", "b"), ("a.c", "abc"), ("[a-c]", "-")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn brackets_have_an_end_and_something_between() {
        for (pattern, expected) in [
            (r"[\]", "unexpected end of input"),
            ("[", "unexpected end of input"),
            ("[a-", "unexpected end of input"),
            ("[]", "could not parse range"),
            ("[!]", "could not parse range"),
            ("[a-z0-9]", "expected close range character"),
            ("[z-a]", "hi character 'a' should be greater than lo 'z'"),
        ] {
            assert_eq!(compile(pattern).unwrap_err(), expected, "{pattern}");
        }
    }
}
