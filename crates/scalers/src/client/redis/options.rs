//! The parameters that every trigger on Redis has (`scalers/redis.md`).

use keda_core::metadata::{Metadata, Reader, parse_bool};
use keda_core::secret::Secret;

use super::{Deployment, Endpoint, Login};
use crate::client::servers::join_host_port;
use crate::client::tls::TlsOptions;

/// Address, login and TLS.
#[derive(Debug, Clone, Metadata)]
#[metadata(check)]
pub struct RedisOptions {
    /// Addresses of the servers or sentinels as `host:port`, such as `redis.shop.svc:6379`, with commas between them;
    /// needed unless there are `hosts` and `ports`.
    #[meta(names("address", "addresses"), trigger, auth, env, optional)]
    addresses: Vec<String>,
    /// Hosts, each with the port at the same place in `ports`, in place of `addresses`.
    #[meta(names("host", "hosts"), trigger, env, auth, optional)]
    hosts: Vec<String>,
    /// Ports of the hosts, as many as there are `hosts`.
    #[meta(names("port", "ports"), trigger, env, auth, optional)]
    ports: Vec<String>,
    /// User of the servers; the default user when not given.
    #[meta(trigger, env, auth, optional)]
    username: String,
    /// Password of the user of the servers.
    #[meta(trigger, env, auth, optional)]
    password: Secret,
    /// User of the sentinels; the default user when not given. Only sentinels need it.
    #[meta(trigger, auth, env, optional)]
    sentinel_username: String,
    /// Password of the sentinels, where they have one; that of the servers is not used for them.
    #[meta(trigger, auth, env, optional)]
    sentinel_password: Secret,
    /// Name of the master, as the sentinels know it, such as `mymaster`. Only sentinels need it.
    #[meta(trigger, auth, env, optional)]
    sentinel_master: String,
    /// Whether to use TLS: `true` or `false`. Excludes `tls` in the TriggerAuthentication.
    #[meta(name = "enableTLS", trigger, optional)]
    enable_tls: String,
    /// Whether to use TLS: `enable` or `disable`. Excludes `enableTLS` in the metadata.
    #[meta(auth, optional)]
    tls: String,
    /// Whether to take any certificate of the server, with TLS.
    #[meta(trigger, default = "false")]
    unsafe_ssl: bool,
    /// PEM of the client's certificate, with TLS; needs `key`.
    #[meta(names("Cert", "cert"), auth)]
    cert: Option<Secret>,
    /// PEM of the client's key, with TLS; needs `cert`.
    #[meta(auth)]
    key: Option<Secret>,
    /// Password of the client's key, where it is encrypted; the key must then be in PKCS#8.
    #[meta(auth)]
    key_password: Option<Secret>,
    /// PEM of certificates to trust beside the system's, with TLS.
    #[meta(auth)]
    ca: Option<Secret>,
}

impl RedisOptions {
    fn check(&mut self, reader: &mut Reader<'_>) {
        if self.hosts.len() != self.ports.len() && !self.hosts.is_empty() && !self.ports.is_empty() {
            reader.error("not enough hosts or ports given. number of hosts should be equal to the number of ports");
            return;
        }
        let pairs = self.hosts.iter().zip(&self.ports).map(|(host, port)| join_host_port(host, port));
        self.addresses.extend(pairs.collect::<Vec<_>>());
        if self.addresses.first().is_none_or(String::is_empty) {
            reader.error(
                "no addresses or hosts given. address should be a comma separated list of host:port or set the host/port values",
            );
        } else if !self.enable_tls.is_empty() && !self.tls.is_empty() {
            reader.error_at("enableTLS", "unable to set `tls` in both ScaledObject and TriggerAuthentication together");
        } else if !self.enable_tls.is_empty() && self.enabled_here().is_none() {
            reader.error_at("enableTLS", "EnableTLS parsing error: expected true or false");
        } else if !matches!(self.tls.as_str(), "" | "enable" | "disable") {
            reader.error("error incorrect TLS value given: `tls` must be enable or disable");
        }
    }

    fn enabled_here(&self) -> Option<bool> {
        parse_bool(&self.enable_tls)
    }

    fn tls(&self) -> Option<TlsOptions> {
        let enabled = self.tls == "enable" || self.enabled_here() == Some(true);
        enabled.then(|| TlsOptions {
            insecure: self.unsafe_ssl,
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            key_password: self.key_password.clone(),
        })
    }

    fn endpoints(&self, login: &Login, database: i64) -> Vec<Endpoint> {
        let endpoint =
            |address: &String| Endpoint { address: address.clone(), login: login.clone(), database, tls: self.tls() };
        self.addresses.iter().map(endpoint).collect()
    }

    /// Where the key is, by the trigger's type: `redis…`, `redis-cluster…` or `redis-sentinel…`.
    pub fn deployment(&self, trigger_type: &str, database: i64) -> Option<Deployment> {
        let login = Login { username: self.username.clone(), password: self.password.clone() };
        if trigger_type.starts_with("redis-cluster") {
            return Some(Deployment::Cluster(self.endpoints(&login, 0)));
        }
        let first = self.endpoints(&login, database).into_iter().next()?;
        if trigger_type.starts_with("redis-sentinel") {
            let login = Login { username: self.sentinel_username.clone(), password: self.sentinel_password.clone() };
            return Some(Deployment::Sentinel {
                sentinels: self.endpoints(&login, 0),
                master: self.sentinel_master.clone(),
                data: Box::new(first),
            });
        }
        Some(Deployment::Single(first))
    }
}
