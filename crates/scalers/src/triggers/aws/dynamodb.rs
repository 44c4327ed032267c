//! `aws-dynamodb`: the items that a query finds (`scalers/aws-dynamodb.md`).

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use serde::Deserialize;
use serde_json::{Deserializer, Map, Value, json};

use crate::client::Sources;
use crate::client::aws::{AwsOptions, Service};
use crate::trigger::{Memory, Scaler, Specs, Trigger, float};

/// Stands for a target that is not given.
const NO_TARGET: i64 = -1;

/// Scale on the number of items that a query in DynamoDB finds.
///
/// What counts is the number of items on the first page of the answer, after the filter. The replicas are that number
/// divided by `targetValue`. The target leaves zero when it is above `activationTargetValue`.
///
/// A page ends once DynamoDB has read 1 MB, filtered items included, so a large result counts in part only. Choose a
/// key or an index that finds little more than what waits. Each reading is paid for like any other query.
///
/// The placeholders of both conditions are explained in two JSON objects, and both are needed:
/// `expressionAttributeNames` for names (`#s`), and `expressionAttributeValues` for values with their type (`:s`). The
/// types are `S`, `N`, `BOOL`, `NULL`, `B`, `L` and `M`; sets cannot be used. A number is written as a text, as in
/// `{"N": "5"}`.
///
/// Log in with a TriggerAuthentication: either `podIdentity` with the provider `aws` (KEDA's own role, another one with
/// `roleArn`, that of the target's service account with `identityOwner: workload`), or the parameters `awsAccessKeyID`
/// and `awsSecretAccessKey`, with `awsSessionToken` for temporary keys. `identityOwner: operator` in the metadata uses
/// KEDA's own login without one. The role or user needs the right `dynamodb:Query` on the table, and on the index if
/// there is one.
///
/// ```yaml
/// type: aws-dynamodb
/// metadata:
///   awsRegion: eu-west-1
///   tableName: invoices
///   indexName: by-state
///   keyConditionExpression: "#s = :s"
///   filterExpression: attempts < :most
///   expressionAttributeNames: '{"#s": "state"}'
///   expressionAttributeValues: '{":s": {"S": "unpaid"}, ":most": {"N": "5"}}'
///   targetValue: "20"
///   activationTargetValue: "4"
/// authenticationRef:
///   name: invoices-reader
/// ---
/// secretTargetRef:
///   - parameter: awsAccessKeyID
///     name: invoices-reader
///     key: access-key-id
///   - parameter: awsSecretAccessKey
///     name: invoices-reader
///     key: secret-access-key
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct DynamoDb {
    /// Name of the table.
    #[meta(trigger)]
    table_name: String,
    /// The condition on the key of the table or index, such as `#s = :s`.
    #[meta(trigger)]
    key_condition_expression: String,
    /// Name of the index to query in place of the table.
    #[meta(trigger, optional)]
    index_name: String,
    /// Items that one replica is expected to handle. It may be left out only where a formula (`scalingModifiers`) uses
    /// the trigger.
    #[meta(trigger, optional, default = "-1")]
    target_value: i64,
    /// Number of items above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_value: i64,
    /// A condition on what the key's condition finds, such as `attempts < :most`.
    #[meta(trigger, optional)]
    filter_expression: String,
    /// Names of attributes for the placeholders in the conditions, as a JSON object such as `{"#s": "state"}`, which
    /// may not be empty.
    #[meta(trigger)]
    expression_attribute_names: String,
    /// Values for the placeholders in the conditions, each with its type, as a JSON object such as `{":s": {"S":
    /// "unpaid"}, ":most": {"N": "5"}}`.
    #[meta(trigger)]
    expression_attribute_values: String,
    #[meta(group)]
    options: AwsOptions,
}

impl DynamoDb {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if let (false, Err(message)) = (self.expression_attribute_names.is_empty(), self.names()) {
            reader.error_at("expressionAttributeNames", format!("error parsing expressionAttributeNames: {message}"));
        }
        if let (false, Err(message)) = (self.expression_attribute_values.is_empty(), self.values()) {
            reader.error_at("expressionAttributeValues", format!("error parsing expressionAttributeValues: {message}"));
        }
        if self.target_value == NO_TARGET {
            if reader.context().as_metric_source {
                self.target_value = 0;
            } else {
                reader.error("no targetValue given");
            }
        }
    }

    fn metric_name(&self) -> String {
        normalize(&format!("aws-dynamodb-{}", self.table_name))
    }

    /// The names for the placeholders. KEDA reads the object, takes `null` for an empty name, and does not look at what
    /// comes after it.
    fn names(&self) -> Result<BTreeMap<String, String>, String> {
        let mut text = Deserializer::from_str(&self.expression_attribute_names);
        let names = BTreeMap::<String, Option<String>>::deserialize(&mut text)
            .map_err(|_| "invalid expressionAttributeNames: expected a JSON object of strings".to_string())?;
        if names.is_empty() {
            return Err("empty map".to_string());
        }
        Ok(names.into_iter().map(|(placeholder, name)| (placeholder, name.unwrap_or_default())).collect())
    }

    /// The values for the placeholders, as DynamoDB wants them.
    fn values(&self) -> Result<Map<String, Value>, String> {
        let values: Option<Map<String, Value>> =
            serde_json::from_str(&self.expression_attribute_values).map_err(|error| error.to_string())?;
        attribute_values(values.unwrap_or_default())
    }
}

fn attribute_values(values: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let named = |(name, value)| attribute_value(value).transpose().map(|value| value.map(|value| (name, value)));
    values.into_iter().filter_map(named).collect()
}

