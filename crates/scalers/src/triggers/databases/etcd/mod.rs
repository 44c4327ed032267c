//! `etcd`: the number in a key (`scalers/etcd.md`).

mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use keda_core::metadata::{Context, Metadata, Reader};
use keda_core::metric::{MetricSpec, Target};
use keda_core::names::normalize;
use keda_core::sample::{Reading, Sample, SourceError};
use keda_core::secret::Secret;

use crate::client::Sources;
use crate::client::certificates::Certificates;
use crate::client::etcd::{Etcd as Client, Login, Options};
use crate::trigger::{Memory, Push, Scaler, Specs, Trigger};
use watch::Watched;

/// Scale on the number that a key of etcd holds.
///
/// What counts is the value of `watchKey`, which must be the text of a number such as `42`. One replica is wanted per
/// `value` of it. The target leaves zero when it is above `activationValue`. A key that does not exist, or whose value
/// is no number, is an error.
///
/// The key is also watched, so the target leaves zero as soon as the key changes, without waiting for the next
/// `pollingInterval`. For that `watchProgressNotifyInterval` should be what the server's flag
/// `--experimental-watch-progress-notify-interval` says: a watch that is silent for twice as long is taken for dead and
/// started anew.
///
/// Log in with a TriggerAuthentication: `username` with `password`, or `tls: enable` with the certificate `cert` and
/// its key `key`; `ca` is for an authority of your own. Certificates without `tls: enable` have no effect, and there is
/// no way to skip the check of the server's certificate. The user needs the right to read the key. A cluster without
/// authentication needs none of it.
///
/// ```yaml
/// type: etcd
/// metadata:
///   endpoints: etcd-0.shop.svc:2379,etcd-1.shop.svc:2379
///   watchKey: /shop/deliveries/waiting
///   value: "15"
///   activationValue: "2"
/// authenticationRef:
///   name: etcd-login
/// ---
/// secretTargetRef:
///   - parameter: username
///     name: etcd-login
///     key: username
///   - parameter: password
///     name: etcd-login
///     key: password
/// ```
#[derive(Debug, Metadata)]
#[metadata(check)]
pub struct Etcd {
    /// Addresses of the servers, as `host:port` or URLs such as `https://etcd-0.shop.svc:2379`, with commas between
    /// them.
    #[meta(trigger)]
    endpoints: Vec<String>,
    /// The key, such as `/shop/deliveries/waiting`; its value must be the text of a number.
    #[meta(trigger)]
    watch_key: String,
    /// What one replica is expected to handle, in the unit of the key's number.
    #[meta(trigger)]
    value: f64,
    /// Number in the key above which the target leaves zero.
    #[meta(trigger, default = "0")]
    activation_value: f64,
    /// How often the server says that a silent watch still lives, in seconds; more than 0. It should be what the
    /// server's flag says.
    #[meta(trigger, default = "600")]
    watch_progress_notify_interval: i64,
    /// User to log in as; needs `password`.
    #[meta(auth, env, optional)]
    username: String,
    /// Password of the user; needs `username`.
    #[meta(auth, env, optional)]
    password: Secret,
    /// Whether to use TLS: `enable` or `disable`. Certificates count only where it is on.
    #[meta(auth, default = "disable")]
    tls: String,
    #[meta(group)]
    certificates: Certificates,
}

impl Etcd {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.watch_progress_notify_interval <= 0 && !reader.has_errors() {
            reader.error("watchProgressNotifyInterval must be greater than 0");
        }
        if let Err(problem) = self.check_tls() {
            reader.error(problem);
        }
        match (self.username.is_empty(), self.password.is_empty()) {
            (true, false) => reader.error("username must be provided with password"),
            (false, true) => reader.error("password must be provided with username"),
            _ => {}
        }
    }

    fn notify_interval(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.watch_progress_notify_interval).unwrap_or_default())
    }

    fn check_tls(&self) -> Result<(), String> {
        match self.tls.as_str() {
            "disable" => Ok(()),
            "enable" if !self.certificates.is_half() => self.certificates.check(),
            "enable" if self.certificates.cert.is_none() => Err("cert must be provided with key".to_string()),
            "enable" => Err("key must be provided with cert".to_string()),
            _ => Err("incorrect value for TLS given: `tls` must be enable or disable".to_string()),
        }
    }
}

