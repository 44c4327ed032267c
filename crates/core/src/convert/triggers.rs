//! Triggers: what became of the keys of their metadata.
//!
//! In KEDA 1 some values were names of variables in the container's environment. These keys end in `FromEnv` now.

use serde_json::{Map, Value as Json};

use super::draft::{Draft, given};
use crate::manifest::Node;
use crate::metadata::parse_bool;
use crate::problem::Path;

/// What became of one key.
enum Change {
    /// It named a variable. Now `<key>FromEnv` does, and the key itself holds a value.
    Variable,
    /// The same, but the value itself cannot stand in the metadata.
    SecretVariable,
    /// It named a variable, under another key.
    VariableAs(&'static str),
    /// It has another name.
    Renamed(&'static str),
    /// It says the same, and a further key is needed for a part of what it meant.
    Copied(&'static str),
    /// It is `value` now, with this `mode`.
    Mode(&'static str),
    /// It is one of these words, which were taken in any case.
    Words(&'static [&'static str]),
    /// It switches TLS on, which checks certificates now.
    Tls,
    /// Another key with a fixed value says it; why, and whether that is not all.
    Replaced(&'static str, &'static str, Follow),
    /// It is left out.
    Gone(Follow),
}

/// What follows from a change, in words.
enum Follow {
    /// Nothing to do.
    Note(&'static str),
    /// The user has to do something.
    ToDo(&'static str),
}

/// A key that is added, to keep a default of KEDA 1.
struct Addition {
    key: &'static str,
    value: &'static str,
    /// Keys that make it needless.
    unless: &'static [&'static str],
    /// Whether a TriggerAuthentication makes it needless too.
    is_login: bool,
    why: &'static str,
}

/// A trigger type of KEDA 1.
struct Type {
    name: &'static str,
    changes: &'static [(&'static str, Change)],
    additions: &'static [Addition],
    /// What the user has to do about every trigger of this type.
    to_do: Option<&'static str>,
}

impl Type {
    const fn of(name: &'static str) -> Self {
        Type { name, changes: &[], additions: &[], to_do: None }
    }
}

use Change::{Copied, Gone, Mode, Renamed, Replaced, SecretVariable, Tls, Variable, VariableAs, Words};
use Follow::{Note, ToDo};

const DEFAULT_VARIABLE: &str = "KEDA 1 read this variable where none was named";

const AWS_KEYS: &[(&str, Change)] = &[("awsAccessKeyID", Variable), ("awsSecretAccessKey", SecretVariable)];
const AWS_VARIABLES: &[Addition] = &[
    variable("awsAccessKeyIDFromEnv", "AWS_ACCESS_KEY_ID", &["awsAccessKeyID"], true),
    variable("awsSecretAccessKeyFromEnv", "AWS_SECRET_ACCESS_KEY", &["awsSecretAccessKey"], true),
];

const AZURE_IDENTITY: &str = "give the trigger a TriggerAuthentication with podIdentity.provider: azure-workload, and \
    the operator a workload identity";

const STORAGE: &[(&str, Change)] = &[("connection", Variable), ("useAAdPodIdentity", Gone(ToDo(AZURE_IDENTITY)))];
const STORAGE_VARIABLE: &[Addition] =
    &[variable("connectionFromEnv", "AzureWebJobsStorage", &["connection", "useAAdPodIdentity"], true)];

const REDIS: &[(&str, Change)] =
    &[("address", Variable), ("host", Variable), ("port", Variable), ("password", Variable), ("enableTLS", Tls)];

const EXTERNAL_CERTIFICATE: &str =
    "KEDA 1 read a file beside the operator; now a TriggerAuthentication gives the certificate, as caCert";
const EXTERNAL_PROTOCOL: &str =
    "the server must speak the protocol of KEDA 2: New and Close are gone, and each question holds the metadata";

const UNREAD_WITHOUT_UNACKED: &str = "it had no effect without includeUnacked";

/// RabbitMQ over AMQP.
const RABBITMQ: Type = Type {
    changes: &[
        ("host", Variable),
        ("queueLength", Mode("QueueLength")),
        ("apiHost", Gone(Note(UNREAD_WITHOUT_UNACKED))),
        ("includeUnacked", Gone(Note("it was the default, and AMQP does not count them"))),
    ],
    ..Type::of("rabbitmq")
};

/// RabbitMQ over HTTP.
const RABBITMQ_HTTP: Type = Type {
    changes: &[
        ("apiHost", VariableAs("host")),
        ("queueLength", Mode("QueueLength")),
        ("host", Gone(Note("it had no effect with includeUnacked"))),
        ("includeUnacked", Replaced("protocol", "http", Note("over HTTP messages count until they are acknowledged"))),
    ],
    ..Type::of("rabbitmq")
};

/// All others, by name.
const TYPES: &[Type] = &[
    Type {
        changes: &[("username", Variable), ("password", Variable)],
        additions: &[Addition {
            key: "activationQueueLength",
            value: "0",
            unless: &[],
            is_login: false,
            why: "the default is 10 now, and a single message would not wake the target",
        }],
        ..Type::of("artemis-queue")
    },
    Type {
        changes: &[
            ("minMetricValue", Copied("activationTargetMetricValue")),
            ("awsAccessKeyID", Variable),
            ("awsSecretAccessKey", SecretVariable),
        ],
        additions: AWS_VARIABLES,
        ..Type::of("aws-cloudwatch")
    },
    Type { changes: AWS_KEYS, additions: AWS_VARIABLES, ..Type::of("aws-kinesis-stream") },
    Type { changes: AWS_KEYS, additions: AWS_VARIABLES, ..Type::of("aws-sqs-queue") },
    Type { changes: STORAGE, additions: STORAGE_VARIABLE, ..Type::of("azure-blob") },
    Type {
        changes: &[("connection", SecretVariable), ("storageConnection", SecretVariable)],
        additions: &[
            variable("storageConnectionFromEnv", "AzureWebJobsStorage", &["storageConnection"], false),
            variable("connectionFromEnv", "EventHub", &["connection"], false),
        ],
        ..Type::of("azure-eventhub")
    },
    Type {
        changes: &[
            ("activeDirectoryClientId", Variable),
            ("activeDirectoryClientPassword", Variable),
            ("metricAggregationType", Words(&["Average", "Count", "Maximum", "Minimum", "None", "Total"])),
        ],
        ..Type::of("azure-monitor")
    },
    Type { changes: STORAGE, additions: STORAGE_VARIABLE, ..Type::of("azure-queue") },
    Type {
        changes: &[("connection", SecretVariable), ("queueLength", Renamed("messageCount"))],
        ..Type::of("azure-servicebus")
    },
    Type::of("cron"),
    Type {
        changes: &[("tlsCertFile", Replaced("enableTLS", "true", ToDo(EXTERNAL_CERTIFICATE)))],
        to_do: Some(EXTERNAL_PROTOCOL),
        ..Type::of("external")
    },
    Type {
        changes: &[("credentials", Variable), ("subscriptionSize", Mode("SubscriptionSize"))],
        additions: &[Addition {
            key: "value",
            value: "5",
            unless: &["subscriptionSize"],
            is_login: false,
            why: "the default was 5 and is 10 now",
        }],
        ..Type::of("gcp-pubsub")
    },
    Type { changes: &[("minMetricValue", Renamed("activationTargetMetricValue"))], ..Type::of("huawei-cloudeye") },
    Type { changes: &[("brokerList", Renamed("bootstrapServers"))], ..Type::of("kafka") },
    Type::of("liiklus"),
    Type { changes: &[("connectionString", SecretVariable), ("password", SecretVariable)], ..Type::of("mysql") },
    Type { changes: &[("connection", SecretVariable), ("password", SecretVariable)], ..Type::of("postgresql") },
    Type { changes: &[("metricName", Gone(Note("KEDA names the metric")))], ..Type::of("prometheus") },
    Type { changes: REDIS, ..Type::of("redis") },
    Type { changes: REDIS, ..Type::of("redis-streams") },
    Type {
        to_do: Some(
            "stan is no trigger type any more, as NATS Streaming is gone: move to JetStream, with nats-jetstream",
        ),
        ..Type::of("stan")
    },
];

/// A variable that KEDA 1 read where no other was named.
const fn variable(key: &'static str, value: &'static str, unless: &'static [&'static str], is_login: bool) -> Addition {
    Addition { key, value, unless, is_login, why: DEFAULT_VARIABLE }
}

/// The row of a type. RabbitMQ has two, as one key decided which others were read.
fn row(kind: &str, metadata: &Node) -> Option<&'static Type> {
    if kind == RABBITMQ.name {
        let is_http = metadata.text_at(&["includeUnacked"]).and_then(parse_bool) == Some(true);
        return Some(if is_http { &RABBITMQ_HTTP } else { &RABBITMQ });
    }
    TYPES.iter().find(|row| row.name == kind)
}

