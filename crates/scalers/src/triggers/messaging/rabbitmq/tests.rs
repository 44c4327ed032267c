use keda_core::metadata::{Inputs, parse};

use super::*;

fn parsed(metadata: &[(&str, &str)], authentication: &[(&str, &str)]) -> (RabbitMq, Vec<String>) {
    let inputs = Inputs::from_metadata(metadata.iter().copied()).with_authentication(authentication.iter().copied());
    let (trigger, problems) = parse::<RabbitMq>(&inputs, &Context::default());
    (trigger, problems.into_iter().map(|problem| problem.message).collect())
}

fn problems(host: &str, more: &[(&str, &str)], authentication: &[(&str, &str)]) -> Vec<String> {
    let metadata: Vec<_> = [("queueName", "q"), ("host", host)].into_iter().chain(more.iter().copied()).collect();
    parsed(&metadata, authentication).1
}

#[test]
fn the_target_is_given_in_one_of_three_ways() {
    let value = |more: &[(&str, &str)]| {
        let metadata: Vec<_> =
            [("queueName", "ns/q"), ("host", "http://h")].into_iter().chain(more.iter().copied()).collect();
        let (trigger, problems) = parsed(&metadata, &[]);
        assert!(problems.is_empty(), "{problems:?}");
        trigger.specs(&Context::default())
    };
    let spec = |target| Specs::one(MetricSpec::external("rabbitmq-ns-2Fq", Target::Float(target)));
    assert_eq!(value(&[]), spec(20.0));
    assert_eq!(value(&[("queueLength", "10")]), spec(10.0));
    assert_eq!(value(&[("mode", "MessageRate"), ("value", "1.5")]), spec(1.5));
    assert_eq!(problems("amqp://h", &[("value", "20")], &[]), ["mode must be specified"]);
    assert_eq!(problems("amqp://h", &[("mode", "QueueLength")], &[]), ["value must be specified"]);
    assert!(problems("amqp://h", &[("mode", "x"), ("value", "1")], &[])[0].contains("trigger mode x must be one of"));
    assert!(problems("amqp://h", &[("mode", "QueueLength"), ("queueLength", "1")], &[])[0].contains("deprecated"));
}

#[test]
fn amqp_knows_lengths_only() {
    let rate = [("mode", "MessageRate"), ("value", "1")];
    assert!(problems("amqp://h", &rate, &[])[0].contains("must be HTTP to use trigger mode MessageRate"));
    assert!(problems("amqps://h", &[("useRegex", "true")], &[])[0].contains("useRegex=true only with HTTP"));
    assert!(problems("something://", &[], &[])[0].contains("unknown host URL scheme: `something`"));
    assert!(problems("amqp://h", &[], &[("workloadIdentityResource", "r")])[0].contains("workload identity"));
}

#[test]
fn logins_are_complete_and_do_not_mix() {
    assert!(problems("http://h", &[], &[("username", "u")])[0].contains("must be given together"));
    assert!(problems("http://h", &[], &[("clientID", "c")])[0].contains("OAuth2 requires"));
    let oauth = [("clientID", "c"), ("clientSecret", "s"), ("oauthTokenURI", "http://t")];
    assert!(problems("http://h", &[], &oauth).is_empty());
    assert!(problems("amqp://h", &[], &oauth)[0].contains("only supported for HTTP"));
    let both: Vec<_> = oauth.into_iter().chain([("username", "u"), ("password", "p")]).collect();
    assert!(problems("http://h", &[], &both)[0].contains("cannot be combined"));
}

#[test]
fn parameters_go_before_the_parts_of_the_address() {
    let metadata = [("queueName", "q"), ("host", "amqps://u:p@h/a"), ("vhostName", "b")];
    let (trigger, _) = parsed(&metadata, &[("username", "v"), ("password", "w")]);
    let endpoint = trigger.endpoint().unwrap();
    assert_eq!(endpoint.vhost, "b");
    assert_eq!(endpoint.login, Login::Plain { username: "v".into(), password: Secret::new("w") });
    let certificate = [("tls", "enable"), ("cert", "c"), ("key", "k")];
    let (trigger, _) = parsed(&[("queueName", "q"), ("host", "amqps://h")], &certificate);
    assert_eq!(trigger.endpoint().unwrap().login, Login::External);
    let (trigger, _) = parsed(&metadata, &certificate);
    assert!(matches!(trigger.endpoint().unwrap().login, Login::Plain { .. }));
}

#[test]
fn nothing_from_an_authentication_is_shown() {
    let wrong: &[(&str, &str)] =
        &[("tls", "hunter2"), ("protocol", "hunter2"), ("host", "hunter2:x"), ("endpointParams", "hunter2=%zz")];
    for parameter in wrong {
        let authentication = [("host", "http://h"), *parameter];
        let (_, problems) = parsed(&[("queueName", "q")], &authentication);
        assert!(!problems.is_empty() && !problems[0].contains("hunter2"), "{problems:?}");
    }
    assert!(problems("amqp://h", &[("protocol", "mqtt")], &[])[0].contains("but is `mqtt`"));
}
