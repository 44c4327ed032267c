//! `elasticsearch`: a number in the answer to a search (`scalers/elasticsearch.md`).

use async_trait::async_trait;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::sample::{Reading, SourceError};

use crate::client::Sources;
use crate::client::elastic::{Elastic, ElasticServer};
use crate::client::search::Search;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

/// Scale on a number in the answer to a search in Elasticsearch.
///
/// The search is either `query`, the body of a search as JSON, or `searchTemplateName`, a template on the server with
/// its `parameters`. What counts is the one number in its answer that `valueLocation` leads to, such as
/// `hits.total.value` or `aggregations.waiting.value`; text that is a number will do. One replica is wanted per
/// `targetValue` of it. The target leaves zero when it is above `activationTargetValue`.
///
/// Elasticsearch counts hits only up to 10,000, unless the search says `"track_total_hits": true`. `"size": 0` keeps
/// the documents themselves out of the answer. Several indices are separated with `;`. With `ignoreNullValues` a
/// mistyped `valueLocation` reads as 0 and goes unnoticed.
///
/// Log in either with `addresses`, `username` and `password`, all three of them, or at Elastic's cloud with `cloudID`
/// and `apiKey`; the two ways exclude each other, so `apiKey` cannot be used with `addresses`. The user or key needs
/// the privilege `read` on the indices. Put password or key into a Secret, and name it in a TriggerAuthentication.
///
/// ```yaml
/// type: elasticsearch
/// metadata:
///   addresses: https://elasticsearch.shop.svc:9200
///   username: autoscaler
///   index: orders-eu;orders-us
///   query: |
///     {
///       "size": 0,
///       "track_total_hits": true,
///       "query": {"term": {"state": "unpacked"}}
///     }
///   valueLocation: hits.total.value
///   targetValue: "40"
///   activationTargetValue: "4"
/// authenticationRef:
///   name: elasticsearch-login
/// ---
/// secretTargetRef:
///   - parameter: password
///     name: elasticsearch-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Elasticsearch {
    #[meta(group)]
    server: ElasticServer,
    #[meta(group)]
    search: Search,
}

impl Elasticsearch {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if let Err(problem) = self.check_server() {
            reader.error(problem);
        }
    }

    /// A login without addresses is fine: KEDA then asks the server of its own machine.
    fn check_server(&self) -> Result<(), &'static str> {
        let server = &self.server;
        let cloud = server.is_in_cloud();
        let own = server.has_addresses() || server.has_any_login();
        if cloud && own {
            return Err("can't provide both cloud config and endpoint addresses");
        }
        if !cloud && !own {
            return Err("must provide either cloud config or endpoint addresses");
        }
        if server.is_half_in_cloud() {
            return Err("both cloudID and apiKey must be provided when cloudID or apiKey is used");
        }
        if server.has_addresses() && !server.has_whole_login() {
            return Err("both username and password must be provided when addresses is used");
        }
        Ok(())
    }
}

impl Trigger for Elasticsearch {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(self.search.spec("elasticsearch"))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        Ok(Box::new(Searching { server: self.server.connect(sources)?, search: self.search }))
    }
}

struct Searching {
    server: Elastic,
    search: Search,
}

#[async_trait]
impl Scaler for Searching {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        self.read().await.map_err(|error| error.within("error inspecting elasticsearch"))
    }
}

impl Searching {
    async fn read(&self) -> Result<Reading, SourceError> {
        let answer = self.server.post(&self.search.path(), &self.search.body()?).await?;
        self.search.reading("elasticsearch", &answer)
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};
    use keda_core::metric::{MetricSpec, Target};

    use super::*;

    const SERVER: [(&str, &str); 3] = [("addresses", "http://h:9200"), ("username", "u"), ("password", "p")];

    fn parsed(server: &[(&str, &str)], search: &[(&str, &str)]) -> (Elasticsearch, Vec<String>) {
        let rest = [("index", "a;b"), ("valueLocation", "hits.total.value"), ("targetValue", "12.2")];
        let metadata = rest.into_iter().chain(server.iter().copied()).chain(search.iter().copied());
        let (trigger, problems) = parse::<Elasticsearch>(&Inputs::from_metadata(metadata), &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_templates() {
        let spec = |search: &[(&str, &str)]| {
            let (trigger, problems) = parsed(&SERVER, search);
            assert!(problems.is_empty(), "{problems:?}");
            trigger.specs(&Context::default())
        };
        let named = |name: &str| Specs::one(MetricSpec::external(name, Target::Float(12.2)));
        assert_eq!(spec(&[("searchTemplateName", "my.tpl")]), named("elasticsearch-my-tpl"));
        assert_eq!(spec(&[("query", "{}")]), named("elasticsearch-query"));
    }

    #[test]
    fn a_search_is_a_template_or_a_query() {
        assert_eq!(parsed(&SERVER, &[]).1, ["either searchTemplateName or query must be provided"]);
        let both = [("query", "{}"), ("searchTemplateName", "t")];
        assert_eq!(parsed(&SERVER, &both).1, ["cannot provide both searchTemplateName and query"]);
    }

    #[test]
    fn a_server_is_given_by_its_address_or_by_its_cloud() {
        let problem = |server: &[(&str, &str)]| parsed(server, &[("query", "{}")]).1.into_iter().next();
        let starts = |server: &[(&str, &str)], text: &str| problem(server).is_some_and(|it| it.starts_with(text));
        assert!(starts(&[], "must provide either cloud config"));
        assert!(starts(&SERVER[..2], "both username and password"));
        assert!(starts(&[SERVER[0], ("cloudID", "c")], "can't provide both"));
        assert!(starts(&[("cloudID", "c")], "both cloudID and apiKey"));
        assert_eq!(problem(&[("cloudID", "c"), ("apiKey", "k")]), None);
        assert_eq!(problem(&SERVER[1..]), None);
    }
}
