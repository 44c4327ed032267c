//! `keda up` with real sources: 0 → N → 0, restarts, failures.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{self, wait_until};

/// A running `keda up` on manifests of its own.
struct Up {
    folder: TempDir,
    child: Option<Child>,
    /// A word in the command line of every worker.
    mark: String,
}

impl Up {
    /// Starts it with one Deployment and one ScaledObject `jobs`, whose spec ends with `spec`.
    fn start(spec: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("mark-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let folder = TempDir::new().expect("a folder");
        let mut up = Up { folder, child: None, mark };
        up.write(spec);
        up.start_again();
        up
    }

    fn write(&self, spec: &str) {
        let indented = |line: &str| if line == "---" { "---\n".to_string() } else { format!("  {line}\n") };
        let spec: String = spec.lines().map(indented).collect();
        let text = format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: worker}}
spec:
  selector: {{matchLabels: {{app: worker}}}}
  template:
    metadata: {{labels: {{app: worker}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: main
        command: [sh, -c, 'echo up $POD_NAME; while :; do sleep 0.2; done', {mark}]
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: jobs}}
spec:
  scaleTargetRef: {{name: worker}}
  pollingInterval: 1
  cooldownPeriod: 2
  maxReplicaCount: 20
{spec}",
            mark = self.mark
        );
        std::fs::write(self.path("app.yaml"), text).expect("a manifest");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let child = self
            .keda("up")
            .args(["--hpa-interval", "500ms", "--downscale-stabilization", "1s", "--watch", "-f"])
            .arg(self.path("app.yaml"))
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("keda starts");
        self.child = Some(child);
        assert!(wait_until(10, || self.keda("get").arg("so").output().is_ok_and(|output| output.status.success())));
    }

    fn keda(&self, command: &str) -> Command {
        let mut keda = crate::program::keda();
        keda.arg(command).arg("--state-dir").arg(self.path("state"));
        keda
    }

    /// What `keda explain` knows.
    fn explained(&self) -> Value {
        let output = self.keda("explain").args(["so/jobs", "-o", "json"]).output().expect("keda runs");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until the workload has `replicas`, all of them running.
    fn reaches(&self, replicas: u64) {
        let reached = wait_until(25, || {
            let replicas = Value::from(replicas);
            let explained = self.explained();
            explained["replicas"]["wanted"] == replicas && explained["replicas"]["running"] == replicas
        });
        assert!(reached, "not at {replicas}: {}\n{}", self.explained(), self.log());
    }

    /// Process ids of the workers.
    fn workers(&self) -> Vec<String> {
        let output = Command::new("ps").args(["-wweo", "pid=,ppid=,args="]).output().expect("ps");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let end = format!("sleep 0.2; done {}", self.mark);
        let mut found = BTreeMap::new();
        for line in text.lines().filter(|line| line.ends_with(&end)) {
            let mut words = line.split_whitespace().map(str::to_string);
            found.insert(words.next().expect("an id"), words.next().expect("the id of the parent"));
        }
        // A child of a worker that is not a `sleep` yet looks like one.
        found.iter().filter(|(_, parent)| !found.contains_key(*parent)).map(|(id, _)| id.clone()).collect()
    }

    fn signal(&mut self, signal: Signal) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("a signal");
        child.wait().expect("its end").code()
    }

    /// Ends it in order: every worker stops in time, and nothing is left.
    fn stop(mut self) {
        assert_eq!(self.signal(Signal::TERM), Some(0), "{}", self.log());
        assert_eq!(self.workers(), Vec::<String>::new());
        assert!(!self.path("state/socket").exists());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            let _ = child.wait();
        }
    }
}

fn redis_trigger(server: &servers::redis::Redis) -> String {
    format!(
        "triggers:\n- type: redis\n  metadata: {{address: '127.0.0.1:{}', listName: jobs, listLength: '5', password: {}}}\n",
        server.port,
        servers::redis::PASSWORD
    )
}

fn redis(server: &servers::redis::Redis, arguments: &[&str]) {
    redis_text(server, arguments);
}

/// What the server answers.
fn redis_text(server: &servers::redis::Redis, arguments: &[&str]) -> String {
    let port = server.port.to_string();
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port, "-a", servers::redis::PASSWORD, "--no-auth-warning"]).args(arguments);
    let output = command.output().expect("redis-cli");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Puts that many elements into the list.
fn push(server: &servers::redis::Redis, count: usize) {
    let elements = vec!["x"; count];
    redis(server, &[["rpush", "jobs"].as_slice(), &elements].concat());
}

