use serde_json::{Value as Json, json};

use super::{Conversion, convert};
use crate::manifest::{Loaded, Source, load};

/// What a text is converted to, and what was found.
fn converted(text: &str) -> (Conversion, Loaded) {
    let mut loaded = load(&[Source::new("old.yaml", text)]);
    let conversion = convert(&mut loaded);
    (conversion, loaded)
}

/// The only object of a text without mistakes, and its notes, those that leave something to do with a `!`.
fn object(text: &str) -> (Json, Vec<String>) {
    let (mut conversion, loaded) = converted(text);
    assert_eq!(loaded.findings, [], "{text}");
    assert_eq!(conversion.objects.len(), 1);
    let notes = conversion.notes.iter().map(|note| format!("{}{}", if note.is_to_do { "! " } else { "" }, note.text));
    let notes = notes.collect();
    (conversion.objects.remove(0), notes)
}

/// The metadata of a trigger, and what is noted of them.
fn metadata_of(trigger: &str) -> (Json, Vec<String>) {
    let text = format!(
        "apiVersion: keda.k8s.io/v1alpha1\nkind: ScaledObject\nmetadata: {{name: app}}\n\
         spec: {{scaleTargetRef: {{deploymentName: app}}, triggers: [{trigger}]}}"
    );
    let (mut object, mut notes) = object(&text);
    notes.retain(|note| !note.contains("the HPA is") && note != "deploymentName is name now");
    (object["spec"]["triggers"][0]["metadata"].take(), notes)
}

/// What becomes of the metadata of a trigger type.
fn metadata(kind: &str, metadata: &str) -> Json {
    metadata_of(&format!("{{type: {kind}, metadata: {{{metadata}}}}}")).0
}

/// What is noted of the metadata of a trigger type.
fn notes(kind: &str, metadata: &str) -> Vec<String> {
    metadata_of(&format!("{{type: {kind}, metadata: {{{metadata}}}}}")).1
}

/// A TriggerAuthentication with this `spec`.
fn authentication(spec: &str) -> String {
    format!(
        "apiVersion: keda.k8s.io/v1alpha1\nkind: TriggerAuthentication\nmetadata: {{name: login}}\nspec: {{{spec}}}"
    )
}

/// The messages and columns of the mistakes in a text.
fn mistakes(text: &str) -> Vec<String> {
    let (_, loaded) = converted(text);
    let told = loaded.findings.iter().map(|finding| format!("{}: {}", finding.problem.path, finding.problem.message));
    told.collect()
}

#[test]
fn names_of_variables_are_given_from_env() {
    assert_eq!(
        metadata("postgresql", "query: q, connection: URL"),
        json!({ "query": "q", "connectionFromEnv": "URL" })
    );
    assert_eq!(metadata("redis", "host: HOST, port: PORT"), json!({ "hostFromEnv": "HOST", "portFromEnv": "PORT" }));
    assert_eq!(notes("redis", "password: PASSWORD"), ["password named a variable; passwordFromEnv does so now"]);
    assert_eq!(metadata("mysql", "password: ''"), json!({}));
}

#[test]
fn what_cannot_name_a_variable_is_a_value_where_it_may_be_one() {
    assert_eq!(metadata("redis", "address: 'redis.shop.svc:6379'"), json!({ "address": "redis.shop.svc:6379" }));
    let (_, told) = metadata_of("{type: azure-servicebus, metadata: {connection: 'Endpoint=sb://swordfish'}}");
    assert_eq!(told, ["! connection names no variable: name one in connectionFromEnv"]);
}

#[test]
fn variables_that_were_read_without_being_named_are_named() {
    let expected = json!({ "storageConnectionFromEnv": "AzureWebJobsStorage", "connectionFromEnv": "EventHub" });
    assert_eq!(metadata("azure-eventhub", ""), expected);
    assert_eq!(metadata("azure-queue", "queueName: q")["connectionFromEnv"], "AzureWebJobsStorage");
    assert_eq!(metadata("azure-blob", "connection: C"), json!({ "connectionFromEnv": "C" }));
    let keys = json!({ "awsAccessKeyIDFromEnv": "ID", "awsSecretAccessKeyFromEnv": "AWS_SECRET_ACCESS_KEY" });
    assert_eq!(metadata("aws-sqs-queue", "awsAccessKeyID: ID"), keys);
    assert_eq!(metadata("aws-sqs-queue", "identityOwner: operator"), json!({ "identityOwner": "operator" }));
    let login = "{type: azure-queue, metadata: {queueName: q}, authenticationRef: {name: login}}";
    assert_eq!(metadata_of(login).0, json!({ "queueName": "q" }));
}

