//! What to search for: what the triggers on Elasticsearch and OpenSearch have in common
//! (`scalers/elasticsearch.md`, `scalers/opensearch.md`).

use keda_core::metadata::{Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

/// The search, where the number is in its answer, and how much of it is too much.
#[derive(Debug, Clone, Default, Metadata)]
#[metadata(check)]
pub struct Search {
    /// Indices to search, with `;` between them.
    #[meta(auth, trigger, separator = ";")]
    pub index: Vec<String>,
    /// Name of a search template on the server.
    #[meta(auth, trigger, optional)]
    pub search_template_name: String,
    /// The search as JSON, in place of a template.
    #[meta(auth, trigger, optional)]
    pub query: String,
    /// Parameters of the template, as `key:value` with `;` between them.
    #[meta(trigger, optional, separator = ";")]
    pub parameters: Vec<String>,
    /// Where the number is in the answer, as a path such as `hits.total.value`.
    #[meta(auth, trigger)]
    pub value_location: String,
    /// What one replica is expected to handle.
    #[meta(auth, trigger)]
    pub target_value: f64,
    /// Value above which the target leaves zero.
    #[meta(trigger, default = "0")]
    pub activation_target_value: f64,
    /// Whether an absent value counts as 0.
    #[meta(trigger, default = "false")]
    pub ignore_null_values: bool,
    /// Of no effect: the metric is named after the template.
    #[meta(trigger, optional)]
    pub metric_name: String,
}

impl Search {
    fn check(&mut self, reader: &mut Reader<'_>) {
        match (self.search_template_name.is_empty(), self.query.is_empty()) {
            (true, true) => reader.error("either searchTemplateName or query must be provided"),
            (false, false) => reader.error("cannot provide both searchTemplateName and query"),
            _ => {}
        }
    }

    /// The metric of a trigger on this kind of server.
    pub fn spec(&self, server: &str) -> MetricSpec {
        let what = if self.search_template_name.is_empty() { "query" } else { &self.search_template_name };
        MetricSpec::external(normalize(&format!("{server}-{what}")), Target::Float(self.target_value))
    }
}
