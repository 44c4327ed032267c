//! PredictKube: gRPC, for observations of a Prometheus.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use keda_core::sample::{ErrorKind, Sample, SourceError};
use keda_scalers::client::{SourceSettings, Sources};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::server::Grpc;
use tonic::{Code, Response, Status};
use tonic_prost::ProstCodec;

use super::case::{Case, Exchange};
use super::faults::faults;
use super::server::{Server, acceptor};
use crate::Source;

const HOST: &str = "api.predictkube.com";

#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(uint64, tag = "1")]
    forecast_horizon: u64,
    #[prost(message, repeated, tag = "2")]
    observations: Vec<Item>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Item {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(string, tag = "3")]
    metric_name: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Forecast {
    #[prost(int64, tag = "1")]
    result_metric: i64,
}

/// What the service was asked, with which key.
type Asked = Arc<Mutex<Vec<(String, Question)>>>;

/// The service, which always says the same.
async fn service(folder: &TempDir, forecast: Result<i64, Code>) -> (SocketAddr, Asked) {
    let (acceptor, asked) = (acceptor(folder, HOST), Asked::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let seen = Arc::clone(&seen);
            let service = tower::service_fn(move |request| {
                let seen = Arc::clone(&seen);
                async move { Ok::<_, Infallible>(respond(request, seen, forecast).await) }
            });
            let builder = Builder::new(TokioExecutor::new()).http2_only();
            tokio::spawn(async move {
                let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
            });
        }
    });
    (address, asked)
}

async fn respond(
    request: Request<Incoming>,
    seen: Asked,
    forecast: Result<i64, Code>,
) -> hyper::Response<tonic::body::Body> {
    assert_eq!(request.uri().path(), "/services.MlEngineService/GetPredictMetric");
    let answer = move |request: tonic::Request<Question>| {
        let key = request.metadata().get("x-auth-api-key").map(|key| key.to_str().unwrap().to_string());
        seen.lock().unwrap().push((key.unwrap_or_default(), request.into_inner()));
        async move {
            let result_metric = forecast.map_err(|code| Status::new(code, "no forecast"))?;
            Ok(Response::new(Forecast { result_metric }))
        }
    };
    Grpc::new(ProstCodec::default()).unary(tower::service_fn(answer), request).await
}

/// A reading with what Prometheus has observed and the service foresees, and what the service was asked.
async fn read(observed: &str, forecast: Result<i64, Code>) -> (Result<Sample, SourceError>, Asked) {
    let matrix = format!(r#"{{"data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{observed}]}}]}}}}"#);
    let prometheus = Case::new("predictkube", "", &[])
        .asks("POST /api/v1/query_range")
        .header("authorization", "Basic dTpodW50ZXIy")
        .body("end={any}&query=q%7B%7D&start={any}&step=120")
        .answers(405, "")
        .asks("GET /api/v1/query_range?end={any}&query=q%7B%7D&start={any}&step=120")
        .header("authorization", "Basic dTpodW50ZXIy")
        .answers(200, &matrix);
    read_with(prometheus.exchanges, forecast).await
}

/// As [`read`], with what is asked of Prometheus and what that answers.
async fn read_with(exchanges: Vec<Exchange>, forecast: Result<i64, Code>) -> (Result<Sample, SourceError>, Asked) {
    let prometheus = Server::start(None, exchanges).await;
    let folder = TempDir::new().unwrap();
    let (address, asked) = service(&folder, forecast).await;
    let sources = Sources::new(SourceSettings {
        timeout: Duration::from_secs(3),
        hosts: vec![(HOST.to_string(), address)],
        ca_dirs: vec![folder.path().to_path_buf()],
        ..SourceSettings::default()
    });
    let metadata = [
        ("prometheusAddress", prometheus.url()),
        ("query", "q{}".to_string()),
        ("predictHorizon", "2h".to_string()),
        ("queryStep", "2m".to_string()),
        ("historyTimeWindow", "7d".to_string()),
        ("threshold", "2000".to_string()),
        ("activationThreshold", "20".to_string()),
        ("authModes", "basic".to_string()),
    ];
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let login = [("apiKey", "aa.bb.cc"), ("username", "u"), ("password", "hunter2")];
    let source = Source::new(&sources, "predictkube", &metadata, &login);
    let sample = source.sample().await;
    assert_eq!(prometheus.complaints(), Vec::<String>::new());
    (sample, asked)
}

#[tokio::test]
async fn the_larger_of_the_forecast_and_the_last_observation_counts() {
    let (sample, asked) = read(r#"[1700000000,"5"],[1700000120.5,"10"]"#, Ok(25)).await;
    assert_eq!(sample, Ok(Sample { value: 25.0, active: false }), "a forecast alone wakes nobody");
    let asked = asked.lock().unwrap().pop().unwrap();
    let item = |seconds, nanos, value| Item {
        timestamp: Some(Time { seconds, nanos }),
        value,
        metric_name: "s0-predictkube-predictkube_metric".to_string(),
    };
    let observations = vec![item(1_700_000_000, 0, 5.0), item(1_700_000_120, 500_000_000, 10.0)];
    assert_eq!(asked, ("aa.bb.cc".to_string(), Question { forecast_horizon: 60, observations }));
    assert_eq!(read(r#"[1,"30"]"#, Ok(25)).await.0, Ok(Sample { value: 30.0, active: true }));
    assert_eq!(read("", Ok(5)).await.0, Ok(Sample { value: 5.0, active: false }));
}

#[tokio::test]
async fn without_a_forecast_there_is_no_value() {
    for (code, kind) in [
        (Code::Unauthenticated, ErrorKind::Denied),
        (Code::ResourceExhausted, ErrorKind::Throttled),
        (Code::Unavailable, ErrorKind::Unreachable),
    ] {
        let error = read(r#"[1,"30"]"#, Err(code)).await.0.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.starts_with("error executing query to predict controller service"), "{error}");
    }
    let error = read(r#"[1,"many"]"#, Ok(1)).await.0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
}

#[tokio::test]
async fn without_observations_nobody_is_asked_for_a_forecast() {
    for (fault, answer, kind) in faults().into_iter().filter(|(_, answer, _)| !answer.silent) {
        let mut exchanges = Case::new("predictkube", "", &[]).asks("POST /api/v1/query_range").exchanges;
        exchanges[0].answer = answer;
        let (sample, asked) = read_with(exchanges, Ok(25)).await;
        assert_eq!(sample.unwrap_err().kind, kind, "{fault}");
        assert!(asked.lock().unwrap().is_empty(), "{fault}");
    }
}
