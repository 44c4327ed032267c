//! `prometheus`: the value of an instant PromQL query (`scalers/prometheus.md`).

mod cloud;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use keda_core::metadata::{Context, Map, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::query_escape;
use keda_core::sample::{Reading, Sample, SourceError};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde_json::Value;

use self::cloud::{CloudLogin, Sender};
use crate::client::Sources;
use crate::client::authentication::Authentication;
use crate::client::http;
use crate::client::notices::{Notice, note};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Scaler, Specs, Trigger};

const METRIC_NAME: &str = "prometheus";

/// Scale on the result of a PromQL query, of Prometheus or of a server with the same API.
///
/// The query is an instant one, and its result must be a single element, so put `sum(…)` or the like around it; a
/// scalar needs `vector(…)`. One replica is wanted per `threshold` of the number. The target leaves zero when the
/// number is above `activationThreshold`. Let the query give a total over all replicas, of a metric that is there at
/// zero replicas too, such as one of the ingress or of the queue before the target.
///
/// An empty result, NaN and infinity count as 0 by default, so a mistyped label scales the target in without a word.
/// With `ignoreNullValues: "false"` they are an error, so that `fallback` can step in.
///
/// `serverAddress` may have a path but should not end in `/`. Where the server has tenants, as Mimir does, name one
/// with `customHeaders: X-Scope-OrgID=shop`.
///
/// Log in by naming the ways in `authModes` and giving what they need in a TriggerAuthentication: `basic` (`username`,
/// `password`), `bearer` (`bearerToken`), `custom` (`customAuthHeader`, `customAuthValue`), `tls` (`cert`, `key`);
/// modes can be joined, as in `tls,basic`. `oauth` and `apiKey` are accepted and have no effect. `ca` only counts
/// beside a mode, and then `unsafeSsl` does not.
///
/// Managed services of clouds need no mode, and refuse to have one beside a pod identity: Azure takes the pod identity
/// `azure-workload`; Google Cloud the pod identity `gcp` or `GoogleApplicationCredentials`, the key of a service account;
/// Amazon's wants `awsRegion`, and the pod identity `aws`, `awsRoleArn`, or `awsAccessKeyID` with `awsSecretAccessKey`.
///
/// ```yaml
/// type: prometheus
/// metadata:
///   serverAddress: http://prometheus.monitoring.svc:9090
///   query: sum(rate(nginx_ingress_controller_requests{exported_service="storefront"}[2m]))
///   threshold: "100"
///   activationThreshold: "5"
///   authModes: bearer
/// authenticationRef:
///   name: prometheus-token
/// ---
/// secretTargetRef:
///   - parameter: bearerToken
///     name: prometheus-token
///     key: token
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Prometheus {
    /// Address of the server as a URL, such as `http://prometheus.monitoring.svc:9090`; it may have a path, without a
    /// `/` at its end.
    #[meta(trigger)]
    server_address: String,
    /// The PromQL query; its result must be a single element.
    #[meta(trigger)]
    query: String,
    /// More parameters of the request as `key=value` with commas between them, such as
    /// `dedup=true,partial_response=false`; neither key nor value can contain `,` or `=`.
    #[meta(trigger, optional)]
    query_parameters: Map,
    /// What one replica is expected to handle, in the unit of the query.
    #[meta(trigger)]
    threshold: f64,
    /// Result of the query above which the target leaves zero; 0 when not given.
    #[meta(trigger, optional)]
    activation_threshold: f64,
    /// Namespace that the query is limited to, for servers that take one beside the query.
    #[meta(trigger, optional)]
    namespace: String,
    /// More headers of the request as `name=value` with commas between them, such as `X-Scope-OrgID=shop`; neither name
    /// nor value can contain `,` or `=`.
    #[meta(trigger, optional)]
    custom_headers: Map,
    /// Whether an empty result, NaN and infinity count as 0; otherwise they are an error.
    #[meta(trigger, default = "true")]
    ignore_null_values: bool,
    /// Whether to take any certificate of the server; of no effect with the mode `tls`, beside
    /// `ca`, and with a login at Azure or AWS.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// Region of a managed service of AWS, such as `eu-west-1`, for which requests are signed; that of KEDA itself when
    /// not given.
    #[meta(trigger, auth, optional)]
    aws_region: String,
    /// Who logs in at AWS where there is no pod identity: `pod`, with the trigger's own role or keys, or `operator`.
    #[meta(trigger, optional)]
    #[expect(dead_code, reason = "the login was found with it")]
    identity_owner: String,
    /// Time limit of a request, such as `10s`; a bare number is in milliseconds. That of KEDA when not given or 0.
    #[meta(trigger, optional)]
    timeout: Duration,
    #[meta(group)]
    authentication: Authentication,
    #[meta(group)]
    cloud: CloudLogin,
}

