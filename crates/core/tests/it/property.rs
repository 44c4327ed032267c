//! Whatever the bytes, loading ends, never panics, and every finding has a place in its text.

use keda_core::manifest::{Node, Source, load};
use proptest::prelude::*;

const SEED: &str = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata:\n  name: &n \"web\"\n  labels: {a: b, <<: {c: d}}\n\
                    spec:\n  scaleTargetRef: {name: *n}\n  triggers:\n  - type: cron\n    metadata:\n      text: |\n        é\n      \
                    other: 'x'\n---\n{\"kind\": \"List\", \"items\": [1, {\"a\": \"\\u00e9\"}]}\n";

const SCRAPS: &[&str] = &[
    "\n",
    "  ",
    "\t",
    "---\n",
    "...",
    "- ",
    "? ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "&n ",
    "*n",
    "<<: ",
    "!!binary ",
    "# ",
    "|\n",
    ">-\n",
    "\u{feff}",
    "é",
    "%YAML 1.2\n",
    "\\u12",
    "items:\n",
    "\r",
    "0x",
    ".inf",
    "@",
    "`",
];

fn check(bytes: Vec<u8>) {
    let loaded = load(&[Source::new("a", bytes)]);
    for finding in &loaded.findings {
        let text = loaded.sources[0].text();
        let place = finding.location;
        assert!(place.start <= place.end && text.get(place.start..place.end).is_some());
        assert!(place.line >= 1 && place.column >= 1);
    }
    for document in &loaded.documents {
        let json = document.node.to_json();
        assert_eq!(Node::from_json(&json).to_json(), json);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(bytes);
    }

    #[test]
    fn any_scraps_are_survived(scraps in prop::collection::vec(prop::sample::select(SCRAPS), 0..40)) {
        check(scraps.concat().into_bytes());
    }

    #[test]
    fn any_change_of_a_manifest_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..8, prop::sample::select(SCRAPS)), 1..6),
    ) {
        let mut text = SEED.as_bytes().to_vec();
        for (index, removed, scrap) in changes {
            let start = index.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, scrap.bytes());
        }
        check(text);
    }
}