#[test]
fn an_external_scaler_that_comes_late_says_which_metrics_there_are() {
    use keda_scalers::registry::external::messages::{MetricSpec, MetricValue};
    use servers::external::{Answers, External};

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("scaler.sock");
    let scaler = format!("unix:{}", socket.display());
    let up = Up::start(&format!("triggers:\n- type: external-push\n  metadata: {{scalerAddress: '{scaler}'}}\n"));
    let told = |words: &str| wait_until(10, || up.log().contains(words));
    assert!(told("replicas are held until its source says which metrics there are"), "{}", up.log());
    assert!(told("error calling GetMetricSpec of the external scaler"), "{}", up.log());
    let spec = MetricSpec { metric_name: "q/len".to_string(), target_size: 4, target_size_float: 0.0 };
    let value = |value| vec![MetricValue { metric_name: String::new(), metric_value: value, metric_value_float: 0.0 }];
    let server =
        External::new(Answers { specs: vec![spec], values: value(12), active: Some(true), ..Answers::default() });
    let guard = runtime.enter();
    server.serve_at(&socket);
    drop(guard);
    up.reaches(3);
    assert_eq!(up.explained()["view"]["readings"][0]["metric"], "s0-q/len");
    server.with(|answers| (answers.values, answers.active) = (value(0), Some(false)));
    up.reaches(0);
    // It changes its mind without a word.
    let spec = MetricSpec { metric_name: "length".to_string(), target_size: 2, target_size_float: 0.0 };
    server.with(|answers| (answers.specs, answers.values, answers.active) = (vec![spec], value(8), Some(true)));
    up.reaches(4);
    assert_eq!(up.explained()["view"]["readings"][0]["metric"], "s0-length");
    up.stop();
}

#[test]
#[ignore = "needs redis-server; make test runs it"]
fn redis_takes_a_workload_from_0_to_n_and_back() {
    let Some(server) = servers::redis::Redis::start() else { return };
    let up = Up::start(&redis_trigger(&server));
    up.reaches(0);
    push(&server, 23);
    up.reaches(5);
    let explained = up.explained();
    assert_eq!(explained["view"]["readings"][0]["metric"], "s0-redis-jobs");
    assert_eq!(explained["view"]["readings"][0]["value"], "23");
    assert_eq!(explained["object"]["status"]["hpaName"], "keda-hpa-jobs");
    let table = up.keda("get").arg("scaledobject").output().expect("keda runs").stdout;
    let table = String::from_utf8_lossy(&table).into_owned();
    let words =
        |line: usize| table.lines().nth(line).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        words(0),
        "NAME SCALETARGETKIND SCALETARGETNAME MIN MAX READY ACTIVE FALLBACK PAUSED TRIGGERS AUTHENTICATIONS AGE"
    );
    assert!(words(1).starts_with("jobs apps/v1.Deployment worker 20 True True False False redis "), "{table}");
    redis(&server, &["del", "jobs"]);
    up.reaches(0);
    assert!(up.log().contains("longer than the cooldown"), "{}", up.log());
    up.stop();
}

#[test]
#[ignore = "needs redis-server; make test runs it"]
fn workers_survive_a_kill_and_are_adopted() {
    let Some(server) = servers::redis::Redis::start() else { return };
    let mut up = Up::start(&redis_trigger(&server));
    push(&server, 12);
    up.reaches(3);
    let before = up.workers();
    assert_eq!(before.len(), 3);
    up.signal(Signal::KILL);
    assert_eq!(up.workers(), before, "they outlive keda up");
    up.start_again();
    up.reaches(3);
    assert_eq!(up.workers(), before, "the same processes, none doubled");
    up.stop();
}

#[test]
#[ignore = "needs redis-server; make test runs it"]
fn a_source_that_goes_away_holds_the_replicas_until_it_is_back() {
    let Some(mut server) = servers::redis::Redis::start() else { return };
    let up = Up::start(&redis_trigger(&server));
    push(&server, 12);
    up.reaches(3);
    server.stop();
    assert!(wait_until(15, || up.explained()["view"]["readings"][0]["error"].is_string()), "{}", up.log());
    assert!(wait_until(5, || {
        let verdict = up.explained()["view"]["verdict"]["reason"].as_str().unwrap_or_default().to_string();
        verdict.contains("replicas are held")
    }));
    up.reaches(3);
    let told = up.log().lines().filter(|line| line.contains("\"scalers\"") && line.contains("\"unreachable\"")).count();
    assert_eq!(told, 1, "once for each time that it goes away: {}", up.log());
    server.start_again();
    push(&server, 30);
    up.reaches(6);
    assert!(up.log().contains("the source answers again"));
    up.stop();
}