impl Prometheus {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.authentication.is_on() && reader.context().identity_provider() != "none" {
            reader.error("pod identity cannot be enabled with other auth types");
        }
    }

    /// How TLS is set up: the trigger's own certificates only count beside a mode, and then the server's must be right.
    fn tls(&self) -> TlsOptions {
        let unsafe_ssl = self.unsafe_ssl && matches!(self.cloud, CloudLogin::None | CloudLogin::Google(_));
        if !self.authentication.is_on() {
            return TlsOptions { insecure: unsafe_ssl, ..TlsOptions::default() };
        }
        let own = self.authentication.has("tls") || self.authentication.has_ca();
        self.authentication.tls_beside_ca(self.unsafe_ssl && !own)
    }
}

impl Trigger for Prometheus {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(METRIC_NAME, Target::Float(self.threshold)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let client = sources.http.client(&sources.tls, &self.tls())?;
        let timeout = if self.timeout.is_zero() { sources.settings.timeout } else { self.timeout };
        let login = if self.authentication.is_on() { CloudLogin::None } else { self.cloud.clone() };
        let sender = login.sender(&self.aws_region, timeout, sources)?;
        Ok(Box::new(Server { client, sender, timeout, trigger: self }))
    }
}

struct Server {
    client: Arc<Client>,
    sender: Sender,
    timeout: Duration,
    trigger: Prometheus,
}

#[async_trait]
impl Scaler for Server {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let url = self.trigger.url(crate::sampler::wall_clock())?;
        let mut request = self.client.get(url).timeout(self.timeout);
        for (name, value) in &self.trigger.custom_headers.0 {
            let name: HeaderName =
                name.parse().map_err(|_| SourceError::configuration(format!("{name:?} cannot be a header's name")))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| SourceError::configuration(format!("the value of {name} cannot be a header's")))?;
            request = request.header(name, value);
        }
        let answer = self.sender.send(self.trigger.authentication.with_authorization(request)?).await?;
        if !answer.status.is_success() {
            let message = format!("prometheus query api returned error. status: {}", answer.status.as_u16());
            return Err(SourceError::new(http::status_kind(answer.status), message));
        }
        let value = self.trigger.value(&answer.body)?;
        Ok(vec![(METRIC_NAME.to_string(), Sample::above(value, self.trigger.activation_threshold))])
    }
}

impl Prometheus {
    /// The request as KEDA writes it: the time and the namespace as they are, everything else escaped.
    fn url(&self, now: Timestamp) -> Result<Url, SourceError> {
        let mut url = format!(
            "{}/api/v1/query?query={}&time={}",
            self.server_address,
            query_escape(&self.query),
            now.strftime("%Y-%m-%dT%H:%M:%SZ")
        );
        if !self.namespace.is_empty() {
            url.push_str(&format!("&namespace={}", self.namespace));
        }
        for (key, value) in &self.query_parameters.0 {
            url.push_str(&format!("&{}={}", query_escape(key), query_escape(value)));
        }
        url.parse().map_err(|error| SourceError::configuration(format!("serverAddress is not an address: {error}")))
    }

    /// The single element of an answer.
    fn value(&self, body: &str) -> Result<f64, SourceError> {
        let answer: Value = serde_json::from_str(body)
            .map_err(|error| SourceError::malformed(format!("the answer of prometheus is not JSON: {error}")))?;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        let elements = result.ok_or_else(|| SourceError::malformed("the answer of prometheus has no data.result"))?;
        let element = match elements.as_slice() {
            [] => return self.nothing("target may be lost, the result is empty"),
            [element] if element.is_object() => element,
            [_] => return Err(SourceError::malformed("the query gives a scalar; wrap it in vector()")),
            _ if elements.iter().all(Value::is_object) => {
                return Err(SourceError::malformed(format!(
                    "prometheus query {} returned multiple elements",
                    self.query
                )));
            }
            _ => return Err(SourceError::malformed("the query gives a scalar; wrap it in vector()")),
        };
        let value = match element.get("value").and_then(Value::as_array).map(Vec::as_slice) {
            None | Some([]) => return self.nothing("target may be lost, the value list is empty"),
            Some([_]) => {
                return Err(SourceError::malformed("prometheus metrics 'prometheus' didn't return enough values"));
            }
            Some([_, value, ..]) => value,
        };
        match value {
            Value::Null => Ok(-1.0),
            Value::String(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                Ok(number) if self.ignore_null_values => {
                    tracing::debug!(number, "not a finite number: taken for 0");
                    Ok(0.0)
                }
                Ok(_) => Err(SourceError::malformed(format!("prometheus query returns {text}"))),
                Err(_) => Err(SourceError::malformed(format!("prometheus gave {text:?} where a number belongs"))),
            },
            other => Err(SourceError::malformed(format!("prometheus gave {other} where a number in quotes belongs"))),
        }
    }

    /// 0, or an error, as `ignoreNullValues` says.
    fn nothing(&self, why: &str) -> Result<f64, SourceError> {
        note(Notice::Empty { ignored: self.ignore_null_values });
        if self.ignore_null_values {
            return Ok(0.0);
        }
        Err(SourceError::malformed(format!("prometheus metrics 'prometheus' {why}")))
    }
}

#[cfg(test)]
mod tests {
    use keda_core::api::PodIdentity;
    use keda_core::metadata::{Inputs, parse};

