//! Broken manifests: each mistake has a place and plain words.

use keda_core::manifest::{Loaded, Source, load};

/// The findings as `line:column rule: message`.
fn found(text: impl Into<Vec<u8>>) -> Vec<String> {
    describe(&load(&[Source::new("a.yaml", text)]))
}

fn describe(loaded: &Loaded) -> Vec<String> {
    let findings = loaded.findings.iter();
    findings
        .map(|finding| {
            let problem = &finding.problem;
            let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{}:{} {}: {}{help}", finding.location.line, finding.location.column, problem.rule, problem.message)
        })
        .collect()
}

fn scaled_object(spec: &str) -> String {
    format!("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: a}}\nspec:\n{spec}")
}

#[test]
fn syntax_errors_are_said_in_plain_words() {
    let cases: [(&str, &str); 9] = [
        ("a:\n\tb: 1\n", "2:1 syntax: a tab is used for indentation"),
        ("a:\n  b: 1\n c: 2\n", "3:2 syntax: this line does not fit the mapping it stands in"),
        ("a: 'x\nb: 2\n", "1:4 syntax: the quoted text that starts here goes on in a line that is not indented"),
        ("a: \"x", "1:4 syntax: a quotation mark is opened here and never closed"),
        ("a: b: c\n", "1:5 syntax: a ':' is not expected here"),
        ("a: [1, 2\n", "syntax: a list in [ ] lacks a ',' or its ']'"),
        ("a: *nothing\n", "1:4 syntax: this alias names an anchor that is not defined above"),
        ("{\"a\": 1,\n \"b\" 2}", "2:6 syntax: a ':' is expected after the key"),
        ("a: .inf\n", "1:4 syntax: the number .inf cannot be used"),
    ];
    for (text, expected) in cases {
        let found = found(text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text:?}: {found:?}");
    }
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let loaded =
        load(&[Source::new("a.yaml", "a: 'x\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\nc: [\n")]);
    assert_eq!(loaded.documents.len(), 1);
    assert_eq!(loaded.findings.iter().map(|finding| finding.location.line).collect::<Vec<_>>(), [1, 7]);
}

#[test]
fn what_is_not_text_is_refused() {
    assert_eq!(
        found(vec![b'a', b':', b' ', 0xc3, 0x28]),
        ["1:4 encoding: this is not a text in UTF-8: byte 3 is 0xc3"]
    );
    assert!(found(b"\x7fELF\0\x01".to_vec())[0].starts_with("1:1 encoding: the control character U+007F"));
    assert!(found(b"a: b\nc: \0".to_vec())[0].starts_with("2:4 encoding: the control character U+0000"));
    assert!(found(vec![0xff, 0xfe, b'a', 0])[0].contains("UTF-16"));
}

#[test]
fn misspelt_and_missing_fields_explain_each_other() {
    let text = scaled_object("  scaleTargetRf: {name: web}\n  triggers:\n  - type: cron\n    metdata: {}\n");
    assert_eq!(
        found(text),
        [
            "4:1 missing-field: the field scaleTargetRef is missing ('scaleTargetRf' looks like it)",
            "5:3 unknown-field: the field scaleTargetRf is unknown (did you mean 'scaleTargetRef'?)",
            "7:5 missing-field: the field metadata is missing ('metdata' looks like it)",
            "8:5 unknown-field: the field metdata is unknown (did you mean 'metadata'?)",
        ]
    );
}

#[test]
fn wrong_types_and_values_are_pointed_at() {
    let spec = "  scaleTargetRef: {name: web}\n  pollingInterval: \"30\"\n  maxReplicaCount: 0\n  triggers:\n  - type: cron\n    metadata:\n      value: 5\n      on: yes\n";
    assert_eq!(
        found(scaled_object(spec)),
        [
            "6:20 wrong-type: expected an integer, found the string \"30\" (remove the quotes)",
            "7:20 out-of-range: must be at least 1, found 0",
            "11:14 wrong-type: expected a string, found the number 5 (put it in quotes)",
            "12:11 wrong-type: expected a string, found the boolean true (put it in quotes)",
        ]
    );
}

#[test]
fn an_object_needs_an_identity() {
    assert_eq!(
        found("metadata: {}\nkin: Pod\n"),
        [
            "1:1 missing-field: the field apiVersion is missing",
            "1:1 missing-field: the field kind is missing ('kin' looks like it)",
            "1:1 missing-field: the field name is missing",
        ]
    );
    assert!(found("- a\n- b\n")[0].starts_with("1:3 wrong-type: an object is expected here, found a list"));
    assert!(found("apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n")[0].starts_with("3:18 wrong-type"));
}

#[test]
fn keda_1_manifests_need_converting() {
    let text = scaled_object("  scaleTargetRef: {deploymentName: a}\n  triggers: []\n");
    let found = found(text.replace("keda.sh", "keda.k8s.io"));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("1:13 keda-1-manifest: this is a manifest of KEDA 1"));
}

#[test]
fn duplicates_name_the_first_place() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
    let loaded = load(&[Source::new("a.yaml", map), Source::new("b.yaml", format!("{map}data: {{k: x, k: z}}\n"))]);
    assert_eq!(
        describe(&loaded),
        [
            "4:9 duplicate-object: ConfigMap \"a\" is already defined at a.yaml:4:9 (only one of them can exist in a cluster)",
            "5:14 duplicate-key: the key is already given on line 5",
        ]
    );
}

#[test]
fn a_secret_must_hold_base64() {
    let found = found("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  good: aGk=\n  bad: p@ss\n");
    assert_eq!(found, ["6:8 not-base64: the value is not base64 (encode it, or move it to stringData)"]);
}

#[test]
fn hostile_texts_end_in_a_finding_and_soon() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(found(bomb)[0].contains("alias-limit: anchors and aliases stand for too much data"));
    assert!(found("a: &a [*a]\n")[0].contains("this alias"));
    let ladder: String = (0..100_000).map(|depth| format!("{}a:\n", " ".repeat(depth % 300))).collect();
    let deep = ["[".repeat(100_000), "{\"a\":".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), ladder];
    for text in deep {
        assert!(!found(text).is_empty());
    }
    let huge = format!("a: \"{}\"", "x".repeat(10_000_000));
    assert_eq!(found(huge).len(), 3);
    assert_eq!(
        found(format!("a: \"{}", "x".repeat(10_000_000))),
        ["1:4 syntax: a quotation mark is opened here and never closed"]
    );
}

#[test]
fn a_flood_of_mistakes_is_summed_up() {
    let mut spec: String = (0..100_000).map(|index| format!("  field{index}: 1\n")).collect();
    spec.push_str("  scaleTargetRef: {name: web}\n  triggers: []\n");
    let loaded = load(&[Source::new("a.yaml", scaled_object(&spec))]);
    assert!(loaded.has_errors());
    let found = describe(&loaded);
    assert_eq!(found.len(), 101);
    assert!(found.iter().any(|finding| finding.contains("further problems of this object are not shown")));
    let data: String = (0..100_000).map(|index| format!("  key{index}: 1\n  key{index}: 2\n")).collect();
    let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{data}");
    assert_eq!(load(&[Source::new("a.yaml", map)]).findings.len(), 201);
}
