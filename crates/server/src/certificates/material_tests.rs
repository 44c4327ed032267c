use super::super::generate;
use super::*;

const DAY: i64 = 24 * 3600;

pub(super) fn names() -> Names {
    Names {
        namespace: "keda".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        operator: "keda-operator".to_owned(),
        metrics: "keda-metrics-apiserver".to_owned(),
        webhooks: Some("keda-admission-webhooks".to_owned()),
    }
}

fn now() -> Timestamp {
    keda_scalers::sampler::wall_clock()
}

fn reason(data: &BTreeMap<String, ByteString>, names: &Names, now: Timestamp) -> String {
    match inspect(Some(data), names, now) {
        Verdict::Valid(_) => "valid".to_owned(),
        Verdict::Renew(reason) => reason,
    }
}

#[test]
fn what_is_generated_is_valid_for_three_quarters_of_a_year() {
    let start = now();
    let data = generate(&names(), start).unwrap().data;
    let in_days = |days: i64| Timestamp::from_second(start.as_second() + days * DAY).unwrap();
    assert_eq!(reason(&data, &names(), start), "valid");
    assert_eq!(reason(&data, &names(), in_days(275)), "valid");
    assert_eq!(reason(&data, &names(), in_days(276)), "tls.crt has 89 days left");
    assert_eq!(reason(&data, &names(), in_days(400)), "tls.crt has -35 days left");
    assert_eq!(reason(&data, &names(), in_days(-1)), "ca.crt is not valid yet");
}

#[test]
fn what_is_to_be_renewed_can_be_served_until_it_expires() {
    let start = now();
    let data = generate(&names(), start).unwrap().data;
    let in_days = |days: i64| Timestamp::from_second(start.as_second() + days * DAY).unwrap();
    let is_usable = |days: i64| usable(&data, in_days(days)).is_some();
    assert_eq!([-1, 0, 300, 364, 366].map(is_usable), [false, true, true, true, false]);
    let mut without_key = data.clone();
    without_key.remove(KEY);
    assert!(usable(&without_key, start).is_none());
}

#[test]
fn what_is_damaged_is_renewed() {
    let (data, other) = (generate(&names(), now()).unwrap().data, generate(&names(), now()).unwrap().data);
    let with = |key: &str, value: Option<&ByteString>| {
        let mut data = data.clone();
        match value {
            Some(value) => data.insert(key.to_owned(), value.clone()),
            None => data.remove(key),
        };
        reason(&data, &names(), now())
    };
    assert_eq!(with(KEY, None), "tls.key is missing");
    assert_eq!(with(CERTIFICATE, Some(&ByteString(Vec::new()))), "tls.crt is missing");
    assert!(with(CA_CERTIFICATE, Some(&ByteString(b"damaged".to_vec()))).contains("no usable PEM"));
    assert!(with(KEY, other.get(KEY)).contains("key"));
    assert!(with(CA_CERTIFICATE, other.get(CA_CERTIFICATE)).starts_with("tls.crt is not believed under ca.crt"));
    assert_eq!(with(CA_KEY, None), "valid", "somebody else's certificate comes without the key of its CA");
    assert!(matches!(inspect(None, &names(), now()), Verdict::Renew(_)));
}

#[test]
fn a_certificate_for_other_names_is_renewed() {
    let without = Names { webhooks: None, ..names() };
    let data = generate(&without, now()).unwrap().data;
    assert_eq!(reason(&data, &without, now()), "valid");
    assert_eq!(reason(&data, &names(), now()), "tls.crt is not for keda-admission-webhooks.keda.svc");
    let elsewhere = Names { cluster_domain: "example.org".to_owned(), ..without };
    assert_eq!(reason(&data, &elsewhere, now()), "tls.crt is not for keda-operator.keda.svc.example.org");
}

#[test]
fn keys_are_pkcs1_as_keda_reads_them() {
    let data = generate(&names(), now()).unwrap().data;
    for key in [KEY, CA_KEY] {
        let text = String::from_utf8(data[key].0.clone()).unwrap();
        assert!(text.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "{key}");
    }
    assert_eq!(names().all().len(), 12);
}
