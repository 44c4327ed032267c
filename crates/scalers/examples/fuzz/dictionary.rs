//! Words and values that tend to be read wrongly.

use keda_core::schema::tables;
use keda_scalers::registry::CATALOGUE;

/// What mutations put into texts.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Pieces of syntax.
    pub(crate) scraps: Vec<String>,
    /// Values.
    pub(crate) scalars: Vec<String>,
    /// Names that the code knows.
    pub(crate) words: Vec<String>,
    /// What can be nested.
    pub(crate) openings: Vec<String>,
}

impl Vocabulary {
    /// Of manifests.
    pub(crate) fn of_manifests() -> Self {
        let mut words = split(KINDS);
        let structures = tables().structures();
        words.extend(structures.flat_map(|structure| structure.fields.iter().map(|field| field.name.to_string())));
        words.extend(names_of_triggers());
        // The tables are kept in no order.
        words.sort();
        words.dedup();
        Vocabulary { scraps: owned(&[YAML]), scalars: scalars(), words, openings: owned(&[YAML_OPENINGS]) }
    }

    /// Of the values of parameters.
    pub(crate) fn of_values() -> Self {
        Vocabulary {
            scraps: owned(&[VALUES, FORMULAS]),
            scalars: scalars(),
            words: names_of_triggers(),
            openings: owned(&[FORMULA_OPENINGS, YAML_OPENINGS]),
        }
    }

    /// Of formulas, schedules, selectors and paths.
    pub(crate) fn of_formulas() -> Self {
        let words = split(FORMULA_WORDS);
        Vocabulary {
            scraps: owned(&[FORMULAS, VALUES]),
            scalars: scalars(),
            words,
            openings: owned(&[FORMULA_OPENINGS]),
        }
    }
}

/// All types and parameters of the catalogue, and the keys that name a variable instead of a value.
fn names_of_triggers() -> Vec<String> {
    let mut names = Vec::new();
    for row in CATALOGUE {
        names.push(row.name.to_string());
        for name in (row.parameters)().iter().flat_map(|parameter| parameter.names) {
            names.extend([(*name).to_string(), format!("{name}FromEnv")]);
        }
    }
    names.sort();
    names.dedup();
    names
}

fn owned(lists: &[&[&str]]) -> Vec<String> {
    lists.concat().into_iter().map(str::to_string).collect()
}

fn split(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_string).collect()
}

/// The values of `scalars.txt`, those that do not fit on a line, and long ones.
fn scalars() -> Vec<String> {
    let lines = include_str!("scalars.txt").lines().map(str::to_string);
    let long = ["a", "9", "é", "a,", "a=b,", "0-99999,", "%41", "../", "\u{1f600}", " ", "*"];
    let long = long.into_iter().flat_map(|part| [part.repeat(64), part.repeat(300), part.repeat(5000)]);
    lines.chain(owned(&[UNPRINTABLE])).chain(long).collect()
}

const KINDS: &str = "
    ScaledObject ScaledJob TriggerAuthentication ClusterTriggerAuthentication CloudEventSource ClusterCloudEventSource
    Deployment StatefulSet ReplicaSet Rollout Secret ConfigMap ServiceAccount LimitRange HorizontalPodAutoscaler
    List ScaledObjectList DeploymentList keda.sh/v1alpha1 keda.k8s.io/v1alpha1 eventing.keda.sh/v1alpha1 apps/v1 v1
    autoscaling/v2 default Utilization AverageValue Value items data stringData
    scaledobject.keda.sh/transfer-hpa-ownership autoscaling.keda.sh/paused-replicas autoscaling.keda.sh/paused";

const FORMULA_WORDS: &str = "
    a b queue nosuch len type abs ceil floor round int float string trim upper lower split join replace repeat hasPrefix
    hasSuffix indexOf lastIndexOf trimPrefix trimSuffix max min mean median toJSON fromJSON first last get take keys
    values reverse uniq concat flatten sort bitand bitor bitxor bitnand bitshl bitshr bitushr bitnot all none any one
    filter map find findIndex findLast findLastIndex count sum groupBy sortBy reduce if else and or not in let nil
    contains startsWith endsWith matches jan SUN-SAT TZ=Asia/Tokyo CRON_TZ=UTC notin exists @keys @values @join @ugly
    @valid @tostr @fromstr @group @dig up http_requests_total __name__";

const UNPRINTABLE: &[&str] =
    &["a\tb", "a\u{0}b", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "[first]\nkey = value\n"];

const YAML: &[&str] = &[
    "\n",
    "\r\n",
    "\n\n",
    "  ",
    "\t",
    "\n---\n",
    "\n...\n",
    "- ",
    "\n- ",
    "? ",
    ": ",
    ":\n",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    "\"",
    "&n ",
    "*n",
    "<<: ",
    "<<: *n\n",
    "<<: [*n, {a: b}]\n",
    "!!binary ",
    "!!set ",
    "!<tag:example,2026:x> ",
    "!",
    "# ",
    "|\n",
    "|2-\n",
    ">+\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é",
    "\u{1f600}",
    "\u{0}",
    "\u{7f}",
    "%YAML 1.2\n---\n",
    "%TAG ! tag:example,2026:\n",
    "\\u12",
    "\\",
    "items:\n",
    "items: []",
    "kind: List\n",
    "0x",
    "@",
    "`",
    "$(",
    "${VAR}",
    "\n# Another source\n",
    "{\"kind\": \"List\", \"items\": [",
    "null",
];

const YAML_OPENINGS: &[&str] = &[
    "[",
    "{a: ",
    "{\"a\":",
    "{\"kind\":\"List\",\"items\":[",
    "- ",
    "? ",
    "&a [",
    "!!map {",
    "'",
    "a: &b [*b, ",
    "\n",
];

const VALUES: &[&str] = &[
    ",",
    ";",
    "=",
    "&",
    "+",
    "%",
    "%4",
    "%C3%28",
    ":",
    "/",
    "//",
    "://",
    "@",
    "?",
    "#",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "'",
    "\"",
    "\\",
    "\n",
    "\t",
    " ",
    "  ",
    "-",
    "_",
    ".",
    "..",
    "*",
    "**",
    "$",
    "^",
    "|",
    "!",
    "~",
    "é",
    "\u{0}",
    "\u{1f600}",
];

const FORMULAS: &[&str] = &[
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "**",
    "??",
    "?:",
    "?",
    ":",
    "?.",
    "..",
    "|",
    "||",
    "&&",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">=",
    ">",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    "#",
    "#acc",
    "#index",
    ".",
    " in ",
    " not in ",
    " matches ",
    " contains ",
    "let x = ",
    "; x",
    "'",
    "\"",
    "`",
    "\\",
    "\\u{110000}",
    "/*",
    "*/",
    "//",
    "$env",
    "0x",
    "1e",
    "1_0",
    "null",
    "nil",
    "true",
    "@",
    "@reverse",
    "@flatten:",
    "@pretty:{",
    "..#",
    "#(",
    ")#",
    "%\"*\"",
    "!%",
    "*",
    "\n",
    " ",
    "é",
    "\u{0}",
];

const FORMULA_OPENINGS: &[&str] = &[
    "(",
    "[",
    "{a: ",
    "-",
    "not ",
    "!",
    "a + ",
    "a ?? ",
    "a ? ",
    "a[",
    "a.",
    "[1] | map(",
    "sum(1..9, ",
    "let x = ",
    "a(",
    "#(",
    "@this|",
    "[@this,",
    "{\"a\":",
    "(a|",
    "a,",
    "*",
    "?",
    "\\",
    "1",
    "if a < 1 {1} else ",
];
