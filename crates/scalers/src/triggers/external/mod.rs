//! `external` and `external-push`: metrics of a gRPC server of the user's (`scalers/external.md`).

pub mod messages;
mod pushes;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use keda_core::metadata::{Context, Metadata, Parameter, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;
use prost::Message;

use crate::client::Sources;
use crate::client::grpc::{Endpoint, Grpc, explain};
use crate::client::tls::TlsOptions;
use crate::trigger::{Memory, Push, Scaler, Specs, Trigger, float};
use messages::{
    GET_METRIC_SPEC, GET_METRICS, GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IS_ACTIVE,
    IsActiveResponse, MetricValue, ScaledObjectRef,
};

/// Scale on what a gRPC server of your own says, which is sent all metadata of the trigger.
///
/// The server implements the service `externalscaler.ExternalScaler`. `GetMetricSpec` names its metrics and their
/// targets per replica, `GetMetrics` gives the value of one (several are added up), and `IsActive` tells whether the
/// target leaves zero. With `external-push` it also says so by itself: `StreamIsActive` wakes the target without
/// waiting for the next reading, and the optional `StreamMetricSpec` changes metrics and targets.
///
/// Each call has the name and namespace of the object and all the trigger's metadata. Keys that you invent are fine; of
/// one that ends in `FromEnv` the server gets the variable's value under the same key. What comes from the
/// TriggerAuthentication is not sent, so secrets reach the server by variables of the target or by ways of its own.
///
/// - There is no login but TLS: a `caCert`, or both `tlsClientCert` and `tlsClientKey`, switch it on as well as
///   `enableTLS`. Otherwise the connection is not encrypted, and `unsafeSsl` alone changes nothing.
/// - Pod identities are not used.
/// - A target that may go to zero and must wake at once wants `external-push`; `external` is only asked at each
///   `pollingInterval`.
///
/// ```yaml
/// type: external
/// metadata:
///   scalerAddress: order-scaler.shop.svc:9090
///   region: north
///   ordersPerReplica: "20"
/// authenticationRef:
///   name: order-scaler
/// ---
/// secretTargetRef:
///   - parameter: caCert
///     name: order-scaler
///     key: ca.crt
///   - parameter: tlsClientCert
///     name: order-scaler
///     key: tls.crt
///   - parameter: tlsClientKey
///     name: order-scaler
///     key: tls.key
/// ```
///
/// ```yaml
/// type: external-push
/// metadata:
///   scalerAddress: order-scaler.shop.svc:9090
///   region: north
///   ordersPerReplica: "20"
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct External {
    /// Address of the server: `host:port`, or another gRPC target such as `dns:///host:port` or `unix:/path`.
    #[meta(trigger)]
    scaler_address: String,
    /// Whether to talk over TLS; with a `caCert` or a client's certificate that is so anyway.
    #[meta(name = "enableTLS", trigger, optional)]
    enable_tls: bool,
    /// Whether to take any certificate of the server; it does not switch TLS on.
    #[meta(trigger, optional)]
    unsafe_ssl: bool,
    /// PEM of certificates to trust beside the system's; it switches TLS on.
    #[meta(auth)]
    ca_cert: Option<Secret>,
    /// PEM of the client's certificate; of no effect without `tlsClientKey`.
    #[meta(auth)]
    tls_client_cert: Option<Secret>,
    /// PEM of the client's key; of no effect without `tlsClientCert`.
    #[meta(auth)]
    tls_client_key: Option<Secret>,
    #[meta(group)]
    forwarded: Forwarded,
}

/// The metadata that the server is sent.
#[derive(Debug)]
struct Forwarded(BTreeMap<String, Secret>);

/// Which keys these are.
#[derive(Metadata)]
#[expect(dead_code, reason = "only its table is used")]
struct ForwardedKeys {
    /// Whatever the server wants to know.
    #[meta(name = "*", trigger, optional)]
    any: String,
}

impl Metadata for Forwarded {
    fn parameters() -> Vec<&'static Parameter> {
        Vec::new()
    }

    fn unlisted() -> Vec<&'static Parameter> {
        ForwardedKeys::parameters()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Forwarded(reader.all())
    }
}

