//! What users are told about a trigger type, taken from the doc comment of its struct.

use keda_core::metadata::{Context, Inputs};

use crate::client::{SourceSettings, Sources};
use crate::registry::TriggerType;
use crate::trigger::not_written;

/// Where KEDA's own pages about trigger types are.
const PAGES: &str = "https://keda.sh/docs/latest/scalers/";

/// The types whose page at KEDA has another name; an empty one where there is no page.
const OTHER_PAGES: &[(&str, &str)] = &[
    ("apache-kafka", "apache-kafka-go"),
    ("artemis-queue", "artemis"),
    ("aws-kinesis-stream", "aws-kinesis"),
    ("aws-sqs-queue", "aws-sqs"),
    ("azure-blob", "azure-storage-blob"),
    ("azure-eventhub", "azure-event-hub"),
    ("azure-queue", "azure-storage-queue"),
    ("azure-servicebus", "azure-service-bus"),
    ("clickhouse", ""),
    ("forgejo-runner", "forgejo"),
    ("gcp-cloudtasks", "gcp-cloud-tasks"),
    ("gcp-pubsub", "gcp-pub-sub"),
    ("gcp-spanner", ""),
    ("ibmmq", "ibm-mq"),
    ("kafka", "apache-kafka"),
    ("liiklus", "liiklus-topic"),
    ("rabbitmq", "rabbitmq-queue"),
    ("redis", "redis-lists"),
    ("redis-cluster", "redis-cluster-lists"),
    ("redis-sentinel", "redis-sentinel-lists"),
    ("selenium-grid", "selenium-grid-scaler"),
    ("solace-direct-messaging", "solace-pub-sub-dm"),
    ("solace-event-queue", "solace-pub-sub"),
];

/// How to use a trigger type: the trigger, and the `spec` of the TriggerAuthentication that it refers to, as YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// An element of `spec.triggers`.
    pub trigger: &'static str,
    /// Empty where it needs none.
    pub authentication: &'static str,
}

impl TriggerType {
    /// The details without the examples.
    pub fn prose(&self) -> String {
        let mut prose = String::new();
        for (text, _) in pieces((self.details)()) {
            prose.push_str(text.trim_end());
            prose.push('\n');
        }
        prose.trim().to_string()
    }

    /// The example of this type, which shares its struct's comment with the other types of the struct.
    pub fn example(&self) -> Option<Example> {
        let head = format!("type: {}", self.name);
        let mut blocks = pieces((self.details)()).filter_map(|(_, block)| block);
        let block = blocks.find(|block| block.lines().next().is_some_and(|line| line.trim() == head))?;
        let (trigger, authentication) = block.split_once("\n---\n").unwrap_or((block, ""));
        Some(Example { trigger, authentication })
    }

    /// Whether the source of this type is read; otherwise its manifests can only be checked and rendered.
    pub fn is_read(&self) -> bool {
        let context = Context { trigger_type: self.name.to_string(), ..Context::default() };
        let parsed = self.parse(&Inputs::default(), &context);
        let connected = parsed.connect(&context, &Sources::new(SourceSettings::default()));
        connected.err() != Some(not_written(self.name))
    }

    /// The address of KEDA's page about this type, or of its list of pages.
    pub fn page(&self) -> String {
        match OTHER_PAGES.iter().find(|(name, _)| *name == self.name) {
            Some((_, "")) => PAGES.to_string(),
            Some((_, page)) => format!("{PAGES}{page}/"),
            None => format!("{PAGES}{}/", self.name),
        }
    }
}

/// Texts, each with the block of YAML that follows it.
fn pieces(mut rest: &'static str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((text, after)) = rest.split_once("```yaml\n") else { return Some((std::mem::take(&mut rest), None)) };
        let (block, after) = after.split_once("\n```").unwrap_or((after, ""));
        rest = after.trim_start_matches('\n');
        Some((text, Some(block)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{CATALOGUE, find};

    #[test]
    fn a_comment_is_taken_apart() {
        let taken: Vec<_> = pieces("One.\n\n```yaml\ntype: a\n---\nx: y\n```\n\nTwo.\n```yaml\ntype: b\n```").collect();
        let expected = [("One.\n\n", Some("type: a\n---\nx: y")), ("Two.\n", Some("type: b"))];
        assert_eq!(taken, expected);
    }

    #[test]
    fn every_type_is_explained_and_has_an_example() {
        for row in CATALOGUE {
            let name = row.name;
            assert!((row.summary)().starts_with("Scale ") && (row.summary)().ends_with('.'), "{name}");
            assert!(!row.prose().is_empty(), "{name} has no prose");
            assert!(row.example().is_some(), "{name} has no example");
            assert!(
                (row.parameters)().iter().all(|parameter| !parameter.doc.is_empty()),
                "{name} has a bare parameter"
            );
        }
    }

    #[test]
    fn pages_that_are_named_differently_are_of_types_that_exist() {
        assert!(OTHER_PAGES.iter().all(|(name, _)| find(name).is_some()));
        assert_eq!(find("redis").unwrap().page(), "https://keda.sh/docs/latest/scalers/redis-lists/");
        assert_eq!(find("cron").unwrap().page(), "https://keda.sh/docs/latest/scalers/cron/");
    }
}
