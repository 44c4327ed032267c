//! Changes of a text: of bytes, lines, words and values, and what is nested or repeated.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::corpus::Corpus;

/// Bytes above which a text is cut off.
const LARGEST: usize = 256 << 10;

/// One change. Positions are fractions of whatever there is to choose from.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    /// Flips bits of a byte.
    Flip(Index, u8),
    /// Puts bytes in.
    Insert(Index, Vec<u8>),
    /// Puts a piece of syntax in.
    Scrap(Index, Index),
    /// Takes bytes out.
    Delete(Index, usize),
    /// Puts a part of another text of the corpus in.
    Splice { at: Index, other: Index, from: Index, to: Index },
    /// Changes a line.
    Line(Index, LineChange),
    /// Puts something remarkable in place of a value: what stands after a `: `.
    Value(Index, Index),
    /// Puts something remarkable in place of a word.
    Scalar(Index, Index),
    /// Puts a known word in place of a word.
    Word(Index, Index),
    /// Opens brackets and the like many times.
    Nest(Index, Index, usize),
    /// Repeats a part.
    Repeat(Index, usize, usize),
}

#[derive(Debug, Clone)]
pub(crate) enum LineChange {
    Duplicate,
    Delete,
    /// To the place of another line.
    Move(Index),
    Indent(usize),
    Dedent(usize),
}

/// Any change; those that make a text large are rare, as they take long.
pub(crate) fn mutations() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let powers = |range: Range<u32>| range.prop_map(|power| 1_usize << power);
    prop_oneof![
        6 => (at(), 1..=u8::MAX).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        6 => (at(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        12 => (at(), at()).prop_map(|(at, scrap)| Mutation::Scrap(at, scrap)),
        6 => (at(), 1_usize..24).prop_map(|(at, length)| Mutation::Delete(at, length)),
        6 => (at(), at(), at(), at()).prop_map(|(at, other, from, to)| Mutation::Splice { at, other, from, to }),
        16 => (at(), line_changes()).prop_map(|(at, change)| Mutation::Line(at, change)),
        16 => (at(), at()).prop_map(|(at, scalar)| Mutation::Value(at, scalar)),
        8 => (at(), at()).prop_map(|(at, scalar)| Mutation::Scalar(at, scalar)),
        20 => (at(), at()).prop_map(|(at, word)| Mutation::Word(at, word)),
        1 => (at(), at(), powers(1..13)).prop_map(|(at, opening, depth)| Mutation::Nest(at, opening, depth)),
        1 => (at(), powers(0..9), powers(1..11)).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
    ]
}

fn line_changes() -> impl Strategy<Value = LineChange> {
    prop_oneof![
        Just(LineChange::Duplicate),
        Just(LineChange::Delete),
        any::<Index>().prop_map(LineChange::Move),
        (1_usize..9).prop_map(LineChange::Indent),
        (1_usize..9).prop_map(LineChange::Dedent),
    ]
}

impl Mutation {
    pub(crate) fn apply(&self, text: &mut Vec<u8>, corpus: &Corpus) {
        let vocabulary = &corpus.vocabulary;
        match self {
            Mutation::Flip(at, bits) => {
                let at = within(*at, text.len());
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Mutation::Insert(at, bytes) => put(text, *at, bytes),
            Mutation::Scrap(at, scrap) => put(text, *at, scrap.get(&vocabulary.scraps).as_bytes()),
            Mutation::Delete(at, length) => {
                let from = within(*at, text.len());
                text.drain(from..(from + length).min(text.len()));
            }
            Mutation::Splice { at, other, from, to } => {
                let other = other.get(&corpus.texts);
                let (from, to) = (from.index(other.len() + 1), to.index(other.len() + 1));
                put(text, *at, other.get(from.min(to)..from.max(to)).unwrap_or_default());
            }
            Mutation::Line(at, change) => change.apply(text, *at),
            Mutation::Value(at, scalar) => replace(text, &values(text), *at, scalar.get(&vocabulary.scalars).as_str()),
            Mutation::Scalar(at, scalar) => replace(text, &words(text), *at, scalar.get(&vocabulary.scalars).as_str()),
            Mutation::Word(at, word) => replace(text, &words(text), *at, word.get(&vocabulary.words).as_str()),
            Mutation::Nest(at, opening, depth) => {
                put(text, *at, opening.get(&vocabulary.openings).repeat(*depth).as_bytes());
            }
            Mutation::Repeat(at, length, times) => {
                let from = within(*at, text.len());
                let part = text.get(from..(from + length).min(text.len())).unwrap_or_default();
                let times = (*times).min(LARGEST / part.len().max(1));
                let repeated = part.repeat(times);
                text.splice(from..from, repeated);
            }
        }
        text.truncate(LARGEST);
    }
}

impl LineChange {
    fn apply(&self, text: &mut Vec<u8>, at: Index) {
        let changed;
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.is_empty() {
            return;
        }
        let at = at.index(lines.len());
        let line = lines.remove(at);
        match self {
            LineChange::Duplicate => {
                lines.splice(at..at, [line, line]);
            }
            LineChange::Delete => {}
            LineChange::Move(to) => lines.insert(to.index(lines.len() + 1), line),
            LineChange::Indent(by) => {
                changed = [b" ".repeat(*by).as_slice(), line].concat();
                lines.insert(at, &changed);
            }
            LineChange::Dedent(by) => {
                let blanks = line.iter().take(*by).take_while(|byte| **byte == b' ').count();
                lines.insert(at, line.get(blanks..).unwrap_or_default());
            }
        }
        *text = lines.concat();
    }
}

/// An index below `length`, or 0.
fn within(at: Index, length: usize) -> usize {
    if length == 0 { 0 } else { at.index(length) }
}

fn put(text: &mut Vec<u8>, at: Index, bytes: &[u8]) {
    let at = at.index(text.len() + 1);
    text.splice(at..at, bytes.iter().copied());
}

fn replace(text: &mut Vec<u8>, places: &[Range<usize>], at: Index, with: &str) {
    if !places.is_empty() {
        text.splice(at.get(places).clone(), with.bytes());
    }
}

/// What stands after a `: ` up to the end of its line.
fn values(text: &[u8]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.trim_ascii_end().len();
        let colon = line.windows(2).position(|pair| pair == b": ");
        places.extend(colon.map(|colon| start + colon + 2..end.max(start + colon + 2)));
        start += line.len();
    }
    places
}

/// The words of a text: letters, digits and what holds names together.
fn words(text: &[u8]) -> Vec<Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    let mut places = Vec::new();
    let mut start = 0;
    for word in text.split(|byte| !is_part(byte)) {
        if !word.is_empty() {
            places.push(start..start + word.len());
        }
        start += word.len() + 1;
    }
    places
}
