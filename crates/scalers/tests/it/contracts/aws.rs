//! Services of AWS.

use keda_core::api::PodIdentity;

use super::case::Case;

const REGION: (&str, &str) = ("awsRegion", "eu-west-1");
const ENDPOINT: (&str, &str) = ("awsEndpoint", "{address}");
const KEYS: [(&str, &str); 2] = [("awsAccessKeyID", "AKIDEXAMPLE"), ("awsSecretAccessKey", "hunter2-secret")];

pub fn cases() -> Vec<Case> {
    [sqs(), kinesis(), dynamodb(), dynamodb_streams(), cloudwatch(), prometheus(), logins(), identities()]
        .into_iter()
        .flatten()
        .collect()
}

/// A trigger at the test's server, with a user's keys.
fn case(kind: &'static str, title: &str, metadata: &[(&str, &str)]) -> Case {
    Case::new(kind, title, &[&[REGION, ENDPOINT], metadata].concat()).authentication(&KEYS)
}

/// What a signature for a service looks like.
fn signature(service: &str, headers: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{{any}}/eu-west-1/{service}/aws4_request, \
         SignedHeaders={headers}, Signature={{any}}"
    )
}

const JSON_HEADERS: &str = "content-type;host;x-amz-date;x-amz-target";

fn sqs() -> Vec<Case> {
    let queue = "https://sqs.eu-west-1.amazonaws.com/1234/orders";
    let asks = |title: &str, metadata: &[(&str, &str)], names: &str| {
        case("aws-sqs-queue", title, &[&[("queueURL", queue), ("activationQueueLength", "14")], metadata].concat())
            .asks("POST /")
            .header("x-amz-target", "AmazonSQS.GetQueueAttributes")
            .header("content-type", "application/x-amz-json-1.0")
            .body(&format!(r#"{{"QueueUrl":"{queue}","AttributeNames":[{names}]}}"#))
    };
    let (all, in_flight) = (r#""ApproximateNumberOfMessages""#, r#""ApproximateNumberOfMessagesNotVisible""#);
    let both = format!("{all},{in_flight}");
    let attributes = r#"{"Attributes":{"ApproximateNumberOfMessages":"10","ApproximateNumberOfMessagesNotVisible":"5","ApproximateNumberOfMessagesDelayed":"2"}}"#;
    vec![
        asks("waiting and in flight", &[], &both)
            .header("authorization", &signature("sqs", JSON_HEADERS))
            .answers(200, attributes)
            .gives(15.0, true),
        asks("waiting alone", &[("scaleOnInFlight", "false")], all).answers(200, attributes).gives(10.0, false),
        asks("delayed too", &[("scaleOnDelayed", "true")], &format!("{both},\"ApproximateNumberOfMessagesDelayed\""))
            .answers(200, attributes)
            .gives(17.0, true),
        asks("with a session token", &[], &both)
            .authentication(&[KEYS[0], KEYS[1], ("awsSessionToken", "hunter2-token")])
            .header(
                "authorization",
                &signature("sqs", "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"),
            )
            .header("x-amz-security-token", "hunter2-token")
            .answers(200, attributes)
            .gives(15.0, true),
        asks("no number", &[], &both)
            .answers(200, r#"{"Attributes":{"ApproximateNumberOfMessages":"many"}}"#)
            .fails("ApproximateNumberOfMessages is \"many\", not a number"),
        asks("one attribute missing", &[], &both)
            .answers(200, r#"{"Attributes":{"ApproximateNumberOfMessages":"10"}}"#)
            .fails("metric ApproximateNumberOfMessagesNotVisible not found in SQS queue attributes"),
        asks("no such queue", &[], &both)
            .answers(400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"it does not exist"}"#)
            .fails("AWS answered with status 400, QueueDoesNotExist: it does not exist"),
    ]
}

fn kinesis() -> Vec<Case> {
    let asks = |title| {
        case("aws-kinesis-stream", title, &[("streamName", "clicks"), ("activationShardCount", "3")])
            .asks("POST /")
            .header("x-amz-target", "Kinesis_20131202.DescribeStreamSummary")
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", &signature("kinesis", JSON_HEADERS))
            .body(r#"{"StreamName":"clicks"}"#)
    };
    vec![
        asks("open shards").answers(200, r#"{"StreamDescriptionSummary":{"OpenShardCount":3}}"#).gives(3.0, false),
        asks("no count").answers(200, "{}").fails("no OpenShardCount"),
    ]
}

fn dynamodb() -> Vec<Case> {
    let metadata = [
        ("tableName", "invoices"),
        ("keyConditionExpression", "#y = :y"),
        ("expressionAttributeNames", r##"{"#y":"year"}"##),
        ("expressionAttributeValues", r#"{":y":{"N":"1994"}}"#),
        ("targetValue", "3"),
    ];
    let asks = |title: &str, more: &[(&str, &str)]| {
        case("aws-dynamodb", title, &[&metadata, more].concat())
            .asks("POST /")
            .header("x-amz-target", "DynamoDB_20120810.Query")
            .header("authorization", &signature("dynamodb", JSON_HEADERS))
    };
    let query = r##""TableName":"invoices","KeyConditionExpression":"#y = :y","ExpressionAttributeNames":{"#y":"year"},"ExpressionAttributeValues":{":y":{"N":"1994"}}"##;
    vec![
        asks("items", &[])
            .body(&format!("{{{query}}}"))
            .answers(200, r#"{"Count":4,"ScannedCount":9,"Items":[]}"#)
            .gives(4.0, true),
        asks("by an index, filtered", &[("indexName", "by-state"), ("filterExpression", "a < :y")])
            .body(&format!(r#"{{{query},"IndexName":"by-state","FilterExpression":"a < :y"}}"#))
            .answers(200, r#"{"Count":0}"#)
            .gives(0.0, false),
        asks("too many requests", &[])
            .answers(400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}"#)
            .fails("ProvisionedThroughputExceededException"),
    ]
}

fn dynamodb_streams() -> Vec<Case> {
    let arn = "arn:aws:dynamodb:eu-west-1:1:table/t/stream/x";
    let table = |title: &str| {
        case("aws-dynamodb-streams", title, &[("tableName", "t")])
            .asks("POST /")
            .header("x-amz-target", "DynamoDB_20120810.DescribeTable")
            .body(r#"{"TableName":"t"}"#)
    };
    let page = |case: Case, more: &str| {
        case.asks("POST /")
            .header("x-amz-target", "DynamoDBStreams_20120810.DescribeStream")
            .header("authorization", &signature("dynamodb", JSON_HEADERS))
            .body(&format!(r#"{{"StreamArn":"{arn}"{more}}}"#))
    };
    let found =
        |title| table(title).answers(200, &format!(r#"{{"Table":{{"TableName":"t","LatestStreamArn":"{arn}"}}}}"#));
    let first = r#"{"StreamDescription":{"Shards":[{"ShardId":"a"},{"ShardId":"b"}],"LastEvaluatedShardId":"b"}}"#;
    let paged = page(found("shards on two pages"), "").answers(200, first);
    vec![
        page(paged, r#","ExclusiveStartShardId":"b""#)
            .answers(200, r#"{"StreamDescription":{"Shards":[{"ShardId":"c"}]}}"#)
            .gives(3.0, true),
        table("no stream").answers(200, r#"{"Table":{"TableName":"t"}}"#).fails("the table t has no stream"),
    ]
}

fn cloudwatch() -> Vec<Case> {
    let target = [("targetMetricValue", "2.5"), ("minMetricValue", "1"), ("activationTargetMetricValue", "7")];
    let metric = [
        ("namespace", "AWS/SQS"),
        ("metricName", "Depth"),
        ("dimensionName", "QueueName"),
        ("dimensionValue", "orders"),
        ("metricUnit", "Count"),
    ];
    let asks = |title: &str, metadata: &[(&str, &str)], query: &str| {
        case("aws-cloudwatch", title, &[&target, metadata].concat())
            .asks("POST /")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", &signature("monitoring", "content-type;host;x-amz-date"))
            .body(&format!(
                "Action=GetMetricData&Version=2010-08-01&StartTime={{any}}Z&EndTime={{any}}Z&ScanBy=TimestampDescending{query}"
            ))
    };
    let one = "&MetricDataQueries.member.1.";
    let of_metric = [
        "Id=c1",
        "MetricStat.Metric.Namespace=AWS%2FSQS",
        "MetricStat.Metric.MetricName=Depth",
        "MetricStat.Metric.Dimensions.member.1.Name=QueueName",
        "MetricStat.Metric.Dimensions.member.1.Value=orders",
        "MetricStat.Period=300",
        "MetricStat.Stat=Average",
        "MetricStat.Unit=Count",
        "ReturnData=true",
    ]
    .map(|field| format!("{one}{field}"))
    .concat();
    let of_expression = ["Id=q1", "Expression=SELECT+1", "Period=300"].map(|field| format!("{one}{field}")).concat();
    let answer = |results: &str| {
        format!(
            "<GetMetricDataResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><GetMetricDataResult>\
             <MetricDataResults>{results}</MetricDataResults></GetMetricDataResult></GetMetricDataResponse>"
        )
    };
    let values = "<member><Id>q1</Id><Values><member>7.25</member><member>3</member></Values></member>";
    let expression = [("expression", "SELECT 1")];
    vec![
        asks("the newest value of a metric", &metric, &of_metric).answers(200, &answer(values)).gives(7.25, true),
        asks(
            "an expression of another account",
            &[expression[0], ("awsAccountId", "1234")],
            &format!("{of_expression}{one}AccountId=1234"),
        )
        .answers(200, &answer(values))
        .gives(7.25, true),
        asks("no value", &expression, &of_expression)
            .answers(200, &answer("<member><Values/></member>"))
            .gives(1.0, false),
        asks("a refusal in XML", &expression, &of_expression)
            .answers(
                403,
                "<ErrorResponse><Error><Code>AccessDenied</Code><Message>may not</Message></Error></ErrorResponse>",
            )
            .fails("AWS answered with status 403, AccessDenied: may not"),
    ]
}

/// What the process is told about itself where it has a user's keys.
const OWN: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "OWN"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_ENDPOINT_URL_STS", "{address}")];

/// The keys of a role.
const LENT: &str = "<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Credentials><AccessKeyId>LENT</AccessKeyId>\
                    <SecretAccessKey>s</SecretAccessKey><SessionToken>lent-token</SessionToken>\
                    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>";

/// A stream, without a login.
fn stream(title: &str) -> Case {
    Case::new("aws-kinesis-stream", title, &[REGION, ENDPOINT, ("streamName", "clicks")])
}

/// Reads the stream with the keys that were lent.
fn reads(case: Case) -> Case {
    case.asks("POST /")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=LENT/{any}")
        .header("x-amz-security-token", "lent-token")
        .answers(200, r#"{"StreamDescriptionSummary":{"OpenShardCount":3}}"#)
        .gives(3.0, true)
}

/// A pod identity with a role, which trusts the token of the process or its own login.
fn identities() -> Vec<Case> {
    let by_token = |title: &str| {
        let identity = PodIdentity {
            provider: "aws".to_string(),
            role_arn: Some("other".to_string()),
            external_id: Some("x1".to_string()),
            ..PodIdentity::default()
        };
        stream(title)
            .identity(identity)
            .environment(&[OWN[0], OWN[1], OWN[2], ("AWS_WEB_IDENTITY_TOKEN_FILE", "{token}")])
            .asks("POST /")
            .header("authorization", "")
            .body(concat!(
                "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=other&RoleSessionName=KEDA&",
                "WebIdentityToken=token-in-file"
            ))
    };
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>may not</Message></Error></ErrorResponse>";
    let by_login = |title: &str| {
        by_token(title)
            .answers(403, denied)
            .asks("POST /")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=OWN/{any}/eu-west-1/sts/aws4_request, {any}")
            .body("Action=AssumeRole&Version=2011-06-15&RoleArn=other&RoleSessionName=KEDA&ExternalId=x1")
    };
    vec![
        reads(by_token("a pod identity, by the token").answers(200, LENT)),
        reads(by_login("a pod identity whose role trusts the login of the process").answers(200, LENT)),
        by_login("a pod identity whose role trusts nobody")
            .answers(403, denied)
            .fails("AccessDenied: may not: role other: AWS answered with status 403, AccessDenied: may not"),
    ]
}

/// Ways to log in, each with a reading of a stream after it.
/// Amazon's Prometheus, whose requests are signed.
fn prometheus() -> Vec<Case> {
    let asks = |title: &str, metadata: &[(&str, &str)]| {
        let server = [("serverAddress", "{address}/workspaces/ws-1"), ("query", "sum(up) + 1"), ("threshold", "5")];
        Case::new("prometheus", title, &[&server, metadata].concat()).authentication(&KEYS)
    };
    let signed = |case: Case, headers: &str| {
        case.asks("GET /workspaces/ws-1/api/v1/query?query=sum%28up%29%20%2B%201&time={any}Z")
            .header("authorization", &signature("aps", headers))
    };
    let refused = r#"{"message":"the region hunter2 is wrong"}"#;
    vec![
        signed(asks("signed for AWS", &[REGION]), "host;x-amz-date")
            .answers(200, r#"{"data":{"result":[{"value":[1,"7"]}]}}"#)
            .gives(7.0, true),
        signed(asks("a header of its own", &[REGION, ("customHeaders", "X-Tenant=shop")]), "host;x-amz-date;x-tenant")
            .header("x-tenant", "shop")
            .answers(200, r#"{"data":{"result":[]}}"#)
            .gives(0.0, false),
        signed(asks("the region of the process", &[]).environment(&[("AWS_REGION", "eu-west-1")]), "host;x-amz-date")
            .answers(403, refused)
            .fails("prometheus query api returned error. status: 403"),
        asks("no region", &[]).fails("awsRegion is needed"),
    ]
}

fn logins() -> Vec<Case> {
    let operator = |title: &str| {
        let metadata = [REGION, ENDPOINT, ("streamName", "clicks"), ("identityOwner", "operator")];
        Case::new("aws-kinesis-stream", title, &metadata)
    };
    let keys = r#"{"Code":"Success","AccessKeyId":"LENT","SecretAccessKey":"s","Token":"lent-token","Expiration":"2099-01-01T00:00:00Z"}"#;
    let role = stream("a role, by the keys of the process")
        .authentication(&[("awsRoleArn", "arn:aws:iam::1:role/r")])
        .environment(&OWN)
        .asks("POST /")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=OWN/{any}/eu-west-1/sts/aws4_request, {any}")
        .body("Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=KEDA")
        .answers(200, LENT);
    let token = operator("a role, by a token in a file")
        .environment(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "{token}"), ("AWS_ROLE_ARN", "arn"), OWN[2]])
        .asks("POST /")
        .header("authorization", "")
        .body("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn&RoleSessionName=KEDA&WebIdentityToken=token-in-file")
        .answers(200, LENT);
    let container = operator("the role of the container")
        .environment(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "{address}/keys"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "{token}"),
        ])
        .asks("GET /keys")
        .header("authorization", "token-in-file")
        .answers(200, keys);
    let machine = operator("the role of the machine")
        .environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{address}/")])
        .asks("PUT /latest/api/token")
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300")
        .answers(200, "t0ken")
        .asks("GET /latest/meta-data/iam/security-credentials/")
        .header("x-aws-ec2-metadata-token", "t0ken")
        .answers(200, "node")
        .asks("GET /latest/meta-data/iam/security-credentials/node")
        .answers(200, keys);
    let old_machine = operator("the role of a machine without tokens")
        .environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{address}")])
        .asks("PUT /latest/api/token")
        .answers(403, "")
        .asks("GET /latest/meta-data/iam/security-credentials/")
        .header("x-aws-ec2-metadata-token", "")
        .answers(200, "node")
        .asks("GET /latest/meta-data/iam/security-credentials/node")
        .answers(200, keys);
    let nobody = operator("nobody to log in as").environment(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    vec![
        reads(role),
        reads(token),
        reads(container),
        reads(machine),
        reads(old_machine),
        nobody.fails("cannot log in at AWS: the process has no login at AWS"),
    ]
}