    use super::*;
    use crate::client::aws::AwsLogin;
    use crate::client::gcp::GcpLogin;

    fn prometheus(more: &[(&str, &str)]) -> (Prometheus, Vec<String>) {
        let required = [("serverAddress", "http://p:9090"), ("query", "up{a=\"b\"}"), ("threshold", "100")];
        let inputs = Inputs::from_metadata(required.iter().chain(more).copied());
        let (prometheus, problems) = parse::<Prometheus>(&inputs, &Context::default());
        (prometheus, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_request_is_keda_s() {
        let (prometheus, problems) = prometheus(&[("namespace", "shop"), ("queryParameters", "key=a b")]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            prometheus.url("2026-03-01T12:00:00.9Z".parse().unwrap()).unwrap().as_str(),
            "http://p:9090/api/v1/query?query=up%7Ba%3D%22b%22%7D&time=2026-03-01T12:00:00Z&namespace=shop&key=a+b"
        );
    }

    #[test]
    fn the_last_cloud_that_has_what_it_wants_is_asked() {
        let login = |more: &[(&str, &str)], secrets: &[(&str, &str)], provider: &str| {
            let required = [("serverAddress", "http://p:9090"), ("query", "up"), ("threshold", "100")];
            let inputs = Inputs::from_metadata(required.iter().chain(more).copied())
                .with_authentication(secrets.iter().copied());
            let identity = PodIdentity { provider: provider.into(), ..PodIdentity::default() };
            let context = Context { pod_identity: Some(identity), ..Context::default() };
            let (prometheus, problems) = parse::<Prometheus>(&inputs, &context);
            problems.into_iter().next().map_or(Ok(prometheus.cloud), |problem| Err(problem.message))
        };
        let google = ("GoogleApplicationCredentials", "{}");
        let keys = [google, ("awsAccessKeyID", "id"), ("awsSecretAccessKey", "hunter2")];
        assert_eq!(login(&[("awsRegion", "eu-west-1")], &[], "none"), Ok(CloudLogin::None));
        assert_eq!(login(&[("identityOwner", "operator")], &[], "none"), Ok(CloudLogin::Aws(AwsLogin::Process)));
        assert!(matches!(login(&[], &keys, "none"), Ok(CloudLogin::Aws(AwsLogin::Keys { .. }))));
        assert!(matches!(login(&[], &keys[..2], "none"), Ok(CloudLogin::Google(GcpLogin::Key(_)))));
        assert_eq!(login(&[], &[], "gcp"), Ok(CloudLogin::Google(GcpLogin::Process)));
        let azure =
            |cloud, url| login(&[("cloud", cloud), ("azureManagedPrometheusResourceURL", url)], &[], "azure-workload");
        let resource = |login| match login {
            Ok(CloudLogin::Azure(_, resource)) => resource,
            other => panic!("{other:?}"),
        };
        assert_eq!(resource(azure("azurechinacloud", "")), "https://prometheus.monitor.azure.cn");
        assert_eq!(resource(azure("Private", "https://own/.default")), "https://own");
        assert!(azure("Private", "").is_err_and(|message| message.contains("must be provided for Private cloud type")));
        assert!(azure("AzureGermanCloud", "").is_err_and(|message| message.contains("not available in cloud")));
    }

    #[test]
    fn one_element_is_wanted() {
        let (lenient, _) = prometheus(&[]);
        let (strict, _) = prometheus(&[("ignoreNullValues", "false")]);
        let body = |result: &str| format!("{{\"data\":{{\"result\":{result}}}}}");
        assert_eq!(lenient.value(&body(r#"[{"metric":{},"value":["1","777"]}]"#)), Ok(777.0));
        assert_eq!(lenient.value(&body(r#"[{"value":[1,null]}]"#)), Ok(-1.0));
        for nothing in ["[]", r#"[{"value":[]}]"#, r#"[{"value":[1,"+Inf"]}]"#, r#"[{"values":[[1,"2"]]}]"#] {
            assert_eq!(lenient.value(&body(nothing)), Ok(0.0), "{nothing}");
            assert!(strict.value(&body(nothing)).is_err(), "{nothing}");
        }
        for wrong in
            [r#"[{"value":[1]}]"#, r#"[{},{}]"#, r#"[1,"2"]"#, r#"[{"value":[1,"x"]}]"#, r#"[{"value":[1,2]}]"#, "{}"]
        {
            assert!(lenient.value(&body(wrong)).is_err(), "{wrong}");
        }
        assert!(lenient.value("<html>").is_err());
    }

    #[test]
    fn maps_have_exactly_one_equals_sign_and_modes_their_secrets() {
        assert!(prometheus(&[("customHeaders", "X-Client-Id=cid,X-Tenant-Id=tid")]).1.is_empty());
        for (key, value) in
            [("customHeaders", "X-Client-Id"), ("customHeaders", "a=b=c"), ("timeout", "-1"), ("authModes", "bearer")]
        {
            assert_eq!(prometheus(&[(key, value)]).1.len(), 1, "{key}: {value}");
        }
    }
}