impl Trigger for Etcd {
    fn specs(&self, _: &Context) -> Specs {
        Specs::one(MetricSpec::external(self.metric_name(), Target::Float(self.value)))
    }

    fn connect(self, _: &Context, sources: &Sources) -> Result<Box<dyn Scaler>, SourceError> {
        let login =
            (!self.username.is_empty()).then(|| Login { user: self.username.clone(), password: self.password.clone() });
        let options = Options {
            endpoints: self.endpoints.clone(),
            tls: (self.tls == "enable").then(|| self.certificates.options(false)),
            login,
        };
        Ok(Box::new(Key { client: Arc::new(Client::new(options, sources)?), trigger: self }))
    }
}

impl Etcd {
    fn metric_name(&self) -> String {
        normalize(&format!("etcd-{}", self.watch_key))
    }
}

struct Key {
    client: Arc<Client>,
    trigger: Etcd,
}

#[async_trait]
impl Scaler for Key {
    async fn sample(&self, _: &mut Memory) -> Result<Reading, SourceError> {
        let value = self.value().await.map_err(|error| error.within("error getting metric value"))?;
        Ok(vec![(self.trigger.metric_name(), Sample::above(value, self.trigger.activation_value))])
    }

    fn pushes(&self) -> Option<BoxStream<'static, Push>> {
        let watched = Watched {
            key: self.trigger.watch_key.clone(),
            activation: self.trigger.activation_value,
            notify_interval: self.trigger.notify_interval(),
        };
        Some(watch::listen(Arc::clone(&self.client), watched))
    }
}

impl Key {
    async fn value(&self) -> Result<f64, SourceError> {
        let key = &self.trigger.watch_key;
        let text = self.client.get(key).await?;
        let text = text.ok_or_else(|| SourceError::configuration(format!("watchKey {key} doesn't exist")))?;
        number(&text).ok_or_else(|| SourceError::malformed(format!("the value of watchKey {key} is no number")))
    }
}

/// The number that the value of a key is the text of.
fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use keda_core::metadata::{Inputs, parse};

    use super::*;

    fn parsed(more: &[(&str, &str)], authentication: &[(&str, &str)]) -> (Etcd, Vec<String>) {
        let metadata = [("endpoints", "e:2379"), ("watchKey", "/app/len"), ("value", "5.5")];
        let inputs = Inputs::from_metadata(metadata.into_iter().chain(more.iter().copied()))
            .with_authentication(authentication.iter().copied());
        let (trigger, problems) = parse::<Etcd>(&inputs, &Context::default());
        (trigger, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_name_is_the_keys() {
        let (trigger, problems) = parsed(&[], &[]);
        assert!(problems.is_empty(), "{problems:?}");
        let spec = MetricSpec::external("etcd--app-len", Target::Float(5.5));
        assert_eq!(trigger.specs(&Context::default()), Specs::one(spec));
    }

    #[test]
    fn a_login_is_whole() {
        assert_eq!(parsed(&[], &[("username", "u")]).1, ["password must be provided with username"]);
        assert_eq!(parsed(&[], &[("password", "hunter2")]).1, ["username must be provided with password"]);
    }

    #[test]
    fn tls_is_on_or_off() {
        assert_eq!(
            parsed(&[], &[("tls", "hunter2")]).1,
            ["incorrect value for TLS given: `tls` must be enable or disable"]
        );
        assert_eq!(parsed(&[], &[("tls", "enable"), ("cert", "c")]).1, ["key must be provided with cert"]);
        assert!(parsed(&[], &[("cert", "c")]).1.is_empty());
    }

    #[test]
    fn a_watch_that_never_shows_life_is_refused() {
        let (_, problems) = parsed(&[("watchProgressNotifyInterval", "0")], &[]);
        assert_eq!(problems, ["watchProgressNotifyInterval must be greater than 0"]);
    }
}
