//! The brokers of Solace, over both versions of SEMP.

use super::case::Case;
use super::messaging::{BASIC, LOGIN};

pub fn cases() -> Vec<Case> {
    [event_queue(), event_queue_failures(), direct_messaging()].into_iter().flatten().collect()
}

const VPN: &str = "GET /SEMP/v2/monitor/msgVpns/shop%2F1?select=state";
const QUEUE: &str = "GET /SEMP/v2/monitor/msgVpns/shop%2F1/queues/a%2Fb%20c?select=msgs,msgSpoolUsage,averageRxMsgRate";
const UP: &str = r#"{"data": {"state": "up"}, "meta": {"responseCode": 200}}"#;
const TARGETS: [(&str, &str); 3] =
    [("messageCountTarget", "10"), ("messageSpoolUsageTarget", "20"), ("messageReceiveRateTarget", "5")];

fn event_queue_case(title: &str, addresses: &str, more: &[(&str, &str)]) -> Case {
    let metadata = [("solaceSempBaseURL", addresses), ("messageVpn", "shop/1"), ("queueName", "a/b c")];
    Case::new("solace-event-queue", title, &[&metadata, more].concat())
        .authentication(&LOGIN)
        .asks(VPN)
        .header("authorization", BASIC)
}

fn event_queue() -> Vec<Case> {
    let queue = r#"{"collections": {"msgs": {"count": 20}}, "data": {"msgSpoolUsage": 1048576, "averageRxMsgRate": 3},
        "meta": {"responseCode": 200}}"#;
    let activations = [
        ("messageCountTarget", "10"),
        ("activationMessageCountTarget", "20"),
        ("activationMessageSpoolUsageTarget", "1"),
        ("activationMessageReceiveRateTarget", "3"),
    ];
    vec![
        event_queue_case("three figures", "{address}", &TARGETS)
            .answers(200, UP)
            .asks(QUEUE)
            .header("authorization", BASIC)
            .answers(200, queue)
            .gives_all(&[(20.0, true), (1_048_576.0, true), (3.0, true)]),
        event_queue_case("none above its activation", "{address}", &activations)
            .answers(200, UP)
            .asks(QUEUE)
            .answers(200, queue)
            .gives(20.0, false),
        event_queue_case("the second broker, where the VPN is up", "{address},{address}", &TARGETS[..1])
            .answers(200, r#"{"data": {"state": "down"}, "meta": {"responseCode": 200}}"#)
            .asks(VPN)
            .answers(200, UP)
            .asks(QUEUE)
            .answers(200, queue)
            .gives(20.0, true),
        event_queue_case("the broker that answered is remembered", "{address},{address}", &TARGETS[..1])
            .readings(2)
            .answers(500, "")
            .asks(VPN)
            .answers(200, UP)
            .asks(QUEUE)
            .answers(200, queue)
            .asks(VPN)
            .answers(200, UP)
            .asks(QUEUE)
            .answers(200, queue)
            .gives(20.0, true),
    ]
}

fn event_queue_failures() -> Vec<Case> {
    vec![
        event_queue_case("a VPN that is down", "{address}", &TARGETS)
            .answers(200, r#"{"data": {"state": "down"}, "meta": {"responseCode": 200}}"#)
            .fails("unable to collect metrics, error(s): Host 1 Error: Message vpn is not up (down)"),
        event_queue_case("no such queue", "{address}", &TARGETS)
            .answers(200, UP)
            .asks(QUEUE)
            .answers(400, r#"{"meta": {"responseCode": 400, "error": {"status": "NOT_FOUND"}}}"#)
            .fails("unable to collect metrics, error(s): Host 1 Error: "),
        event_queue_case("no responseCode", "{address}", &TARGETS)
            .answers(200, r#"{"data": {"state": "up"}}"#)
            .fails("the answer has no responseCode"),
        event_queue_case("no count", "{address}", &TARGETS[..1])
            .answers(200, UP)
            .asks(QUEUE)
            .answers(200, r#"{"data": {}, "meta": {"responseCode": 200}}"#)
            .fails("the broker says nothing of msgcount"),
    ]
}

fn reply(clients: &str) -> String {
    format!(
        r#"<rpc-reply semp-version="soltr/9_1"><rpc><show><client><primary-virtual-router>{clients}
            </primary-virtual-router></client></show></rpc><execute-result code="ok"/></rpc-reply>"#
    )
}

fn direct_messaging() -> Vec<Case> {
    let question = |shown: &str| format!("<rpc><show><client><name>*feed*</name>{shown}</client></show></rpc>");
    let case = |title: &str, addresses: &str, more: &[(&str, &str)]| {
        let metadata = [("solaceSempBaseURL", addresses), ("messageVpn", "shop"), ("clientNamePattern", "feed")];
        Case::new("solace-direct-messaging", title, &[&metadata, more].concat()).authentication(&LOGIN)
    };
    let ask = |case: Case, shown: &str| {
        case.asks("POST /SEMP")
            .header("authorization", BASIC)
            .header("content-type", "application/xml")
            .body(&question(shown))
    };
    let (statistics, queues) = ("<stats/>", "<stats></stats><queues></queues>");
    let sent = reply(
        "<client><name>feed-1</name><message-vpn>shop</message-vpn><stats>\
         <current-egress-rate-per-second>100</current-egress-rate-per-second>\
         <average-egress-rate-per-minute>90</average-egress-rate-per-minute>\
         <current-egress-byte-rate-per-second>0</current-egress-byte-rate-per-second>\
         <average-egress-byte-rate-per-minute>1000</average-egress-byte-rate-per-minute></stats></client>\
         <client><name>feed-2</name><message-vpn>other</message-vpn></client>",
    );
    let waiting = reply(
        "<client><message-vpn>shop</message-vpn>\
         <client-queue><queue-priority>D-1</queue-priority><length-msgs>5</length-msgs><length-work>7</length-work>\
         </client-queue><client-queue><queue-priority>G-1</queue-priority><length-msgs>50</length-msgs>\
         <length-work>70</length-work></client-queue></client>",
    );
    let targets = [
        ("aggregatedClientTxByteRateTarget", "1"),
        ("aggregatedClientAverageTxByteRateTarget", "1"),
        ("aggregatedClientTxMsgRateTarget", "1"),
        ("aggregatedClientAverageTxMsgRateTarget", "1"),
    ];
    let messages = [("aggregatedClientTxMsgRateTarget", "600"), ("queuedMessagesFactor", "10")];
    let all = ask(case("four rates", "{address}", &targets), statistics).answers(200, &sent);
    let one = ask(case("the second broker", "{address},{address}", &messages), statistics).answers(500, "");
    let one = ask(one, statistics).answers(200, &sent);
    let nobody = ask(case("no client", "{address}", &messages), statistics).answers(200, &reply(""));
    vec![
        ask(all, queues).answers(200, &waiting).gives_all(&[
            (43_008.0, true),
            (44_008.0, true),
            (115.0, true),
            (105.0, true),
        ]),
        ask(one, queues).answers(200, &waiting).gives(150.0, true),
        ask(nobody, queues).answers(200, &reply("")).gives(0.0, true),
        ask(case("no broker", "{address}", &messages), statistics)
            .answers(500, "")
            .fails("reading client stats failed: no URL returned any data"),
        ask(case("a question that is not carried out", "{address}", &messages), statistics)
            .answers(200, r#"<rpc-reply><execute-result code="fail" reason="not found"/></rpc-reply>"#)
            .fails("the broker cannot show the clients: fail"),
    ]
}
