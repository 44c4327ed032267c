//! Formulas, and the other small languages that users write in: schedules, durations, quantities, selectors, paths.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use keda_core::cron::{Schedule, find_time_zone};
use keda_core::engine::Modifiers;
use keda_core::formula::{self, Outcome};
use keda_core::manifest::parse_value;
use keda_core::quantity::Quantity;
use keda_core::{duration, names};
use keda_scalers::format::prometheus_text::Selector;
use keda_scalers::format::{dotted_path, gjson, label_selector};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::{Deserialize, Serialize};

use crate::corpus::{Corpus, changed, files};
use crate::dictionary::Vocabulary;
use crate::runner::Target;

/// Instants from which schedules are asked for their next firing: years without and with a leap day, the last second.
const INSTANTS: [i64; 4] = [0, 1_709_164_799, 1_761_440_400, 253_402_207_200];

/// What triggers may be worth.
const NUMBERS: [Option<f64>; 6] = [Some(-1.0), Some(0.0), Some(3.5), Some(f64::MAX), Some(f64::NAN), None];

pub(crate) struct Formula {
    /// One text on a line of the files.
    texts: Arc<Corpus>,
    /// What paths and selectors are looked up in; each is a file.
    documents: Arc<Corpus>,
}

/// A text, and what it is looked up in if it is a path or selector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Input {
    text: String,
    #[serde(default)]
    document: String,
}

impl Formula {
    pub(crate) fn new(corpus: &Path) -> io::Result<Self> {
        let folder = corpus.join(Self::NAME);
        let texts = files(&folder.join("texts"))?.concat();
        let lines = texts.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let texts = Corpus { texts: lines, vocabulary: Vocabulary::of_formulas() };
        let documents = Corpus { texts: files(&folder.join("documents"))?, vocabulary: Vocabulary::of_formulas() };
        Ok(Formula { texts: Arc::new(texts), documents: Arc::new(documents) })
    }
}

impl Target for Formula {
    type Input = Input;

    const NAME: &'static str = "formula";

    fn corpus(&self) -> Vec<Input> {
        let with_each = |text: &Vec<u8>| {
            let text = lossy(text);
            let input = move |document: &Vec<u8>| Input { text: text.clone(), document: lossy(document) };
            self.documents.texts.iter().map(input)
        };
        self.texts.texts.iter().flat_map(with_each).collect()
    }

    fn mutated(&self) -> BoxedStrategy<Input> {
        let documents = Arc::clone(&self.documents);
        let as_it_is = any::<Index>().prop_map(move |at| at.get(&documents.texts).clone());
        let document = prop_oneof![3 => as_it_is, 1 => changed(&self.documents)];
        (changed(&self.texts), document)
            .prop_map(|(text, document)| Input { text: lossy(&text), document: lossy(&document) })
            .boxed()
    }

    fn read(&self, bytes: &[u8]) -> Vec<Input> {
        vec![serde_json::from_slice(bytes).unwrap_or_else(|_| Input { text: lossy(bytes), ..Input::default() })]
    }

    fn written(&self, input: &Input) -> Vec<u8> {
        serde_json::to_vec(input).unwrap_or_default()
    }

    fn run(&self, Input { text, document }: &Input) -> Result<bool, String> {
        let is_formula = as_formula(text);
        let is_schedule = as_schedule(text)?;
        let is_quantity = as_quantity(text)?;
        let is_duration = duration::parse(text).is_ok();
        let is_found = parse_value(document).is_ok_and(|value| {
            let _ = dotted_path::walk(&value, text);
            gjson::get(&value, text).is_some()
        });
        let is_selected = Selector::parse(text).is_ok_and(|selector| selector.find(document).is_ok());
        let _ = (label_selector::check(text), names::normalize(text), find_time_zone(text));
        Ok(is_formula || is_schedule || is_quantity || is_duration || is_found || is_selected)
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Whether it has a value.
fn as_formula(text: &str) -> bool {
    let names: BTreeSet<String> = ["a", "b", "queue"].map(str::to_string).into();
    let modifiers = Modifiers { formula: text.to_string(), target: "2".to_string(), ..Modifiers::default() };
    // The text in the place of the target, too.
    let _ =
        formula::check(&Modifiers { formula: "a".to_string(), target: text.to_string(), ..modifiers.clone() }, &names);
    if formula::check(&modifiers, &names).is_err() {
        return false;
    }
    let _ = formula::ignores(text, &names, "a");
    for (turn, _) in NUMBERS.iter().enumerate() {
        let numbers = NUMBERS.iter().cycle().skip(turn).copied();
        let values: BTreeMap<String, Option<f64>> = names.iter().cloned().zip(numbers).collect();
        if let Ok(Outcome::Number(number)) = formula::evaluate(text, &values) {
            let _ = formula::composite_quantity(number).to_string();
        }
    }
    true
}

/// A firing must be later than the instant that it comes after.
fn as_schedule(text: &str) -> Result<bool, String> {
    let Ok(schedule) = Schedule::parse(text) else { return Ok(false) };
    for zone in ["UTC", "Europe/Berlin", "Australia/Lord_Howe"] {
        let zone = find_time_zone(zone)?;
        for instant in INSTANTS.into_iter().filter_map(|seconds| Timestamp::from_second(seconds).ok()) {
            if let Some(next) = schedule.next(instant, &zone).filter(|next| *next <= instant) {
                return Err(format!("{next} does not come after {instant}"));
            }
        }
    }
    Ok(true)
}

/// A quantity must be read as the same number when it was written.
fn as_quantity(text: &str) -> Result<bool, String> {
    let Ok(quantity) = Quantity::from_str(text) else { return Ok(false) };
    let written = quantity.to_string();
    match Quantity::from_str(&written) {
        Ok(again) if again == quantity => Ok(true),
        again => Err(format!("the quantity is written as {written:?}, and that is read as {again:?}")),
    }
}
