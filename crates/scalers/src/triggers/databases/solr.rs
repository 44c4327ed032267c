//! `solr`: the number of documents that a query finds (`scalers/solr.md`).

use std::sync::Arc;

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use reqwest::{Client, Url};
use serde_json::Value;

use crate::client::Sources;
use crate::client::http::{self, Answer};
use crate::client::servers::Server;
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// The one name that this trigger's metric has.
const METRIC: &str = "solr";

/// Scale on the number of documents that a query finds in Solr.
///
/// What counts is `numFound` in the answer to `query` on `collection`: all documents that fit, not only those that are
/// returned. One replica is wanted per `targetQueryValue` of them, which must not be 0 unless a formula uses the
/// trigger. The target leaves zero when the number is above `activationTargetQueryValue`.
///
/// Without `query` all documents of the collection count. `host` is the address of the server without `/solr`, which is
/// added to it.
///
/// `username` and `password` must be given even where the server lets everybody in; they are sent with HTTP basic
/// authentication, and belong into a Secret that a TriggerAuthentication names. The user needs to read the collection.
///
/// ```yaml
/// type: solr
/// metadata:
///   host: http://solr.shop.svc:8983
///   collection: reviews
///   query: state:unchecked
///   targetQueryValue: "100"
///   activationTargetQueryValue: "10"
/// authenticationRef:
///   name: solr-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: solr-login
///     key: username
///   - parameter: password
///     name: solr-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Solr {
    /// Address of the server as a URL without `/solr`, such as `http://solr.shop.svc:8983`.
    #[meta(trigger)]
    host: String,
    /// The collection, or the core, that is searched.
    #[meta(trigger)]
    collection: String,
    /// Documents that one replica is expected to handle; it must not be 0.
    #[meta(trigger)]
    target_query_value: f64,
    /// Number of documents above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_target_query_value: f64,
    /// The query as in Solr's parameter `q`, such as `state:unchecked`; all documents when not given.
    #[meta(trigger, optional)]
    query: String,
    /// User to log in as.
    #[meta(auth, trigger)]
    username: String,
    /// Password of the user.
    #[meta(auth, trigger)]
    password: Secret,
}

impl Solr {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.query.is_empty() {
            self.query = "*:*".to_string();
        }
        if self.target_query_value == 0.0 && !reader.context().as_metric_source && !reader.has_errors() {
            reader.error("no targetQueryValue given");
        }
    }
}

impl Trigger for Solr {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC, Target::Float(self.target_query_value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &TlsOptions::default())?;
        Ok(Box::new(Collection { client, url: self.url()?, trigger: self }))
    }
}

impl Solr {
    fn url(&self) -> Result<Url, SourceError> {
        let mut url = Server::parse("host", &self.host)?.at(&format!("/solr/{}/select", self.collection));
        url.query_pairs_mut().append_pair("q", &self.query).append_pair("wt", "json");
        Ok(url)
    }
}

struct Collection {
    client: Arc<Client>,
    url: Url,
    trigger: Solr,
}

#[async_trait]
impl Scaler for Collection {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let request = self.client.get(self.url.clone());
        let request = request.basic_auth(&self.trigger.username, Some(self.trigger.password.expose()));
        let answer = http::send(request).await.and_then(|answer| self.found(answer));
        let value = answer.map_err(|error| error.within("failed to inspect solr, because of"))?;
        Ok(vec![(METRIC.to_string(), Sample::above(value, self.trigger.activation_target_query_value))])
    }
}

impl Collection {
    /// The number of documents that an answer tells.
    fn found(&self, answer: Answer) -> Result<f64, SourceError> {
        if answer.status.as_u16() != 200 {
            let (url, status) = (http::presentable(&self.url), answer.status.as_u16());
            let message = format!("the solr API returned error. url: {url} status: {status}");
            return Err(SourceError::new(http::status_kind(answer.status), message));
        }
        let answer = answer.json("solr, whose username, password and collection may be wrong")?;
        match answer.pointer("/response/numFound") {
            None | Some(Value::Null) if answer.is_object() => Ok(0.0),
            Some(Value::Number(number)) if !number.is_f64() => Ok(number.as_f64().unwrap_or(f64::INFINITY)),
            _ => Err(SourceError::malformed("the answer of solr has no number response.numFound")),
        }
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(target: &str, context: &Context) -> (Solr, Vec<String>) {
        let metadata = [("host", "http://h:8983"), ("collection", "c"), ("targetQueryValue", target)];
        let inputs = Inputs::from_metadata(metadata).with_authentication([("username", "u"), ("password", "p")]);
        let (trigger, problems) = parse::<Solr>(&inputs, context);
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_always_the_same_and_the_query_takes_all() {
        let (trigger, problems) = parsed("1.1", &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(trigger.query, "*:*");
        let spec = MetricSpec::external("solr", Target::Float(1.1));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_target_is_wanted_unless_there_is_a_formula() {
        assert_eq!(parsed("0", &Context::default()).1, ["no targetQueryValue given"]);
        let source = Context { as_metric_source: true, ..Context::default() };
        assert!(parsed("0", &source).1.is_empty());
    }
}
