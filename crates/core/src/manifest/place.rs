//! A path that costs nothing until it is needed: each step of a walk lies on the stack.

use crate::problem::{Path, Step};

/// Where a walk through a document is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// At the document itself.
    Root,
    /// Below a key of another place.
    Key(&'a Place<'a>, &'a str),
    /// Below an index of another place.
    Index(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    /// Whether this is the document itself.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self, Place::Root)
    }

    /// The place below a key.
    pub(crate) fn key(&'a self, key: &'a str) -> Place<'a> {
        Place::Key(self, key)
    }

    /// The place below an index.
    pub(crate) fn index(&'a self, index: usize) -> Place<'a> {
        Place::Index(self, index)
    }

    /// The path to keep.
    pub(crate) fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut place = *self;
        loop {
            match place {
                Place::Root => break,
                Place::Key(parent, key) => {
                    steps.push(Step::Key(key.to_owned()));
                    place = *parent;
                }
                Place::Index(parent, index) => {
                    steps.push(Step::Index(index));
                    place = *parent;
                }
            }
        }
        steps.reverse();
        Path(steps)
    }
}
