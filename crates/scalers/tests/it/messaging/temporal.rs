//! `temporal`, against a gRPC server.

use std::sync::{Arc, Mutex};

use keda_core::sample::ErrorKind;
use keda_scalers::registry::temporal::messages::*;
use tonic::Status;

use crate::servers::certificates::Certificates;
use crate::servers::free_port;
use crate::stand_ins::grpc::{Answer, Call, Server, message};
use crate::{Source, sources};

fn queue(endpoint: &str, metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> Source {
    let needed = [("endpoint", endpoint), ("taskQueue", "billing")];
    Source::new(&sources(), "temporal", &[&needed, metadata].concat(), authentication)
}

fn stats(tasks: i64) -> Option<Statistics> {
    Some(Statistics { approximate_backlog_count: tasks })
}

/// What the server knows.
#[derive(Clone, Default)]
struct Known {
    /// Tasks by their kind.
    tasks: [i64; 4],
    /// Running workflows, or that they cannot be counted.
    workflows: Option<i64>,
    version_status: i32,
    /// The query for workflows.
    query: String,
}

fn answer(known: &mut Known, call: &Call) -> Answer {
    assert_eq!(call.metadata.get("temporal-namespace").unwrap(), "shop");
    match call.path.as_str() {
        DESCRIBE_TASK_QUEUE => {
            let asked: DescribeTaskQueueRequest = call.message();
            assert_eq!((asked.namespace.as_str(), asked.report_stats), ("shop", true));
            assert_eq!(asked.task_queue.unwrap().name, "billing");
            let mut answer = DescribeTaskQueueResponse::default();
            if asked.api_mode == ENHANCED {
                let types = asked
                    .task_queue_types
                    .iter()
                    .map(|kind| (*kind, TypeInfo { stats: stats(known.tasks[usize::try_from(*kind).unwrap()]) }));
                let info = VersionInfo { types_info: types.collect() };
                let builds = asked.versions.unwrap().build_ids.into_iter();
                answer.versions_info = builds.map(|build| (build, info.clone())).collect();
            } else if asked.task_queue_type != NEXUS {
                answer.stats = stats(known.tasks[usize::try_from(asked.task_queue_type).unwrap()]);
            }
            message(&answer)
        }
        DESCRIBE_VERSION => {
            let asked: DescribeVersionRequest = call.message();
            let version = asked.deployment_version.unwrap();
            assert_eq!((version.deployment_name.as_str(), version.build_id.as_str()), ("my-deploy", "v1"));
            let queues = [("billing", WORKFLOW, 4), ("billing", ACTIVITY, 2), ("other", WORKFLOW, 9)];
            message(&DescribeVersionResponse {
                worker_deployment_version_info: Some(DeploymentVersionInfo { status: known.version_status }),
                version_task_queues: queues
                    .map(|(name, kind, tasks)| VersionTaskQueue { name: name.to_string(), kind, stats: stats(tasks) })
                    .into(),
            })
        }
        COUNT_WORKFLOWS => {
            known.query = call.message::<CountWorkflowsRequest>().query;
            let count = known.workflows.ok_or_else(|| Status::resource_exhausted("too many questions"))?;
            message(&CountWorkflowsResponse { count })
        }
        other => panic!("no such method: {other}"),
    }
}

fn server(known: Known) -> (Server, Arc<Mutex<Known>>) {
    let known = Arc::new(Mutex::new(known));
    let said = Arc::clone(&known);
    (Server::new(move |call| answer(&mut said.lock().unwrap(), call)), known)
}

#[tokio::test]
async fn the_backlog_is_that_of_the_kinds_of_tasks() {
    let (server, _) = server(Known { tasks: [0, 3, 1, 50], ..Known::default() });
    let endpoint = server.serve().await;
    let read = async |metadata: &[(&str, &str)]| {
        let metadata = [&[("namespace", "shop")], metadata].concat();
        let sample = queue(&endpoint, &metadata, &[]).sample().await.unwrap();
        (sample.value, sample.active)
    };
    assert_eq!(read(&[]).await, (4.0, true));
    assert_eq!(read(&[("queueTypes", "workflow"), ("activationTargetQueueSize", "3")]).await, (3.0, false));
    assert_eq!(read(&[("buildId", "v1"), ("queueTypes", "workflow,nexus")]).await, (53.0, true));
    let version = [("workerDeploymentName", "my-deploy"), ("workerDeploymentBuildId", "v1")];
    assert_eq!(read(&version).await, (6.0, true));
    assert_eq!(read(&[&version[..], &[("queueTypes", "activity")]].concat()).await, (2.0, true));
}

#[tokio::test]
async fn workflows_that_run_keep_the_target_up() {
    let (server, known) = server(Known { workflows: Some(2), ..Known::default() });
    let endpoint = server.serve().await;
    let count = [("namespace", "shop"), ("includeRunningWorkflowCount", "true")];
    let version = [("workerDeploymentName", "my-deploy"), ("workerDeploymentBuildId", "v1")];
    let activation = [("activationTargetQueueSize", "6")];
    let queue = |metadata: &[&[(&str, &str)]]| queue(&endpoint, &metadata.concat(), &[]);
    let sample = queue(&[&count]).sample().await.unwrap();
    assert_eq!((sample.value, sample.active), (0.0, true));
    let query = known.lock().unwrap().query.clone();
    let all = "ExecutionStatus = 'Running' AND TaskQueue = 'billing' AND TemporalWorkerDeploymentVersion is null";
    assert_eq!(query, all);
    assert!(!queue(&[&count[..1]]).sample().await.unwrap().active);
    for (status, active) in [(CURRENT, true), (RAMPING, true), (DRAINING, true), (5, false)] {
        known.lock().unwrap().version_status = status;
        let sample = queue(&[&count, &version, &activation]).sample().await.unwrap();
        assert_eq!((sample.value, sample.active), (6.0, active), "{status}");
    }
    let query = known.lock().unwrap().query.clone();
    assert!(query.ends_with("'billing' AND TemporalWorkerDeploymentVersion = 'my-deploy:v1'"), "{query}");
    let other = [("workflowTaskQueueForCount", "orders"), ("selectAllActive", "true")];
    assert!(queue(&[&count, &other]).sample().await.unwrap().active);
    let query = known.lock().unwrap().query.clone();
    assert_eq!(query, "ExecutionStatus = 'Running' AND TaskQueue = 'orders'");
    known.lock().unwrap().workflows = None;
    assert_eq!(queue(&[&count]).error().await.kind, ErrorKind::Throttled);
}

#[tokio::test]
async fn a_key_and_a_certificate_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::for_names(folder.path(), &["frontend.temporal.example"]);
    let authority = Arc::new(Mutex::new(String::new()));
    let asked = Arc::clone(&authority);
    let server = Server::new(move |call| {
        asked.lock().unwrap().clone_from(&call.authority);
        match call.metadata.get("authorization").and_then(|key| key.to_str().ok()) {
            Some("Bearer hunter22") => message(&DescribeTaskQueueResponse { stats: stats(1), ..Default::default() }),
            _ => Err(Status::unauthenticated("who is there?")),
        }
    });
    let (plain, tls) = (server.serve().await, server.serve_tls(&certificates).await);
    let key = [("apiKey", "hunter22")];
    let one = ("queueTypes", "activity");
    assert_eq!(queue(&plain, &[one, ("enableTLS", "false")], &key).value().await, 1.0);
    assert_eq!(queue(&plain, &[one], &[]).error().await.kind, ErrorKind::Denied);
    let wrong = queue(&plain, &[one, ("enableTLS", "false")], &[("apiKey", "hunter33")]).error().await;
    assert!(wrong.kind == ErrorKind::Denied && !wrong.message.contains("hunter33"), "{wrong}");
    assert!(wrong.message.starts_with("failed to get Temporal backlog count: "), "{wrong}");
    assert_eq!(queue(&plain, &[one], &key).error().await.kind, ErrorKind::Unreachable, "TLS is on with a key");
    assert_eq!(queue(&tls, &[one], &key).error().await.kind, ErrorKind::Unreachable, "nobody knows the certificate");
    assert_eq!(queue(&tls, &[one, ("unsafeSsl", "true")], &key).value().await, 1.0);
    assert_eq!(*authority.lock().unwrap(), tls);
    let pem = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let (cert, pem_key) = (pem(&certificates.cert_file), pem(&certificates.key_file));
    let own = [("apiKey", "hunter22"), ("cert", cert.as_str()), ("key", &pem_key), ("ca", &certificates.ca)];
    let named = [one, ("tlsServerName", "frontend.temporal.example"), ("enableTLS", "false")];
    assert_eq!(queue(&tls, &named, &own).value().await, 1.0);
    assert_eq!(*authority.lock().unwrap(), "frontend.temporal.example");
    assert_eq!(queue(&tls, &[one], &own).error().await.kind, ErrorKind::Unreachable, "it is for another name");
}

#[tokio::test]
async fn what_the_server_does_not_do_is_told() {
    let refusing = |status: fn() -> Status| Server::new(move |_| Err(status()));
    for (status, kind) in [
        ((|| Status::not_found("no such namespace")) as fn() -> Status, ErrorKind::Configuration),
        (|| Status::permission_denied("no"), ErrorKind::Denied),
        (|| Status::unavailable("not now"), ErrorKind::Unreachable),
    ] {
        let endpoint = refusing(status).serve().await;
        assert_eq!(queue(&endpoint, &[], &[]).error().await.kind, kind);
    }
    let old = Server::new(|_| message(&DescribeTaskQueueResponse { pollers: vec![Poller {}], ..Default::default() }));
    let error = queue(&old.serve().await, &[("buildId", "v1")], &[]).error().await;
    assert!(error.message.contains("server does not support DescribeTaskQueueEnhanced"), "{error}");
    let nowhere = format!("127.0.0.1:{}", free_port());
    assert_eq!(queue(&nowhere, &[], &[]).error().await.kind, ErrorKind::Unreachable);
}
