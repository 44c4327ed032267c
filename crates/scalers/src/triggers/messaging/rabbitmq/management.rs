//! The figures of queues from RabbitMQ's management API.

use std::sync::Arc;
use std::time::Duration;

use keda_core::names::query_escape;
use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use percent_encoding::percent_decode_str;
use reqwest::{Client, Url};
use serde::Deserialize;

use super::RabbitMq;
use super::mode::Figures;
use crate::client::Sources;
use crate::client::http;
use crate::client::oauth2::TokenSource;
use crate::client::tls::TlsOptions;

/// Most characters of a failed answer that are shown.
const SHOWN: usize = 500;

/// Asks the management API for the queues of one trigger.
#[derive(Debug)]
pub(super) struct Management {
    client: Arc<Client>,
    url: Url,
    login: Option<(String, Secret)>,
    tokens: Option<TokenSource>,
    timeout: Duration,
    regex: bool,
    exclude_unacknowledged: bool,
    operation: String,
}

impl Management {
    pub(super) fn new(trigger: &RabbitMq, sources: &Sources) -> Result<Self, SourceError> {
        let (url, login) = address(trigger)?;
        let has_tokens = !trigger.oauth.token_uri.is_empty();
        // As in KEDA, `unsafeSsl` alone does not count with OAuth 2.0.
        let tls = if has_tokens && trigger.tls != "enable" { TlsOptions::default() } else { trigger.tls_options() };
        let client = sources.http.client(&sources.tls, &tls)?;
        let tokens = has_tokens.then(|| TokenSource::new(trigger.oauth.clone(), Arc::clone(&client), &sources.tokens));
        Ok(Management {
            client,
            url,
            login,
            tokens,
            timeout: if trigger.timeout.is_zero() { sources.settings.timeout } else { trigger.timeout },
            regex: trigger.use_regex,
            exclude_unacknowledged: trigger.exclude_unacknowledged,
            operation: trigger.operation.clone(),
        })
    }

    /// The figures of the queue, or of all that the regular expression matches together.
    pub(super) async fn figures(&self) -> Result<Figures, SourceError> {
        let mut request = self.client.get(self.url.clone()).timeout(self.timeout);
        let token = match &self.tokens {
            Some(tokens) => Some((tokens, tokens.token().await?)),
            None => None,
        };
        if let Some((_, token)) = &token {
            request = token.authorize(request)?;
        } else if let Some((username, password)) = &self.login {
            request = request.basic_auth(username, Some(password.expose()));
        }
        let answer = http::send(request).await?;
        if answer.status.as_u16() != 200 {
            if let (Some((tokens, token)), 401) = (&token, answer.status.as_u16()) {
                tokens.refused(token).await;
            }
            return Err(SourceError::new(
                http::status_kind(answer.status),
                format!(
                    "error requesting RabbitMQ API status: {}, response: {}, from: {}",
                    answer.status,
                    answer.body.chars().take(SHOWN).collect::<String>(),
                    http::presentable(&self.url)
                ),
            ));
        }
        if self.regex { self.several(&answer.body) } else { self.read(&parse(&answer.body)?) }
    }

    fn several(&self, body: &str) -> Result<Figures, SourceError> {
        let page: Page = parse(body)?;
        if page.page_count.unwrap_or_default() > 1 {
            let message = "regex matches more queues than can be recovered at once: raise pageSize";
            return Err(SourceError::new(ErrorKind::Configuration, message));
        }
        let items = page.items.ok_or_else(|| malformed("the answer is not as expected: it has no items"))?;
        let queues = items.iter().map(|queue| self.read(queue)).collect::<Result<Vec<_>, _>>()?;
        combine(&self.operation, &queues).map_err(|message| SourceError::new(ErrorKind::Configuration, message))
    }

    /// A queue without a length is none that can be counted as empty. The server (3.10) leaves lengths and state out for
    /// the first seconds of a queue, until its statistics were collected (every 5 s by default), and other programs
    /// that answer with 200 know none; a queue that was never used has the length 0. Of rates the server leaves out
    /// those that nothing happened for, and `message_stats` as a whole as long as the queue was never used.
    fn read(&self, queue: &QueueInfo) -> Result<Figures, SourceError> {
        let (length, field) = match self.exclude_unacknowledged {
            true => (queue.messages_ready, "messages_ready"),
            false => (queue.messages, "messages"),
        };
        let messages = length.ok_or_else(|| {
            let name = queue.name.as_ref().map(|name| format!(" for the queue {name:?}")).unwrap_or_default();
            malformed(format!("the answer has no {field}{name}: it is no queue, or has no statistics yet"))
        })?;
        let stats = queue.message_stats.as_ref();
        let rate = |details: Option<&Rate>| details.and_then(|details| details.rate).unwrap_or_default();
        Ok(Figures {
            messages,
            publish_rate: rate(stats.and_then(|stats| stats.publish_details.as_ref())),
            deliver_get_rate: rate(stats.and_then(|stats| stats.deliver_get_details.as_ref())),
        })
    }
}