/// Converts the metadata of a trigger.
pub(super) fn metadata(trigger: &Node, path: &Path, draft: &mut Draft) -> Json {
    let Some(node) = given(trigger, "metadata") else { return Json::Null };
    let kind = trigger.text_at(&["type"]).unwrap_or_default();
    let row = row(kind, node);
    match row {
        None if !kind.is_empty() => {
            let text =
                format!("KEDA 1 had no trigger type {kind}, and the trigger is passed on: check whether it is meant");
            draft.demand(path.key("type"), text);
        }
        Some(Type { to_do: Some(text), .. }) => draft.demand(path.key("type"), *text),
        _ => {}
    }
    let path = path.key("metadata");
    let changes = row.map(|row| row.changes).unwrap_or_default();
    let mut metadata = Map::new();
    for entry in draft.fields(node, &path) {
        let (key, place) = (entry.key.as_str(), path.key(&entry.key));
        let Some(value) = draft.text(&entry.value, &place) else { continue };
        match changes.iter().find(|(name, _)| *name == key) {
            Some((_, change)) => change.make(key, value, place, &mut metadata, draft),
            None => {
                if kind == "external" && key != "scalerAddress" && looks_like_variable(value) {
                    let text =
                        format!("if {key} names a variable, {key}FromEnv must do so now, and the server expect it");
                    draft.demand(place, text);
                }
                metadata.insert(key.into(), value.into());
            }
        }
    }
    for addition in row.map(|row| row.additions).unwrap_or_default() {
        if addition.is_needed(node, given(trigger, "authenticationRef").is_some())
            && !metadata.contains_key(addition.key)
        {
            draft.note(path.clone(), format!("{}: {:?} is added: {}", addition.key, addition.value, addition.why));
            metadata.insert(addition.key.into(), addition.value.into());
        }
    }
    Json::Object(metadata)
}

