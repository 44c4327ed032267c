//! What to search for: what the triggers on Elasticsearch and OpenSearch have in common
//! (`scalers/elasticsearch.md`, `scalers/opensearch.md`).

use keda_core::metadata::{Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use serde_json::{Map, Value};

use crate::format::gjson;

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
    /// gets all values as texts; they cannot contain `;`.
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
        MetricSpec::external(self.metric_name(server), Target::Float(self.target_value))
    }

    fn metric_name(&self, server: &str) -> String {
        let what = if self.search_template_name.is_empty() { "query" } else { &self.search_template_name };
        normalize(&format!("{server}-{what}"))
    }

    /// Where to send the search. Indices stand in it as they are written.
    pub fn path(&self) -> String {
        let method = if self.search_template_name.is_empty() { "_search" } else { "_search/template" };
        format!("/{}/{method}", self.index.join(","))
    }

    /// What to send.
    ///
    /// # Errors
    /// [`Configuration`](keda_core::sample::ErrorKind::Configuration) for parameters of a template that are not `key:value`.
    pub fn body(&self) -> Result<String, SourceError> {
        if self.search_template_name.is_empty() {
            return Ok(self.query.clone());
        }
        let mut parameters = Map::new();
        for parameter in self.parameters.iter().filter(|parameter| !parameter.is_empty()) {
            let pair = parameter.split_once(':').map(|(key, value)| (key.trim(), value.trim()));
            let Some((key, value)) = pair.filter(|(key, value)| !key.is_empty() && !value.is_empty()) else {
                let message = format!("invalid parameter format {parameter:?}, expected key:value");
                return Err(SourceError::configuration(message));
            };
            parameters.insert(key.to_string(), Value::from(value));
        }
        let mut body = Map::from_iter([("id".to_string(), Value::from(self.search_template_name.as_str()))]);
        if !parameters.is_empty() {
            body.insert("params".to_string(), Value::Object(parameters));
        }
        Ok(Value::Object(body).to_string())
    }

    /// The reading that an answer gives.
    ///
    /// # Errors
    /// [`Malformed`](keda_core::sample::ErrorKind::Malformed) where there is no number in it.
    pub fn reading(&self, server: &str, answer: &Value) -> Result<Reading, SourceError> {
        let value = self.number(answer)?;
        Ok(vec![(self.metric_name(server), Sample::above(value, self.activation_target_value))])
    }

    fn number(&self, answer: &Value) -> Result<f64, SourceError> {
        let found = gjson::get(answer, &self.value_location);
        let what = match found {
            None | Some(Value::Null) if self.ignore_null_values => return Ok(0.0),
            None | Some(Value::Null) => "Null".to_string(),
            Some(Value::String(text)) => match text.parse() {
                Ok(number) => return Ok(number),
                Err(_) => text.chars().take(40).collect(),
            },
            Some(Value::Number(number)) => match number.as_f64() {
                Some(number) => return Ok(number),
                None => "Number".to_string(),
            },
            Some(Value::Bool(true)) => "True".to_string(),
            Some(Value::Bool(false)) => "False".to_string(),
            Some(Value::Array(_) | Value::Object(_)) => "JSON".to_string(),
        };
        let message = format!("valueLocation must point to value of type number but got: '{what}'");
        Err(SourceError::malformed(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(parameters: &[&str]) -> Search {
        Search {
            index: vec!["a".to_string(), "b".to_string()],
            search_template_name: "tpl".to_string(),
            parameters: parameters.iter().map(ToString::to_string).collect(),
            value_location: "aggregations.a.value".to_string(),
            ..Search::default()
        }
    }

    #[test]
    fn a_template_gets_its_parameters_as_texts() {
        let search = |parameters: &[&str]| search(parameters).body();
        let body = r#"{"id":"tpl","params":{"d":"1","time":"10:30"}}"#;
        assert_eq!(search(&["d:0", "", "d : 1", "time:10:30"]).unwrap(), body);
        assert_eq!(search(&[]).unwrap(), r#"{"id":"tpl"}"#);
        for wrong in ["novalue", "key:", ":value"] {
            assert!(search(&[wrong]).unwrap_err().message.starts_with("invalid parameter format"));
        }
    }

    #[test]
    fn numbers_may_be_texts_and_nothing_may_be_zero() {
        let number = |value: &str, ignore_null_values| {
            let answer =
                serde_json::from_str(&format!("{{\"aggregations\":{{\"a\":{{\"value\":{value}}}}}}}")).unwrap();
            Search { ignore_null_values, ..search(&[]) }.number(&answer)
        };
        assert_eq!(number("2.5", false), Ok(2.5));
        assert_eq!(number("\"1e3\"", false), Ok(1000.0));
        assert_eq!(number("null", true), Ok(0.0));
        for (value, what) in [("null", "Null"), ("\"x\"", "x"), ("true", "True"), ("{}", "JSON")] {
            let message = number(value, false).unwrap_err().message;
            assert_eq!(message, format!("valueLocation must point to value of type number but got: '{what}'"));
        }
        assert!(number("\"\"", true).is_err());
    }
}
