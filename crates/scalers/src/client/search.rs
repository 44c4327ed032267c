//! What to search for: what the triggers on Elasticsearch and OpenSearch have in common
//! (`scalers/elasticsearch.md`, `scalers/opensearch.md`).

use keda_core::metadata::{Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;

/// The search, where the number is in its answer, and how much of it is too much.
#[derive(Debug, Clone, Default, Metadata)]
#[metadata(check)]
pub struct Search {
    /// Indices to search, with `;` between them, such as `orders-eu;orders-us`.
    #[meta(auth, trigger, separator = ";")]
    pub index: Vec<String>,
    /// Name of a search template on the server, in place of `query`.
    #[meta(auth, trigger, optional)]
    pub search_template_name: String,
    /// Body of the search as JSON, such as `{"size": 0, "query": {"term": {"state": "new"}}}`, in place of
    /// `searchTemplateName`.
    #[meta(auth, trigger, optional)]
    pub query: String,
    /// Parameters of the template as `key:value` with `;` between them, such as `state:new;shop:north`. The template
    /// gets all values as texts; they cannot contain `:` or `;`.
    #[meta(trigger, optional, separator = ";")]
    pub parameters: Vec<String>,
    /// Where the number is in the answer, as a path of keys and of positions in lists, such as `hits.total.value` or
    /// `aggregations.shops.buckets.0.doc_count`.
    #[meta(auth, trigger)]
    pub value_location: String,
    /// What one replica is expected to handle, in the unit of the number.
    #[meta(auth, trigger)]
    pub target_value: f64,
    /// Number above which the target leaves zero.
    #[meta(trigger, default = "0")]
    pub activation_target_value: f64,
    /// Whether a number that is null or missing in the answer counts as 0; otherwise that is an error.
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
