//! Regular expressions for the names of queues and subscriptions, in the syntax of Go.
//!
//! The two syntaxes are nearly the same. What means only itself to Go is escaped here: braces that count nothing,
//! brackets within brackets, signs that make sets of sets. Names are ASCII, and so are the classes of characters.

use regex::bytes::{Regex, RegexBuilder};

/// Most repetitions that Go counts.
const MOST_REPETITIONS: u32 = 1000;

/// The expression for a pattern, which matches whole names alone, as the longest match counts; `None` if it is none.
pub(super) fn compile(pattern: &str) -> Option<Regex> {
    let expression = translate(pattern)?;
    let build = |expression: &str| RegexBuilder::new(expression).unicode(false).build().ok();
    // By itself first: `a)|(b` is none, and would be one within a group.
    build(&expression)?;
    build(&format!(r"\A(?:{expression})\z"))
}

fn translate(pattern: &str) -> Option<String> {
    let mut expression = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut after_repetition = false;
    while let Some(first) = rest.chars().next() {
        let opens_group = expression.ends_with('(') && !expression.ends_with(r"\(");
        let counted = count(rest);
        if counted.is_some_and(|length| !is_small(&rest[1..length - 1])) {
            return None;
        }
        let repetition = counted.is_some() || matches!(first, '*' | '+' | '?') && !opens_group;
        if repetition && after_repetition {
            return None;
        }
        let length = match first {
            '\\' => escape(rest, &mut expression),
            '[' => class(rest, &mut expression),
            '{' if counted.is_none() => {
                expression.push_str(r"\{");
                1
            }
            _ => {
                let length = counted.unwrap_or(first.len_utf8());
                expression.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
        if repetition && let Some(short) = rest.strip_prefix('?') {
            expression.push('?');
            rest = short;
        }
        after_repetition = repetition;
    }
    Some(expression)
}

/// The length of `{3}`, `{3,}` or `{3,5}` at the beginning.
fn count(text: &str) -> Option<usize> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (number(least) && (most.is_empty() || number(most))).then_some(inside.len() + 2)
}

/// Whether Go counts as far as `3`, `3,` or `3,5` says.
fn is_small(counts: &str) -> bool {
    let mut numbers = counts.split(',').filter(|number| !number.is_empty());
    numbers.all(|number| number.parse::<u32>().is_ok_and(|number| number <= MOST_REPETITIONS))
}

/// Writes what begins with a backslash, and gives its length.
fn escape(text: &str, expression: &mut String) -> usize {
    if let Some(quoted) = text.strip_prefix(r"\Q") {
        let (quoted, end) = quoted.split_once(r"\E").map_or((quoted, 0), |(quoted, _)| (quoted, 2));
        expression.push_str(&regex::escape(quoted));
        return 2 + quoted.len() + end;
    }
    let second = text.chars().nth(1);
    let length = match second {
        Some('x' | 'p' | 'P') if text[2..].starts_with('{') => text.find('}').map_or(text.len(), |end| end + 1),
        second => 1 + second.map_or(0, char::len_utf8),
    };
    let sign_of_words = matches!(second, Some('<' | '>'));
    expression.push_str(if sign_of_words { &text[1..length] } else { &text[..length] });
    length
}

/// Writes what stands in brackets, and gives its length.
fn class(text: &str, expression: &mut String) -> usize {
    let start = if text.starts_with("[^") { 2 } else { 1 };
    expression.push_str(&text[..start]);
    let mut position = start;
    while let Some(character) = text[position..].chars().next() {
        let rest = &text[position..];
        let named = rest.strip_prefix("[:").and_then(|rest| rest.find(":]"));
        position += match (character, named) {
            (']', _) if position > start => {
                expression.push(']');
                return position + 1;
            }
            ('\\', _) => escape(rest, expression),
            ('[', Some(name)) => {
                let length = name + 4;
                expression.push_str(&rest[..length]);
                length
            }
            ('[' | ']' | '&' | '~', _) => {
                expression.extend(['\\', character]);
                1
            }
            _ => {
                expression.push(character);
                character.len_utf8()
            }
        };
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_go_are_understood() {
        for (pattern, name) in [
            ("^orders-[0-9]{1,3}$", "orders-12"),
            ("(?i)Orders.*?", "orders"),
            (r"We/ird:name %{x}\.é_UPPER~1", "We/ird:name %{x}.é_UPPER~1"),
            (r"[[:alpha:]_&&[\]]+{,2}", "a_&[]{,2}"),
            (r"\Qa.b\E\x{63}*\<", "a.bcc<"),
            ("(?:a|b)+-(?P<n>c)", "ab-c"),
        ] {
            assert!(compile(pattern).is_some_and(|pattern| pattern.is_match(name.as_bytes())), "{pattern}");
        }
    }

    #[test]
    fn the_longest_match_counts_and_is_the_whole_name() {
        let matches = |pattern, name: &str| compile(pattern).is_some_and(|pattern| pattern.is_match(name.as_bytes()));
        for (pattern, name) in [("orders|orders-.*", "orders-a"), ("orders-.*?", "orders-a"), ("a|b", "b")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("orders", "orders-a"), ("orders", "my-orders"), ("a|b", "ab")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in ["a)|(b", "*", "a**", "a{2}{3}", "a+?*", "(", "[a", r"a\", "a{1001}", "(?=a)", "a{2,1}"] {
            assert!(compile(pattern).is_none(), "{pattern}");
        }
    }
}