/// A value with its type, such as `{"N": "1994"}`. Nothing is sent for an object without a type.
fn attribute_value(value: Value) -> Result<Option<Value>, String> {
    let Value::Object(typed) = value else {
        return Err("unsupported data type for attribute value".to_string());
    };
    let Some((data_type, value)) = typed.into_iter().next() else { return Ok(None) };
    let value = match (data_type.as_str(), value) {
        ("S" | "N", Value::String(text)) => Value::String(text),
        ("N", _) => return Err("invalid expressionAttributeValues: a number is written as a string".to_string()),
        // Taken for the bytes themselves, which are encoded on their way.
        ("B", Value::String(bytes)) => Value::String(STANDARD.encode(bytes)),
        ("BOOL", Value::Bool(boolean)) => Value::Bool(boolean),
        ("L", Value::Array(list)) => {
            list.into_iter().map(attribute_value).filter_map(Result::transpose).collect::<Result<_, _>>()?
        }
        ("M", Value::Object(map)) => Value::Object(attribute_values(map)?),
        ("NULL", _) => Value::Bool(true),
        ("S" | "B" | "BOOL" | "L" | "M", _) => {
            return Err(format!("invalid expressionAttributeValues: a value is not of its type {data_type}"));
        }
        _ => return Err(format!("unsupported data type for attribute value: {data_type}")),
    };
    Ok(Some(json!({ data_type: value })))
}

impl Trigger for DynamoDb {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Integer(self.target_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let service = self.options.service("dynamodb", "dynamodb", sources)?;
        let request = self.request().map_err(SourceError::configuration)?;
        Ok(Box::new(Query { metric_name: self.metric_name(), service, request, trigger: self }))
    }
}

struct Query {
    metric_name: String,
    service: Service,
    request: Value,
    trigger: DynamoDb,
}

#[async_trait]
impl Scaler for Query {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let answer = self.service.json("1.0", "DynamoDB_20120810.Query", &self.request).await?;
        let count = answer.get("Count").and_then(Value::as_i64);
        let missing = || SourceError::malformed("the answer of DynamoDB has no Count");
        let activation = float(self.trigger.activation_target_value);
        Ok(vec![(self.metric_name.clone(), Sample::above(float(count.ok_or_else(missing)?), activation))])
    }
}

impl DynamoDb {
    fn request(&self) -> Result<Value, String> {
        let mut request = json!({
            "TableName": self.table_name,
            "KeyConditionExpression": self.key_condition_expression,
            "ExpressionAttributeNames": self.names()?,
            "ExpressionAttributeValues": self.values()?,
        });
        for (key, text) in [("IndexName", &self.index_name), ("FilterExpression", &self.filter_expression)] {
            if !text.is_empty() {
                request[key] = json!(text);
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(names: &str, values: &str, target: &str, context: &Context) -> (DynamoDb, Vec<String>) {
        let inputs = Inputs::from_metadata([
            ("tableName", "my.table"),
            ("awsRegion", "eu-west-1"),
            ("identityOwner", "operator"),
            ("keyConditionExpression", "#y = :y"),
            ("expressionAttributeNames", names),
            ("expressionAttributeValues", values),
            ("targetValue", target),
        ]);
        let (trigger, problems) = parse(&inputs, context);
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    fn values(text: &str) -> Result<Map<String, Value>, String> {
        parsed("{}", text, "1", &Context::default()).0.values()
    }

    #[test]
    fn the_name_is_the_tables_and_a_formula_needs_no_target() {
        let texts = (r##"{"#y": "year"}"##, r#"{":y": {"N": "1994"}}"#);
        let (trigger, problems) = parsed(texts.0, texts.1, "3", &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("aws-dynamodb-my-table", Target::Integer(3));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
        assert_eq!(parsed(texts.0, texts.1, "", &Context::default()).1, ["no targetValue given"]);
        let source = Context { as_metric_source: true, ..Context::default() };
        assert!(parsed(texts.0, texts.1, "", &source).1.is_empty());
    }

    #[test]
    fn names_are_an_object_of_strings() {
        let names = |text| parsed(text, r#"{":y": {"N": "1"}}"#, "1", &Context::default()).1;
        assert_eq!(names("{}"), ["error parsing expressionAttributeNames: empty map"]);
        assert_eq!(names(r##"{"#a": null, "#b": "b"}"##), Vec::<String>::new());
        for text in ["malformed", "1.5", r#""a""#, r##"{"#y": 1}"##] {
            assert!(names(text)[0].contains("invalid expressionAttributeNames"), "{text}");
        }
    }

    #[test]
    fn values_have_types() {
        let all =
            r#"{":a": {"L": [{"S": "x"}, {"BOOL": true}, {}]}, ":b": {"M": {"k": {"B": "hi"}}}, ":c": {"NULL": 0}}"#;
        let sent =
            json!({":a": {"L": [{"S": "x"}, {"BOOL": true}]}, ":b": {"M": {"k": {"B": "aGk="}}}, ":c": {"NULL": true}});
        assert_eq!(values(all).map(Value::Object), Ok(sent));
        assert_eq!(values("null"), Ok(Map::new()));
        for (text, problem) in [
            (r#"{":y": {"N": 1994}}"#, "invalid expressionAttributeValues"),
            (r#"{":y": {"S": 1}}"#, "not of its type S"),
            (r#"{":y": {"SS": ["a"]}}"#, "unsupported data type for attribute value: SS"),
            (r#"{":y": 1}"#, "unsupported data type for attribute value"),
            ("5", "invalid type"),
        ] {
            assert!(values(text).is_err_and(|message| message.contains(problem)), "{text}");
        }
    }
}
