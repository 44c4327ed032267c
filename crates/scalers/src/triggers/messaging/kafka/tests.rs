//! What `kafka` takes and refuses.

use keda_core::metadata::{Inputs, parse};

use super::*;

fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Kafka, String) {
    let required = [("bootstrapServers", "b:9092"), ("consumerGroup", "my.group")];
    let inputs = Inputs::from_metadata(required.iter().chain(metadata).copied())
        .with_authentication(authentication.iter().copied());
    let (trigger, problems) = parse::<Kafka>(&inputs, &Context::default());
    let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
    (trigger, messages.join("; "))
}

#[test]
fn the_name_is_the_topics_or_the_groups() {
    for (topic, name) in [("my.topic", "kafka-my-topic"), ("", "kafka-my-group-topics")] {
        let (trigger, problems) = parsed(&[("topic", topic)], &[]);
        assert_eq!(problems, "");
        let spec = MetricSpec::external(name, Target::Integer(10));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }
}

#[test]
fn what_excludes_each_other_and_what_needs_a_topic_is_refused() {
    let (limited, even) = (("limitToPartitionsWithLag", "1"), ("ensureEvenDistributionOfPartitions", "1"));
    let topic = ("topic", "t");
    for (metadata, message) in [
        (vec![topic, limited, ("allowIdleConsumers", "true")], "allowIdleConsumers and limitTo"),
        (vec![topic, limited, even], "limitToPartitionsWithLag and ensureEven"),
        (vec![limited], "topic must be specified when using limitTo"),
        (vec![even], "topic must be specified when using ensureEven"),
        (vec![("fullMetadata", "false")], "topic must be specified when fullMetadata"),
        (vec![("lagThreshold", "0")], "\"lagThreshold\" must be positive"),
        (vec![("partitionLimitation", "1, 3 - 5,1-2-3")], "invalid partition limitation range: 1-2-3"),
        (vec![("partitionLimitation", "1,")], "invalid partition limitation: "),
    ] {
        assert!(parsed(&metadata, &[]).1.contains(message), "{metadata:?}");
    }
    assert_eq!(partitions("+3, 00012-15"), Ok(vec![3..=3, 12..=15]));
}

#[test]
fn every_login_has_its_needs() {
    let region = [("awsRegion", "eu-west-1"), ("tls", "enable")];
    let aws = [("sasl", "oauthbearer"), ("saslTokenProvider", "aws_msk_iam")];
    let user = [("username", "u"), ("password", "p")];
    let with = |more: &[(&'static str, &'static str)]| user.iter().chain(more).copied().collect::<Vec<_>>();
    for (metadata, authentication, message) in [
        (vec![("sasl", "plaintext")], vec![user[0]], "no password given"),
        (vec![("sasl", "oauthbearer")], with(&[]), "no oauth token endpoint uri given"),
        (vec![("sasl", "gssapi")], with(&[("keytab", "k")]), "exactly one of 'password' or 'keytab'"),
        (vec![("sasl", "gssapi")], with(&[("realm", "r")]), "no Kerberos configuration file"),
        (vec![region[0]], aws.to_vec(), "TLS is required for AWS MSK authentication"),
        (region.to_vec(), aws.to_vec(), "awsAccessKeyID not found"),
        (vec![region[1]], vec![("cert", "c")], "key must be provided with cert"),
    ] {
        assert!(parsed(&metadata, &authentication).1.contains(message), "{metadata:?} {authentication:?}");
    }
    assert_eq!(parsed(&[("sasl", "plaintext")], &with(&[])).1, "");
    let keys = [aws[0], aws[1], ("awsAccessKeyID", "id"), ("awsSecretAccessKey", "hunter2")];
    assert_eq!(parsed(&region, &keys).1, "");
}

#[test]
fn versions_are_those_of_kafka() {
    for version in ["", "0.11.0.3", "1.0.0", "4.0.10"] {
        assert!(check_version(version).is_ok(), "{version}");
    }
    for version in ["1", "1.0", "0.11.0", "1.0.0.0", "1.0.x", "0.1..2", "v1.0.0", "1.0.99999999999999999999"] {
        assert!(check_version(version).is_err(), "{version}");
    }
}