impl External {
    fn check(&mut self, reader: &mut Reader<'_>) {
        reader.asks_for("namespace", &reader.context().namespace);
        reader.asks_for("name", &reader.context().name);
    }

    fn tls(&self) -> Option<TlsOptions> {
        let pair = self.tls_client_cert.clone().zip(self.tls_client_key.clone());
        let is_on = self.enable_tls || pair.is_some() || self.ca_cert.is_some();
        let (cert, key) = pair.unzip();
        is_on.then(|| TlsOptions { insecure: self.unsafe_ssl, ca: self.ca_cert.clone(), cert, key, key_password: None })
    }
}

impl Trigger for External {
    fn specs(&self, _: &Context) -> Specs {
        Specs::FromSource
    }

    fn connect(self, context: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let endpoint = Endpoint { target: self.scaler_address.clone(), tls: self.tls() };
        let metadata = self.forwarded.0.into_iter().map(|(key, value)| (key, value.expose().to_string()));
        let reference = ScaledObjectRef {
            name: context.name.clone(),
            namespace: context.namespace.clone(),
            scaler_metadata: metadata.collect(),
        };
        let server = Server { client: Grpc::new(endpoint, sources), reference };
        Ok(Box::new(Asking { server: Arc::new(server), listens: context.trigger_type == "external-push" }))
    }
}

/// The server, asked about one object.
struct Server {
    client: Grpc,
    reference: ScaledObjectRef,
}

struct Asking {
    server: Arc<Server>,
    /// Whether the server also speaks up by itself.
    listens: bool,
}

#[async_trait]
impl Scaler for Asking {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let mut values = Vec::new();
        for spec in self.server.specs().await?.metric_specs {
            if let Some(value) = self.server.value(&spec.metric_name).await? {
                values.push((spec.metric_name, value));
            }
        }
        let active = self.server.call::<_, IsActiveResponse>(IS_ACTIVE, self.server.reference.clone()).await?.result;
        Ok(values.into_iter().map(|(name, value)| (name, Sample { value, active })).collect())
    }

    async fn describe(&self) -> Result<Vec<MetricSpec>, SourceError> {
        self.server.specs().await.map(GetMetricSpecResponse::into_specs)
    }

    fn pushes(&self) -> Option<BoxStream<'static, Push>> {
        self.listens.then(|| pushes::listen(&self.server))
    }
}

impl Server {
    async fn specs(&self) -> Result<GetMetricSpecResponse, SourceError> {
        self.call(GET_METRIC_SPEC, self.reference.clone()).await
    }

    /// The value of a metric: the sum where the server gives several, as the HPA adds them up; `None` where it gives
    /// none.
    async fn value(&self, metric_name: &str) -> Result<Option<f64>, SourceError> {
        let request =
            GetMetricsRequest { scaled_object_ref: Some(self.reference.clone()), metric_name: metric_name.to_string() };
        let values = self.call::<_, GetMetricsResponse>(GET_METRICS, request).await?.metric_values;
        Ok(match values.as_slice() {
            [] => None,
            [value] => Some(value.number()),
            // Each counts as the HPA would be told it: as 0 where it is negative or not finite.
            values => {
                let finite = values.iter().map(MetricValue::number).filter(|number| number.is_finite());
                Some(finite.map(|number| number.max(0.0)).sum())
            }
        })
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, SourceError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let answer = self.client.call(path, request).await;
        answer.map_err(|status| {
            let method = path.rsplit('/').next().unwrap_or_default();
            explain(&status).within(&format!("error calling {method} of the external scaler"))
        })
    }
}

impl GetMetricSpecResponse {
    /// The specs as the HPA gets them; the names are the server's own.
    fn into_specs(self) -> Vec<MetricSpec> {
        let specs = self.metric_specs.into_iter().map(|spec| {
            let target = if spec.target_size_float > 0.0 {
                Target::Float(spec.target_size_float)
            } else {
                Target::Integer(spec.target_size)
            };
            MetricSpec::external(spec.metric_name, target)
        });
        specs.collect()
    }
}

impl MetricValue {
    fn number(&self) -> f64 {
        if self.metric_value_float > 0.0 { self.metric_value_float } else { float(self.metric_value) }
    }
}

#[cfg(test)]
mod tests;
