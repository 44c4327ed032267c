//! Brokers that are asked over HTTP.

use super::case::Case;

/// `reader:hunter22`.
pub const BASIC: &str = "Basic cmVhZGVyOmh1bnRlcjIy";
pub const LOGIN: [(&str, &str); 2] = [("username", "reader"), ("password", "hunter22")];

pub fn cases() -> Vec<Case> {
    [nats(), nats_cluster(), nsq(), activemq(), artemis(), pulsar(), pulsar_logins(), ibmmq()]
        .into_iter()
        .flatten()
        .collect()
}

const JSZ: &str = "GET /jsz?acc=%24G&config=true&consumers=true";

fn nats_case(title: &str, more: &[(&str, &str)]) -> Case {
    let metadata =
        [("natsServerMonitoringEndpoint", "{host}"), ("account", "$G"), ("stream", "orders"), ("consumer", "billing")];
    Case::new("nats-jetstream", title, &[&metadata, more].concat())
}

/// What a server knows about the consumer whose leader is `leader`, in a cluster of `size`.
fn jetstream(pending: u32, leader: &str, size: u32) -> String {
    format!(
        r#"{{"meta_cluster": {{"cluster_size": {size}}}, "account_details": [
            {{"name": "other", "id": "other", "stream_detail": [{{"name": "orders", "consumer_detail": [
                {{"name": "billing", "num_pending": 99, "num_ack_pending": 0}}]}}]}},
            {{"name": "$G", "id": "$G", "stream_detail": [{{"name": "orders", "consumer_detail": [
                {{"name": "billing", "num_pending": {pending}, "num_ack_pending": 2,
                  "cluster": {{"leader": "{leader}"}}}}]}}]}}]}}"#
    )
}