#[test]
#[ignore = "needs redis-server; make test runs it"]
fn a_fallback_applies_after_its_threshold_and_a_wrong_password_never_scales_down() {
    let Some(mut server) = servers::redis::Redis::start() else { return };
    let fallback = "fallback: {failureThreshold: 2, replicas: 4, behavior: static}\n";
    let up = Up::start(&format!("{fallback}{}", redis_trigger(&server)));
    push(&server, 7);
    up.reaches(2);
    server.stop();
    up.reaches(4);
    assert_eq!(up.explained()["view"]["readings"][0]["fallback"], true);
    up.stop();
    server.start_again();
    push(&server, 7);
    let wrong = redis_trigger(&server);
    let up = Up::start(&wrong);
    up.reaches(2);
    up.write(&wrong.replace(servers::redis::PASSWORD, "not-the-password"));
    assert!(wait_until(10, || up.explained()["view"]["readings"][0]["error"].is_string()), "{}", up.log());
    up.reaches(2);
    let log = up.log();
    assert!(log.contains("wrong user or password") && !log.contains("not-the-password"), "{log}");
    up.stop();
}

#[test]
#[ignore = "needs redis-server; make test runs it"]
fn a_pause_is_picked_up_from_the_changed_manifest() {
    let Some(server) = servers::redis::Redis::start() else { return };
    let up = Up::start(&redis_trigger(&server));
    push(&server, 12);
    up.reaches(3);
    let file = up.path("app.yaml");
    let text = std::fs::read_to_string(&file).expect("the manifest");
    let paused = "metadata: {name: jobs, annotations: {autoscaling.keda.sh/paused-replicas: '1'}}";
    std::fs::write(&file, text.replace("metadata: {name: jobs}", paused)).expect("the manifest");
    up.reaches(1);
    std::fs::write(&file, "not: [a manifest").expect("a broken manifest");
    assert!(wait_until(5, || up.log().contains("nothing was changed")), "{}", up.log());
    up.reaches(1);
    std::fs::write(&file, text).expect("the manifest");
    up.reaches(3);
    up.stop();
}

#[test]
#[ignore = "needs redis-server; make test runs it"]
fn changed_manifests_move_only_what_they_mention() {
    let Some(server) = servers::redis::Redis::start() else { return };
    let up = Up::start(&redis_trigger(&server));
    push(&server, 12);
    up.reaches(3);
    let workers = up.workers();
    let file = up.path("app.yaml");
    let text = std::fs::read_to_string(&file).expect("the manifest");
    std::fs::write(&file, "").expect("an empty file");
    assert!(wait_until(5, || up.log().contains("it has become empty")), "{}", up.log());
    std::fs::write(&file, &text).expect("the manifest");
    assert!(wait_until(5, || up.log().contains("taking them over")), "{}", up.log());
    assert_eq!(up.workers(), workers, "an empty moment stops nothing");
    let (deployment, object) = text.split_once("---").expect("two documents");
    let other = deployment.replace("{name: worker}", "{name: other}");
    let moved = object.replace("scaleTargetRef: {name: worker}", "scaleTargetRef: {name: other}");
    std::fs::write(&file, format!("{deployment}---\n{other}---{moved}")).expect("the manifest");
    up.reaches(3);
    assert!(wait_until(10, || up.workers().len() == 6), "the new target follows, the old one stays: {}", up.log());
    std::fs::write(&file, format!("{deployment}---\n{other}")).expect("the manifest");
    assert!(wait_until(5, || up.log().contains("its workload keeps its replicas")), "{}", up.log());
    assert_eq!(up.workers().len(), 6);
    up.stop();
}

#[test]
#[ignore = "needs rabbitmq-server; make test runs it"]
fn rabbitmq_takes_a_workload_from_0_to_n_and_back() {
    let Some(server) = servers::rabbitmq::RabbitMq::start() else { return };
    management(&server, "PUT", "/api/queues/%2F/jobs", "{}");
    let up = Up::start(&format!(
        "triggers:\n- type: rabbitmq\n  metadata: {{host: '{}', queueName: jobs, mode: QueueLength, value: '4'}}\n",
        server.amqp()
    ));
    up.reaches(0);
    for _ in 0..14 {
        let message = r#"{"properties":{},"routing_key":"jobs","payload":"x","payload_encoding":"string"}"#;
        management(&server, "POST", "/api/exchanges/%2F/amq.default/publish", message);
    }
    up.reaches(4);
    assert_eq!(up.explained()["view"]["readings"][0]["metric"], "s0-rabbitmq-jobs");
    // 13 messages want 4 replicas as well, and the last one may be read a moment later.
    let value = || up.explained()["view"]["readings"][0]["value"].clone();
    assert!(wait_until(10, || value() == "14"), "{}", value());
    management(&server, "DELETE", "/api/queues/%2F/jobs/contents", "");
    up.reaches(0);
    up.stop();
}