#[test]
fn rabbitmq_has_one_address_and_a_mode() {
    let http = metadata("rabbitmq", "queueName: q, host: A, apiHost: B, includeUnacked: 'true', queueLength: '9'");
    let expected =
        json!({ "queueName": "q", "hostFromEnv": "B", "protocol": "http", "mode": "QueueLength", "value": "9" });
    assert_eq!(http, expected);
    let amqp = metadata("rabbitmq", "queueName: q, host: A, apiHost: B, includeUnacked: 'false'");
    assert_eq!(amqp, json!({ "queueName": "q", "hostFromEnv": "A" }));
}

#[test]
fn what_is_called_otherwise_is_renamed() {
    assert_eq!(metadata("kafka", "brokerList: 'a:1,b:2'"), json!({ "bootstrapServers": "a:1,b:2" }));
    assert_eq!(metadata("azure-servicebus", "queueLength: '5'"), json!({ "messageCount": "5" }));
    assert_eq!(metadata("huawei-cloudeye", "minMetricValue: '1'"), json!({ "activationTargetMetricValue": "1" }));
    assert_eq!(metadata("gcp-pubsub", "subscriptionSize: '7'"), json!({ "mode": "SubscriptionSize", "value": "7" }));
    assert_eq!(
        metadata("azure-monitor", "metricAggregationType: maximum"),
        json!({ "metricAggregationType": "Maximum" })
    );
    assert_eq!(metadata("prometheus", "metricName: m, query: up"), json!({ "query": "up" }));
}

#[test]
fn what_has_another_default_is_written_down() {
    assert_eq!(
        metadata("artemis-queue", "queueLength: '5'"),
        json!({ "queueLength": "5", "activationQueueLength": "0" })
    );
    assert_eq!(metadata("gcp-pubsub", "credentials: KEY"), json!({ "credentialsFromEnv": "KEY", "value": "5" }));
    let tls = json!({ "enableTLS": "true", "unsafeSsl": "true" });
    assert_eq!(metadata("redis-streams", "enableTLS: 'true'"), tls);
    assert_eq!(metadata("redis-streams", "enableTLS: 'false'"), json!({ "enableTLS": "false" }));
    let both = metadata("aws-cloudwatch", "minMetricValue: '2', identityOwner: operator");
    assert_eq!((&both["minMetricValue"], &both["activationTargetMetricValue"]), (&json!("2"), &json!("2")));
}