fn nats() -> Vec<Case> {
    let missing = r#"{"account_details": [{"name": "$G", "id": "$G", "stream_detail": [{"name": "orders"}]}]}"#;
    vec![
        nats_case("pending and unacknowledged messages", &[])
            .asks(JSZ)
            .answers(200, &jetstream(7, "", 0))
            .gives(9.0, true),
        nats_case("as many as the activation", &[("activationLagThreshold", "9")])
            .asks(JSZ)
            .answers(200, &jetstream(7, "", 1))
            .gives(9.0, false),
        nats_case("the id of the account", &[("accountID", "A 1")])
            .asks("GET /jsz?acc=A+1&config=true&consumers=true")
            .answers(200, &jetstream(0, "", 0))
            .gives(2.0, true),
        nats_case("no such consumer", &[])
            .asks(JSZ)
            .answers(200, missing)
            .fails(r#"consumer "billing" not found in stream "orders""#),
    ]
}

fn nats_cluster() -> Vec<Case> {
    let advertised = r#"{"server_name": "n2", "connect_urls": ["127.0.0.1:4222", "localhost:4222"]}"#;
    vec![
        nats_case("the leader in a cluster", &[])
            .asks(JSZ)
            .answers(200, &jetstream(50, "n2", 2))
            .asks("GET /varz")
            .answers(200, advertised)
            .asks("GET /varz")
            .answers(200, r#"{"server_name": "n1"}"#)
            .asks(JSZ)
            .answers(200, &jetstream(60, "n2", 2))
            .asks("GET /varz")
            .answers(200, r#"{"server_name": "n2"}"#)
            .asks(JSZ)
            .answers(200, &jetstream(7, "n2", 2))
            .gives(9.0, true),
        nats_case("the leader is remembered", &[])
            .readings(2)
            .asks(JSZ)
            .answers(200, &jetstream(50, "n2", 2))
            .asks("GET /varz")
            .answers(200, r#"{"connect_urls": ["127.0.0.1:4222"]}"#)
            .asks("GET /varz")
            .answers(200, r#"{"server_name": "n2"}"#)
            .asks(JSZ)
            .answers(200, &jetstream(7, "n2", 2))
            .asks(JSZ)
            .answers(200, &jetstream(8, "n2", 2))
            .gives(10.0, true),
        nats_case("a cluster without a leader", &[])
            .asks(JSZ)
            .answers(200, &jetstream(50, "n2", 2))
            .asks("GET /varz")
            .answers(200, r#"{"connect_urls": ["127.0.0.1:4222"]}"#)
            .asks("GET /varz")
            .answers(200, r#"{"server_name": "n1"}"#)
            .asks(JSZ)
            .answers(200, &jetstream(60, "n2", 2))
            .fails("leader node not found for consumer billing"),
        nats_case("a node that is away before the leader", &[])
            .asks(JSZ)
            .answers(200, &jetstream(50, "n2", 2))
            .asks("GET /varz")
            .answers(200, advertised)
            .asks("GET /varz")
            .answers(503, "")
            .asks("GET /varz")
            .answers(200, r#"{"server_name": "n2"}"#)
            .asks(JSZ)
            .answers(200, &jetstream(1, "n2", 2))
            .gives(3.0, true),
    ]
}

const LOOKUP: &str = "GET /lookup?topic=orders+%2F1";
const STATS: &str = "GET /stats?format=json&include_clients=false&include_mem=false&topic=orders+%2F1";

fn nsq_case(title: &str, addresses: &str) -> Case {
    let metadata = [("nsqLookupdHTTPAddresses", addresses), ("topic", "orders /1"), ("channel", "billing")];
    Case::new("nsq", title, &metadata)
}

fn nsq() -> Vec<Case> {
    let nobody = r#"{"message": "TOPIC_NOT_FOUND"}"#;
    let accept = ("accept", "application/json; charset=utf-8");
    let nodes = r#"{"producers": [{"broadcast_address": "127.0.0.1", "http_port": {port}},
        {"broadcast_address": "localhost", "http_port": {port}}]}"#;
    let stats = |channels: &str| {
        format!(r#"{{"topics": [{{"topic_name": "orders /1", "depth": 100, "channels": [{channels}]}}]}}"#)
    };
    let channel = |name: &str, paused: bool, depth: u32| {
        stats(&format!(r#"{{"channel_name": "{name}", "depth": {depth}, "paused": {paused}}}"#))
    };
    let two = |title: &str, one: &str, other: &str| {
        let case = nsq_case(title, "{host}").asks(LOOKUP).header(accept.0, accept.1).answers(200, nodes);
        case.asks(STATS).header(accept.0, accept.1).answers(200, one).asks(STATS).answers(200, other)
    };
    vec![
        two("the channel on two nodes", &channel("billing", false, 50), &channel("billing", false, 20))
            .gives(70.0, true),
        two("a paused channel", &channel("billing", true, 50), &channel("billing", false, 20)).gives(20.0, true),
        two("a channel to come", &channel("other", false, 0), &stats("")).gives(200.0, true),
        two("no such topic on the nodes", r#"{"topics": []}"#, r#"{"topics": null, "producers": null}"#)
            .gives(0.0, false),
        nsq_case("no node has the topic", "{host},{host}")
            .asks(LOOKUP)
            .header(accept.0, accept.1)
            .answers(404, nobody)
            .asks(LOOKUP)
            .answers(200, r#"{"channels": [], "producers": []}"#)
            .gives(0.0, false),
        nsq_case("a page that is not the lookup's", "{host}")
            .asks(LOOKUP)
            .answers(404, "<html>not found</html>")
            .fails("error getting nsqd hosts: error getting lookup from host"),
        nsq_case("an answer of versions before 1.0", "{host}")
            .asks(LOOKUP)
            .answers(200, r#"{"status_code": 200, "data": {"producers": []}}"#)
            .fails("has not the promised form"),
    ]
}

const CLASSIC: &str = "GET /api/jolokia/read/org.apache.activemq:type=Broker,brokerName=shop,destinationType=Queue,\
    destinationName=orders/QueueSize";

fn activemq() -> Vec<Case> {
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [("managementEndpoint", "{host}"), ("brokerName", "shop"), ("destinationName", "orders")];
        Case::new("activemq", title, &[&metadata, more].concat())
            .authentication(&LOGIN)
            .asks(CLASSIC)
            .header("authorization", BASIC)
    };
    let template = "{address}/api/jolokia/read/org.apache.activemq:type=Broker,brokerName=shop,destinationType=Topic,\
        destinationName=a+b/QueueSize";
    let seven = r#"{"request": {}, "value": 7, "timestamp": 1, "status": 200}"#;
    vec![
        case("the size of a queue", &[])
            .header("origin", "http://127.0.0.1:{any}")
            .answers(200, seven)
            .gives(7.0, true),
        case("as many as the activation", &[("activationTargetQueueSize", "7"), ("corsHeader", "http://localhost")])
            .header("origin", "http://localhost")
            .answers(200, seven)
            .gives(7.0, false),
        Case::new("activemq", "a template", &[("restAPITemplate", template)])
            .authentication(&LOGIN)
            .asks(&template.replace("{address}", "GET "))
            .header("authorization", BASIC)
            .answers(200, seven)
            .gives(7.0, true),
        case("no such queue", &[])
            .answers(200, r#"{"status": 404, "error": "x"}"#)
            .fails("error inspecting ActiveMQ queue size: ActiveMQ management endpoint response error code : 200 404"),
        case("no value", &[]).answers(200, r#"{"status": 200}"#).fails("without a value"),
        case("a value that is no whole number", &[])
            .answers(200, r#"{"status": 200, "value": "7"}"#)
            .fails("has not the promised form"),
    ]
}

const ARTEMIS: &str = "GET /console/jolokia/read/org.apache.activemq.artemis:broker=%22shop%22,component=addresses,\
    address=%22new%22,subcomponent=queues,routing-type=%22anycast%22,queue=%22orders%22/MessageCount";

fn artemis() -> Vec<Case> {
    let case = |title: &str, more: &[(&str, &str)]| {
        let metadata = [
            ("managementEndpoint", "{host}"),
            ("brokerName", "shop"),
            ("brokerAddress", "new"),
            ("queueName", "orders"),
        ];
        Case::new("artemis-queue", title, &[&metadata, more].concat())
            .authentication(&LOGIN)
            .asks(ARTEMIS)
            .header("authorization", BASIC)
            .header("origin", "http://127.0.0.1:{any}")
    };
    let template = "{address}/console/jolokia/read/org.apache.activemq.artemis:broker=\"shop\",component=addresses,\
        address=\"new\",subcomponent=queues,routing-type=\"anycast\",queue=\"orders\"/MessageCount";
    vec![
        case("the eleventh message activates", &[]).answers(200, r#"{"value": 11, "status": 200}"#).gives(11.0, true),
        case("the tenth does not", &[]).answers(200, r#"{"value": 10, "status": 200}"#).gives(10.0, false),
        Case::new("artemis-queue", "a template", &[("restApiTemplate", template)])
            .authentication(&LOGIN)
            .asks(ARTEMIS)
            .header("authorization", BASIC)
            .answers(200, r#"{"value": 12, "status": 200}"#)
            .gives(12.0, true),
        case("a refusal by Jolokia", &[])
            .answers(403, r#"{"status": 403}"#)
            .fails("artemis management endpoint response error code : 403 403"),
    ]
}

fn pulsar_case(title: &str, more: &[(&str, &str)]) -> Case {
    let metadata =
        [("adminURL", "{address}"), ("topic", "persistent://public/default/orders"), ("subscription", "billing")];
    Case::new("pulsar", title, &[&metadata, more].concat())
}

const TOPIC: &str = "GET /admin/v2/persistent/public/default/orders/stats";
const METHOD: &str = "x-pulsar-auth-method-name";
const BACKLOG: &str =
    r#"{"msgRateIn": 0.5, "subscriptions": {"billing": {"msgBacklog": 20}, "other": {"msgBacklog": 1}}}"#;

fn pulsar() -> Vec<Case> {
    let partitions = [("isPartitionedTopic", "true"), ("activationMsgBacklogThreshold", "20")];
    vec![
        pulsar_case("the backlog of a subscription", &[])
            .asks(TOPIC)
            .header("authorization", "")
            .header(METHOD, "")
            .answers(200, BACKLOG)
            .gives(20.0, true),
        pulsar_case("as many as the activation, in partitions", &partitions)
            .asks("GET /admin/v2/persistent/public/default/orders/partitioned-stats")
            .answers(200, BACKLOG)
            .gives(20.0, false),
        pulsar_case("no such subscription", &[])
            .asks(TOPIC)
            .answers(200, r#"{"subscriptions": {}}"#)
            .fails("have not subscription found! billing"),
        pulsar_case("no such topic", &[])
            .asks(TOPIC)
            .answers(404, r#"{"reason": "Topic not found"}"#)
            .fails("error requesting stats from url: error requesting stats from admin url, response status is (404)"),
        pulsar_case("a backlog that is no number", &[])
            .asks(TOPIC)
            .answers(200, r#"{"subscriptions": {"billing": {"msgBacklog": "20"}}}"#)
            .fails("has not the promised form"),
    ]
}

fn pulsar_logins() -> Vec<Case> {
    let token = r#"{"access_token": "granted", "token_type": "Bearer", "expires_in": 3600}"#;
    let oauth = [("oauthTokenURI", "{address}/token"), ("clientID", "keda"), ("clientSecret", "hunter22")];
    vec![
        pulsar_case("a token", &[("authModes", "bearer")])
            .authentication(&[("bearerToken", "hunter22")])
            .asks(TOPIC)
            .header("authorization", "Bearer hunter22")
            .header(METHOD, "token")
            .answers(200, BACKLOG)
            .gives(20.0, true),
        pulsar_case("a password", &[("authModes", "basic")])
            .authentication(&LOGIN)
            .asks(TOPIC)
            .header("authorization", BASIC)
            .header(METHOD, "basic")
            .answers(200, BACKLOG)
            .gives(20.0, true),
        pulsar_case("OAuth 2.0", &[("authModes", "oauth")])
            .authentication(&oauth)
            .asks("POST /token")
            .body("grant_type=client_credentials")
            .answers(200, token)
            .asks(TOPIC)
            .header("authorization", "Bearer granted")
            .header(METHOD, "")
            .answers(200, BACKLOG)
            .gives(20.0, true),
        pulsar_case("a key, which has no effect", &[("authModes", "apiKey")])
            .authentication(&[("apiKey", "hunter22")])
            .asks(TOPIC)
            .header("x-api-key", "")
            .header(METHOD, "")
            .answers(200, BACKLOG)
            .gives(20.0, true),
    ]
}

fn ibmmq() -> Vec<Case> {
    let case = |title: &str, more: &[(&str, &str)]| {
        let host = ("host", "{address}/ibmmq/rest/v2/admin/action/qmgr/SHOP/mqsc");
        Case::new("ibmmq", title, &[&[host], more].concat()).authentication(&LOGIN)
    };
    let ask = |case: Case, queue: &str| {
        let command = format!(
            r#"{{"type": "runCommandJSON", "command": "display", "qualifier": "qlocal", "name": "{queue}",
                "responseParameters": ["CURDEPTH"]}}"#
        );
        case.asks("POST /ibmmq/rest/v2/admin/action/qmgr/SHOP/mqsc")
            .header("authorization", BASIC)
            .header("ibm-mq-rest-csrf-token", "value")
            .header("content-type", "application/json")
            .body(&command)
    };
    let depth = |depth: u32| {
        format!(
            r#"{{"commandResponse": [{{"completionCode": 0, "parameters": {{"curdepth": {depth}}}, "message": []}}],
                "overallCompletionCode": 0}}"#
        )
    };
    let unknown =
        r#"{"commandResponse": [{"completionCode": 2, "message": ["AMQ8147E: IBM MQ object IN not found."]}]}"#;
    let several = |operation: &str| {
        let case = case(operation, &[("queueNames", "a,b"), ("operation", operation), ("activationQueueDepth", "4")]);
        ask(ask(case, "a").answers(200, &depth(3)), "b").answers(200, &depth(6))
    };
    let one = |title: &str| ask(case(title, &[("queueName", "IN")]), "IN");
    vec![
        one("the depth of a queue").answers(200, &depth(10)).gives(10.0, true),
        several("max").gives(6.0, true),
        several("sum").gives(9.0, true),
        several("avg").gives(4.0, false),
        ask(case("a name with quotes in it", &[("queueName", "a\"b")]), "a\\\"b")
            .answers(200, &depth(0))
            .gives(0.0, false),
        one("no such queue")
            .answers(200, unknown)
            .fails("error inspecting IBM MQ queue depth: AMQ8147E: IBM MQ object IN not found."),
        one("no such queue manager")
            .answers(404, r#"{"error": [{"message": "MQWB0009E: no such queue manager"}]}"#)
            .fails("error inspecting IBM MQ queue depth: MQWB0009E"),
        one("no depth")
            .answers(200, r#"{"commandResponse": [{"parameters": {}}]}"#)
            .fails("failed to get the current queue depth parameter for queue IN"),
        one("a wrong login").answers(401, "").fails("authentication failed: incorrect username or password"),
        one("another status").answers(403, "").fails("unexpected status code 403 for queue IN"),
    ]
}