impl Change {
    fn make(&self, key: &str, value: &str, place: Path, metadata: &mut Map<String, Json>, draft: &mut Draft) {
        let mut set = |key: &str, value: &str| _ = metadata.insert(key.into(), value.into());
        match self {
            Variable => name_variable((key, value), (key, true), place, metadata, draft),
            SecretVariable => name_variable((key, value), (key, false), place, metadata, draft),
            VariableAs(new) => name_variable((key, value), (new, true), place, metadata, draft),
            Renamed(new) => {
                set(new, value);
                draft.note(place, format!("{key} is {new} now"));
            }
            Copied(new) => {
                set(key, value);
                set(new, value);
                draft.note(place, format!("{new} says now when the target leaves zero, which {key} did"));
            }
            Mode(mode) => {
                set("mode", mode);
                set("value", value);
                draft.note(place, format!("{key} is mode: {mode} with value now"));
            }
            Words(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(value)).copied().unwrap_or(value);
                set(key, word);
                if word != value {
                    draft.note(place, format!("{key} is written {word} now"));
                }
            }
            Tls => {
                set(key, value);
                if parse_bool(value) == Some(true) {
                    set("unsafeSsl", "true");
                    draft.note(place, "unsafeSsl is added: KEDA 1 took any certificate, as KEDA 2 does with it");
                }
            }
            Replaced(new, fixed, follow) => {
                set(new, fixed);
                follow.tell(&format!("{new}: {fixed} stands in place of {key}"), place, draft);
            }
            Gone(ToDo(_)) if parse_bool(value) == Some(false) => {
                draft.note(place, format!("{key} is left out: it was the default"));
            }
            Gone(follow) => follow.tell(&format!("{key} is left out"), place, draft),
        }
    }
}

/// A key that named a variable; `new` is what it is called, and whether it may hold a value.
fn name_variable(
    entry: (&str, &str),
    (new, takes_value): (&str, bool),
    place: Path,
    metadata: &mut Map<String, Json>,
    draft: &mut Draft,
) {
    let (key, value) = entry;
    // KEDA 1 took an empty text for none.
    if value.is_empty() {
        return;
    }
    let is_name = is_variable_name(value);
    let written = if is_name || !takes_value { format!("{new}FromEnv") } else { new.to_owned() };
    metadata.insert(written.clone(), value.into());
    match (is_name, takes_value) {
        (true, _) => draft.note(place, format!("{key} named a variable; {written} does so now")),
        (false, true) => draft.note(place, format!("{key} names no variable; as {written} it is the value itself now")),
        (false, false) => draft.demand(place, format!("{key} names no variable: name one in {written}")),
    }
}

impl Follow {
    fn tell(&self, what: &str, place: Path, draft: &mut Draft) {
        match self {
            Note(why) => draft.note(place, format!("{what}: {why}")),
            ToDo(why) => draft.demand(place, format!("{what}: {why}")),
        }
    }
}

impl Addition {
    fn is_needed(&self, metadata: &Node, has_authentication: bool) -> bool {
        let text = |key: &str| metadata.text_at(&[key]).unwrap_or_default();
        let is_given = |key: &&str| !text(key).is_empty() && parse_bool(text(key)) != Some(false);
        // At AWS the operator may log in as itself.
        let is_own = matches!(text("identityOwner"), "" | "pod");
        !self.unless.iter().any(is_given) && !(self.is_login && (has_authentication || !is_own))
    }
}

/// Whether Kubernetes takes a text for the name of a variable.
fn is_variable_name(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().all(is_fine) && !text.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether a text is written as variables usually are.
fn looks_like_variable(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    text.bytes().all(is_usual) && text.starts_with(|first: char| first.is_ascii_uppercase())
}