#[test]
fn what_the_converter_cannot_do_is_left_to_the_user() {
    assert!(notes("stan", "subject: s")[0].starts_with("! stan is no trigger type any more"));
    assert!(notes("nsq", "topic: t")[0].starts_with("! KEDA 1 had no trigger type nsq"));
    assert!(notes("azure-blob", "useAAdPodIdentity: 'true'")[0].starts_with("! useAAdPodIdentity is left out"));
    assert_eq!(
        metadata("azure-blob", "useAAdPodIdentity: 'false'"),
        json!({ "connectionFromEnv": "AzureWebJobsStorage" })
    );
    let told = notes("external", "scalerAddress: A, token: TOKEN, shop: vienna");
    assert!(
        told[0].starts_with("! the server must speak") && told[1].starts_with("! if token names a variable"),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    assert_eq!(metadata("external", "tlsCertFile: ca.crt"), json!({ "enableTLS": "true" }));
}

#[test]
fn fields_that_keda_1_did_not_have_are_passed_on() {
    let text = "{apiVersion: keda.k8s.io/v1alpha1, kind: ScaledObject, metadata: {name: app}, spec: {scaleTargetRef: \
        {deploymentName: app}, idleReplicaCount: 0, triggers: [{type: cron, metadata: {start: x}, name: a}, \
        {type: cron, metadata: {start: z}, name: a}]}}";
    let (object, notes) = object(text);
    assert_eq!(object["spec"]["idleReplicaCount"], 0);
    assert!(notes.iter().any(|note| note.starts_with("! KEDA 1 had no field idleReplicaCount")), "{notes:?}");
    assert_eq!(
        (&object["spec"]["triggers"][0]["name"], object["spec"]["triggers"][1].get("name")),
        (&json!("a"), None)
    );
}

#[test]
fn jobs_are_found_with_and_without_a_scale_type() {
    let jobs = |rest: &str| {
        format!(
            "{{apiVersion: keda.k8s.io/v1alpha1, kind: ScaledObject, metadata: {{name: app}}, spec: {{{rest}, \
             jobTargetRef: {{template: {{}}}}, triggers: [{{type: cron, metadata: {{start: x}}}}]}}}}"
        )
    };
    let (scaled_job, _) = object(&jobs("pollingInterval: 5"));
    assert_eq!(scaled_job["kind"], "ScaledJob");
    let (scaled_job, notes) =
        object(&jobs("scaleType: job, minReplicaCount: 0, scaleTargetRef: {deploymentName: app}"));
    let keys: Vec<&String> = scaled_job["spec"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["jobTargetRef", "triggers"]);
    assert!(notes.iter().any(|note| note.starts_with("scaleTargetRef is left out")), "{notes:?}");
    assert_eq!(
        mistakes(&jobs("scaleTargetRef: {deploymentName: app}")),
        ["spec.jobTargetRef: there are both scaleTargetRef and jobTargetRef"]
    );
}

#[test]
fn authentications_are_the_same_but_for_what_is_gone() {
    let (kept, notes) = object(&authentication("env: [{parameter: host, name: URL, containerName: main}]"));
    assert_eq!((&kept["apiVersion"], notes.len()), (&json!("keda.sh/v1alpha1"), 0));
    assert_eq!(kept["spec"]["env"][0], json!({ "parameter": "host", "name": "URL", "containerName": "main" }));
    for (old, new) in [("azure", "azure-workload"), ("aws-kiam", "aws")] {
        let (identity, notes) = object(&authentication(&format!("podIdentity: {{provider: {old}}}")));
        assert_eq!(identity["spec"]["podIdentity"]["provider"], new);
        assert!(notes[0].starts_with("! "), "{notes:?}");
    }
    assert_eq!(object(&authentication("podIdentity: {provider: aws-eks}")).1, [""; 0]);
    assert_eq!(object(&authentication("podIdentity: {provider: ''}")).0["spec"], json!({}));
    let vault = "hashiCorpVault: {address: a, authentication: token, secrets: [{parameter: apiHost, path: p, key: k}]}";
    assert_eq!(object(&authentication(vault)).0["spec"]["hashiCorpVault"]["secrets"][0]["parameter"], "host");
}

#[test]
fn a_login_for_kafka_is_left_to_the_user() {
    let (object, notes) = object(&authentication("secretTargetRef: [{parameter: authMode, name: kafka, key: mode}]"));
    assert_eq!(object["spec"]["secretTargetRef"][0]["parameter"], "authMode");
    assert!(notes[0].starts_with("! authMode is no parameter any more"), "{notes:?}");
}

#[test]
fn two_addresses_for_rabbitmq_cannot_be_one() {
    let both = "{parameter: host, name: r, key: amqp}, {parameter: apiHost, name: r, key: http}";
    let (object, notes) = object(&authentication(&format!("secretTargetRef: [{both}]")));
    assert_eq!(object["spec"]["secretTargetRef"][1]["parameter"], "apiHost");
    assert!(notes[0].starts_with("! rabbitmq takes one address"), "{notes:?}");
}

#[test]
fn mistakes_are_told_with_their_path() {
    assert_eq!(
        mistakes("{apiVersion: keda.k8s.io/v1alpha1, kind: ScaledObject, metadata: {name: app}, spec: []}")[0],
        "spec: expected a mapping, found a list"
    );
    let text = "{apiVersion: keda.k8s.io/v1alpha1, kind: ScaledObject, metadata: {name: app}, spec: {maxReplicaCount: \
        many, scaleTargetRef: {deploymentName: ''}, triggers: [{metadata: {size: 5}}, {type: cron}]}}";
    let expected = [
        "spec.maxReplicaCount: expected a whole number, found the string \"many\"",
        "spec.scaleTargetRef.deploymentName: the text must not be empty",
        "spec.triggers[0].type: the field type is missing",
        "spec.triggers[0].metadata.size: expected a string, found the number 5",
        "spec.triggers[1].metadata: the field metadata is missing",
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn only_mistakes_that_matter_are_told_of_what_is_passed_on() {
    let text = "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {}, spec: {x: 1}}\n---\n- a list\n---\n\
        {apiVersion: v1, kind: ConfigMap, data: {a: b, a: c}}";
    assert_eq!(
        mistakes(text),
        [": an object is expected here, found a list", "data.a: the key is already given on line 5"]
    );
}

#[test]
fn only_comments_are_taken_for_comments() {
    let lines = |text: &str| {
        let (conversion, _) = converted(text);
        let notes = conversion.notes.iter().filter(|note| note.text == "comments are lost");
        notes.map(|note| note.location.line).collect::<Vec<_>>()
    };
    assert_eq!(lines("kind: A\na: 'b # c'\nd: |\n  # e\n  f\ng: h#i\n'# j': \"# k\"\nl: m\n  # n\n"), [9]);
    assert_eq!(lines("a: >-\n  b # c\nd: {e: f, 'g': h}\n"), [0; 0]);
    assert_eq!(lines("{\"a\": \"b # c\"}"), [0; 0]);
    assert_eq!(lines("a: &x b # c\nd: *x # e\n---\n# f\n"), [1]);
}