/// A request to the management API.
fn management(server: &servers::rabbitmq::RabbitMq, method: &str, path: &str, body: &str) {
    let url = format!("{}{path}", server.http());
    let output = Command::new("curl")
        .args(["-sf", "-X", method, "-H", "content-type: application/json", "-d", body, &url])
        .output();
    assert!(output.expect("curl").status.success(), "{method} {path}");
}

#[test]
#[ignore = "needs prometheus; make test runs it"]
fn prometheus_takes_a_workload_from_0_to_n_and_back() {
    let Some(server) = servers::prometheus::Prometheus::start(&[]) else { return };
    let trigger = |query: &str| {
        format!(
            "triggers:\n- type: prometheus\n  metadata: {{serverAddress: 'http://127.0.0.1:{}', query: '{query}', threshold: '3'}}\n",
            server.port
        )
    };
    let up = Up::start(&trigger("vector(0)"));
    up.reaches(0);
    up.write(&trigger("vector(10)"));
    up.reaches(4);
    assert_eq!(up.explained()["view"]["readings"][0]["metric"], "s0-prometheus");
    up.write(&trigger("vector(0)"));
    up.reaches(0);
    drop(server);
    up.stop();
}

#[test]
#[ignore = "needs redis-server; make test runs it"]
fn hundreds_of_objects_share_one_connection_and_spread_their_polls() {
    const OBJECTS: usize = 300;
    let Some(server) = servers::redis::Redis::start() else { return };
    let folder = TempDir::new().expect("a folder");
    let text: String = (0..OBJECTS).map(|number| one_of_many(number, server.port)).collect();
    std::fs::write(folder.path().join("many.yaml"), text).expect("manifests");
    let mut child = crate::program::keda()
        .args(["up", "--state-dir", "state", "-f", "many.yaml"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("keda starts");
    let reads = || {
        let statistics = redis_text(&server, &["info", "commandstats"]);
        let line = statistics.lines().find(|line| line.starts_with("cmdstat_type:")).unwrap_or_default();
        let calls = line.split(['=', ',']).nth(1).and_then(|calls| calls.parse().ok());
        calls.unwrap_or(0usize)
    };
    assert!(wait_until(10, || reads() >= OBJECTS), "all are read at once");
    let mut before = reads();
    for _ in 0..4 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let now = reads();
        assert!(now - before <= 2 * OBJECTS / 5, "{} reads in a second", now - before);
        before = now;
    }
    let clients = redis_text(&server, &["client", "list"]);
    assert!(clients.lines().filter(|line| !line.contains("cmd=client")).count() <= 4, "{clients}");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::TERM).expect("a signal");
    assert!(child.wait().expect("its end").success());
}

fn one_of_many(number: usize, port: u16) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: w{number}}}
spec:
  selector: {{matchLabels: {{app: w}}}}
  template: {{metadata: {{labels: {{app: w}}}}, spec: {{containers: [{{name: c, command: [sleep, '1000']}}]}}}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: so{number}}}
spec:
  scaleTargetRef: {{name: w{number}}}
  pollingInterval: 5
  triggers:
  - type: redis
    metadata: {{address: '127.0.0.1:{port}', listName: list{number}, password: {}}}
---
",
        servers::redis::PASSWORD
    )
}

#[test]
#[ignore = "needs postgresql; make test runs it"]
fn postgresql_takes_a_workload_from_0_to_n_and_back() {
    let Some(server) = servers::postgresql::PostgreSql::start() else { return };
    let sql = |statement: &str| psql(&server, statement);
    sql("create table jobs (id int)");
    let up = Up::start(&format!(
        "triggers:
- type: postgresql
  metadata:
    host: 127.0.0.1
    port: '{}'
    userName: postgres
    dbName: postgres
    sslmode: disable
    query: select count(*) from jobs
    targetQueryValue: '2.5'
  authenticationRef: {{name: db}}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {{name: db}}
spec: {{secretTargetRef: [{{parameter: password, name: db, key: password}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: db}}
stringData: {{password: {}}}",
        server.port,
        servers::postgresql::PASSWORD
    ));
    up.reaches(0);
    sql("insert into jobs select generate_series(1, 8)");
    up.reaches(4);
    assert_eq!(up.explained()["view"]["readings"][0]["metric"], "s0-postgresql");
    assert!(!up.log().contains(servers::postgresql::PASSWORD));
    sql("delete from jobs");
    up.reaches(0);
    up.stop();
}

fn psql(server: &servers::postgresql::PostgreSql, statement: &str) {
    let programs = servers::postgresql::programs().expect("postgresql");
    let connection = server.connection("sslmode=disable");
    let output = Command::new(programs.join("psql")).args([&connection, "-c", statement]).output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
