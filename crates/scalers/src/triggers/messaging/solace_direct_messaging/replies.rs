//! What a broker replies over SEMP 1, in XML.

use keda_core::sample::{ErrorKind, SourceError};
use roxmltree::{Document, Node};

use crate::format::xml;

/// The queue of a client in which direct messages wait.
const DIRECT: &str = "D-1";
/// Bytes in a unit of work.
const UNIT: i64 = 2048;

/// A rate at which a broker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    Bytes,
    AverageBytes,
    Messages,
    AverageMessages,
}

impl Rate {
    fn element(self) -> &'static str {
        match self {
            Rate::Bytes => "current-egress-byte-rate-per-second",
            Rate::AverageBytes => "average-egress-byte-rate-per-minute",
            Rate::Messages => "current-egress-rate-per-second",
            Rate::AverageMessages => "average-egress-rate-per-minute",
        }
    }
}

/// What waits for clients: messages, and units of work.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    messages: i64,
    work: i64,
}

impl Waiting {
    /// As much as counts for a rate.
    pub(super) fn of(&self, rate: Rate) -> i64 {
        match rate {
            Rate::Bytes | Rate::AverageBytes => self.work.saturating_mul(UNIT),
            Rate::Messages | Rate::AverageMessages => self.messages,
        }
    }
}

/// The clients in a reply.
#[derive(Debug)]
pub(super) struct Reply<'a>(Vec<Node<'a, 'a>>);

impl<'a> Reply<'a> {
    pub(super) fn parse(body: &'a str) -> Result<Document<'a>, SourceError> {
        xml::document(body, "the reply")
    }

    /// The clients, if the broker carried the question out.
    pub(super) fn check(document: &'a Document<'a>) -> Result<Self, SourceError> {
        let reply = document.root_element();
        if reply.tag_name().name() != "rpc-reply" {
            return Err(SourceError::malformed("the reply is not one of SEMP"));
        }
        if child(reply, "permission-error").is_some() {
            return Err(SourceError::new(ErrorKind::Denied, "the user may not show clients"));
        }
        if child(reply, "parse-error").is_some() {
            return Err(SourceError::configuration("the broker does not understand the question"));
        }
        let result = child(reply, "execute-result").and_then(|result| result.attribute("code"));
        if let Some(code) = result.filter(|code| *code != "ok") {
            return Err(SourceError::configuration(format!("the broker cannot show the clients: {code}")));
        }
        let clients = ["rpc", "show", "client"].into_iter().try_fold(reply, child);
        let clients = clients.ok_or_else(|| SourceError::malformed("the reply shows no clients"))?;
        let clients = child(clients, "primary-virtual-router").map(|router| children(router, "client").collect());
        Ok(Reply(clients.unwrap_or_default()))
    }

    /// The rate of all clients of a message VPN together.
    pub(super) fn rate(&self, vpn: &str, rate: Rate) -> Result<i64, SourceError> {
        self.of(vpn).try_fold(0, |sum: i64, client| {
            let statistics = child(client, "stats").ok_or_else(|| SourceError::malformed("a client has no stats"))?;
            Ok(sum.saturating_add(number(statistics, rate.element())?))
        })
    }

    /// What waits for all clients of a message VPN together.
    pub(super) fn waiting(&self, vpn: &str) -> Result<Waiting, SourceError> {
        let queues = self.of(vpn).flat_map(|client| children(client, "client-queue"));
        let mut direct = queues.filter(|queue| text(*queue, "queue-priority") == Some(DIRECT));
        direct.try_fold(Waiting { messages: 0, work: 0 }, |sum, queue| {
            Ok(Waiting {
                messages: sum.messages.saturating_add(number(queue, "length-msgs")?),
                work: sum.work.saturating_add(number(queue, "length-work")?),
            })
        })
    }

    fn of(&self, vpn: &str) -> impl Iterator<Item = Node<'a, 'a>> {
        self.0.iter().copied().filter(move |client| text(*client, "message-vpn") == Some(vpn))
    }
}

fn children<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn child<'a>(node: Node<'a, 'a>, name: &'static str) -> Option<Node<'a, 'a>> {
    children(node, name).next()
}

fn text<'a>(node: Node<'a, 'a>, name: &'static str) -> Option<&'a str> {
    child(node, name).and_then(|child| child.text())
}

fn number(node: Node<'_, '_>, name: &'static str) -> Result<i64, SourceError> {
    let number = node.children().find(|child| child.tag_name().name() == name).and_then(|child| child.text());
    let number = number.and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| SourceError::malformed(format!("a client has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(body: &str, take: impl Fn(&Reply<'_>) -> Result<T, SourceError>) -> Result<T, ErrorKind> {
        Reply::parse(body).and_then(|document| take(&Reply::check(&document)?)).map_err(|error| error.kind)
    }

    fn reply(clients: &str) -> String {
        format!(
            "<rpc-reply><rpc><show><client><primary-virtual-router>{clients}</primary-virtual-router></client></show>\
             </rpc><execute-result code=\"ok\"/></rpc-reply>"
        )
    }

    #[test]
    fn the_clients_of_the_vpn_count_together() {
        let client = |vpn: &str, rate: i64| {
            format!(
                "<client><message-vpn>{vpn}</message-vpn><stats><current-egress-rate-per-second>{rate}\
                 </current-egress-rate-per-second></stats></client>"
            )
        };
        let body = reply(&[client("v", 100), client("other", 7), client("v", 20)].concat());
        assert_eq!(read(&body, |reply| reply.rate("v", Rate::Messages)), Ok(120));
        assert_eq!(read(&body, |reply| reply.rate("none", Rate::Messages)), Ok(0));
        assert_eq!(read(&body, |reply| reply.rate("v", Rate::Bytes)), Err(ErrorKind::Malformed));
    }

    #[test]
    fn only_direct_messages_wait() {
        let queue = |priority: &str, messages: i64, work: i64| {
            format!(
                "<client-queue><queue-priority>{priority}</queue-priority><length-msgs>{messages}</length-msgs>\
                 <length-work>{work}</length-work></client-queue>"
            )
        };
        let queues = [queue("D-1", 5, 7), queue("G-1", 50, 70)].concat();
        let body = reply(&format!("<client><message-vpn>v</message-vpn>{queues}</client>"));
        let waiting = read(&body, |reply| reply.waiting("v")).unwrap();
        assert_eq!((waiting.of(Rate::AverageMessages), waiting.of(Rate::Bytes)), (5, 7 * UNIT));
    }

    #[test]
    fn what_was_not_carried_out_is_no_zero() {
        let failed = "<execute-result code=\"fail\" reason=\"not found\"/>";
        for (content, kind) in [
            (failed, ErrorKind::Configuration),
            ("<parse-error>schema validation error</parse-error>", ErrorKind::Configuration),
            ("<permission-error>no</permission-error>", ErrorKind::Denied),
            ("", ErrorKind::Malformed),
        ] {
            let body = format!("<rpc-reply>{content}</rpc-reply>");
            assert_eq!(read(&body, |reply| reply.waiting("v")), Err(kind), "{content}");
        }
        assert_eq!(read("<html/>", |reply| reply.waiting("v")), Err(ErrorKind::Malformed));
    }
}