/// The address to ask, and the login that was in it. The last part of the path is the virtual host, as it is written
/// there; what is before it is where the API is.
fn address(trigger: &RabbitMq) -> Result<(Url, Option<(String, Secret)>), SourceError> {
    let bad = |what: &str| SourceError::new(ErrorKind::Configuration, format!("the address of the API is bad: {what}"));
    let mut url: Url = trigger.host.expose().parse().map_err(|error: url::ParseError| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("its scheme must be either http or https"));
    }
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = if !trigger.username.is_empty() {
        Some((trigger.username.clone(), trigger.password.clone()))
    } else if !url.username().is_empty() || url.password().is_some() {
        Some((decode(url.username()), Secret::new(url.password().map(decode).unwrap_or_default())))
    } else {
        None
    };
    http::remove_login(&mut url);
    let path = url.path().to_string();
    let (prefix, vhost) = path.rsplit_once('/').unwrap_or_default();
    let prefix: String = prefix.split('/').filter(|part| !part.is_empty()).map(|part| format!("/{part}")).collect();
    let vhost = match (&trigger.vhost_name, vhost) {
        (name, "") if name.is_empty() => "%2F".to_string(),
        (name, vhost) if name.is_empty() => vhost.to_string(),
        (name, _) => path_escape(name),
    };
    if trigger.use_regex {
        url.set_path(&format!("{prefix}/api/queues/{vhost}"));
        url.set_query(Some(&format!(
            "page=1&use_regex=true&pagination=false&name={}&page_size={}",
            query_escape(&trigger.queue_name),
            trigger.page_size
        )));
    } else {
        url.set_path(&format!("{prefix}/api/queues/{vhost}/{}", path_escape(&trigger.queue_name)));
        url.set_query(None);
    }
    Ok((url, login))
}

/// As in a form, but for the blank: a plus sign in a path means itself.
fn path_escape(text: &str) -> String {
    query_escape(text).replace('+', "%20")
}

#[derive(Deserialize)]
struct Page {
    items: Option<Vec<QueueInfo>>,
    page_count: Option<i64>,
}

#[derive(Deserialize)]
struct QueueInfo {
    name: Option<String>,
    messages: Option<i64>,
    messages_ready: Option<i64>,
    message_stats: Option<Stats>,
}

#[derive(Deserialize)]
struct Stats {
    publish_details: Option<Rate>,
    deliver_get_details: Option<Rate>,
}

#[derive(Deserialize)]
struct Rate {
    rate: Option<f64>,
}

fn parse<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, SourceError> {
    serde_json::from_str(body).map_err(|error| malformed(format!("the answer is not as expected: {error}")))
}

fn malformed(message: impl Into<String>) -> SourceError {
    SourceError::malformed(message)
}

