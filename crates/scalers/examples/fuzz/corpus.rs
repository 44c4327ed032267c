//! The texts that inputs are made from.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::dictionary::Vocabulary;
use crate::mutation::{Mutation, mutations};

/// Texts, and the words that may turn up in them.
#[derive(Debug)]
pub(crate) struct Corpus {
    pub(crate) texts: Vec<Vec<u8>>,
    pub(crate) vocabulary: Vocabulary,
}

impl Corpus {
    /// The text of `start` after some changes.
    pub(crate) fn change(&self, start: Index, mutations: &[Mutation]) -> Vec<u8> {
        let mut text = start.get(&self.texts).clone();
        self.mutate(&mut text, mutations);
        text
    }

    /// Changes a text of somewhere else.
    pub(crate) fn mutate(&self, text: &mut Vec<u8>, mutations: &[Mutation]) {
        for mutation in mutations {
            mutation.apply(text, self);
        }
    }
}

/// Texts of the corpus with one to eight changes.
pub(crate) fn changed(corpus: &Arc<Corpus>) -> impl Strategy<Value = Vec<u8>> + use<> {
    let corpus = Arc::clone(corpus);
    (any::<Index>(), some(mutations)).prop_map(move |(start, mutations)| corpus.change(start, &mutations))
}

/// One to eight changes, rather few than many: the more there are, the less is left of what is valid.
pub(crate) fn some<C: Strategy>(changes: impl Fn() -> C) -> impl Strategy<Value = Vec<C::Value>> {
    prop_oneof![3 => vec(changes(), 1..=2), 1 => vec(changes(), 3..=8)]
}

/// The files of a folder and its subfolders, in the order of their names.
///
/// # Errors
/// What cannot be read; that there is nothing.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut texts = Vec::new();
    collect(folder, &mut texts)?;
    match texts.is_empty() {
        true => Err(io::Error::other(format!("there is no corpus in {}", folder.display()))),
        false => Ok(texts),
    }
}

fn collect(folder: &Path, texts: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    let entries: io::Result<Vec<_>> =
        fs::read_dir(folder).map_err(about)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, texts)?;
        } else {
            texts.push(fs::read(&entry)?);
        }
    }
    Ok(())
}