/// One set of figures for several queues. The average of lengths is a whole number.
fn combine(operation: &str, queues: &[Figures]) -> Result<Figures, String> {
    let Some(count) = u32::try_from(queues.len()).ok().filter(|count| *count > 0) else {
        return Ok(Figures::default());
    };
    let sum = queues.iter().fold(Figures::default(), |sum, queue| Figures {
        messages: sum.messages.saturating_add(queue.messages),
        publish_rate: sum.publish_rate + queue.publish_rate,
        deliver_get_rate: sum.deliver_get_rate + queue.deliver_get_rate,
    });
    match operation {
        "sum" => Ok(sum),
        "avg" => Ok(Figures {
            messages: sum.messages / i64::from(count),
            publish_rate: sum.publish_rate / f64::from(count),
            deliver_get_rate: sum.deliver_get_rate / f64::from(count),
        }),
        "max" => Ok(queues.iter().fold(Figures::default(), |most, queue| Figures {
            messages: most.messages.max(queue.messages),
            publish_rate: most.publish_rate.max(queue.publish_rate),
            deliver_get_rate: most.deliver_get_rate.max(queue.deliver_get_rate),
        })),
        other => Err(format!("operation mode {other} must be one of sum, avg, max")),
    }
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Context, Inputs, parse};

    use super::*;
    use crate::client::SourceSettings;

    fn trigger(metadata: &[(&str, &str)]) -> RabbitMq {
        let (trigger, problems) =
            parse::<RabbitMq>(&Inputs::from_metadata(metadata.iter().copied()), &Context::default());
        assert!(problems.is_empty(), "{problems:?}");
        trigger
    }

    fn asked(host: &str, more: &[(&str, &str)]) -> String {
        let metadata: Vec<_> = [("host", host), ("queueName", "q")].into_iter().chain(more.iter().copied()).collect();
        address(&trigger(&metadata)).unwrap().0.to_string()
    }

    #[test]
    fn the_path_of_the_address_holds_prefix_and_vhost() {
        assert_eq!(asked("http://u:p@h:15672", &[]), "http://h:15672/api/queues/%2F/q");
        assert_eq!(asked("http://h/%2FmyVhost", &[]), "http://h/api/queues/%2FmyVhost/q");
        assert_eq!(asked("http://h/sub1/%2FmyVhost", &[]), "http://h/sub1/api/queues/%2FmyVhost/q");
        assert_eq!(asked("http://h/sub1/", &[("vhostName", "my/v w")]), "http://h/sub1/api/queues/my%2Fv%20w/q");
        let regex = [("useRegex", "true"), ("pageSize", "7"), ("queueName", "^a b.*$")];
        assert_eq!(
            asked("http://h", &regex),
            "http://h/api/queues/%2F?page=1&use_regex=true&pagination=false&name=%5Ea+b.%2A%24&page_size=7"
        );
    }

    #[test]
    fn with_tokens_any_certificate_is_taken_only_where_tls_is_enabled_too() {
        let sources = Sources::new(SourceSettings::default());
        let strict = sources.http.client(&sources.tls, &TlsOptions::default()).unwrap();
        let is_strict = |authentication: &[(&str, &str)]| {
            let metadata = [("host", "https://h"), ("queueName", "q"), ("unsafeSsl", "true")];
            let inputs = Inputs::from_metadata(metadata).with_authentication(authentication.iter().copied());
            let (trigger, problems) = parse::<RabbitMq>(&inputs, &Context::default());
            assert!(problems.is_empty(), "{problems:?}");
            Arc::ptr_eq(&Management::new(&trigger, &sources).unwrap().client, &strict)
        };
        let tokens = [("oauthTokenURI", "https://t"), ("clientID", "c"), ("clientSecret", "s"), ("tls", "enable")];
        assert_eq!([is_strict(&[]), is_strict(&tokens[..3]), is_strict(&tokens)], [false, true, false]);
    }

    #[test]
    fn queues_that_a_regular_expression_matches_count_together() {
        let read = |operation, body: &str| {
            let metadata = [("host", "http://h"), ("queueName", "q"), ("useRegex", "true"), ("operation", operation)];
            let management = Management::new(&trigger(&metadata), &Sources::new(SourceSettings::default())).unwrap();
            management.several(body).map(|figures| (figures.messages, figures.publish_rate))
        };
        let body = r#"{"items":[{"messages":4,"message_stats":{"publish_details":{"rate":1.5}}},{"messages":1}],"page_count":1}"#;
        assert_eq!(read("sum", body), Ok((5, 1.5)));
        assert_eq!(read("avg", body), Ok((2, 0.75)));
        assert_eq!(read("max", body), Ok((4, 1.5)));
        assert!(read("median", body).unwrap_err().message.contains("operation mode median must be one of"));
        assert_eq!(read("median", r#"{"items":[],"page_count":0}"#), Ok((0, 0.0)));
        assert!(read("sum", r#"{"items":[],"page_count":2}"#).unwrap_err().message.contains("more queues"));
        for no_queues in ["<html>", "{}", r#"{"items":null}"#, r#"{"error":"x"}"#, r#"{"items":[{"messages":4},{}]}"#] {
            assert_eq!(read("sum", no_queues).unwrap_err().kind, ErrorKind::Malformed, "{no_queues}");
        }
    }

    #[test]
    fn a_queue_without_a_length_is_an_error_and_without_rates_idle() {
        let read = |unacknowledged, body: &str| {
            let metadata = [("host", "http://h"), ("queueName", "q"), ("excludeUnacknowledged", unacknowledged)];
            let management = Management::new(&trigger(&metadata), &Sources::new(SourceSettings::default())).unwrap();
            management.read(&super::parse(body)?)
        };
        let idle = Figures { messages: 2, ..Figures::default() };
        assert_eq!(read("false", r#"{"name":"q","messages":2,"state":"running"}"#), Ok(idle));
        assert_eq!(read("true", r#"{"messages_ready":2,"message_stats":{"publish":5}}"#), Ok(idle));
        // What the server says of a queue in its first seconds.
        let young = read("false", r#"{"arguments":{},"durable":true,"name":"q","type":"classic"}"#).unwrap_err();
        assert_eq!(young.kind, ErrorKind::Malformed);
        assert!(young.message.contains("no messages for the queue \"q\""), "{young}");
        assert!(read("true", r#"{"messages":2}"#).unwrap_err().message.contains("messages_ready"));
        for no_queue in [r#"{"error":"not_found"}"#, "{}", r#"{"messages":null}"#, "[]"] {
            assert_eq!(read("false", no_queue).unwrap_err().kind, ErrorKind::Malformed, "{no_queue}");
        }
    }
}
