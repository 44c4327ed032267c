//! MongoDB: counting documents, through one client for each connection string and its certificates.
//!
//! The client finds the servers of a deployment, watches them and holds the connections to them.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keda_core::sample::{ErrorKind, SourceError};
use keda_core::secret::Secret;
use mongodb::Client;
use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, ErrorKind as Failure};
use mongodb::options::{ClientOptions, Tls as TlsMode, TlsOptions as FileOptions};
use tokio::time::timeout;

use super::Sources;
use super::pool::{Pool, Slot};
use super::tls::{Tls, TlsOptions, pem};

/// The longest that a count may take, as in KEDA.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to one server for counts.
const CONNECTIONS: u32 = 2;

/// What a connection string may say, in small letters. Beside what the client knows these are the files of certificates
/// by the names that Go's client knows them by: it is better to refuse those than to connect without.
const KNOWN: &[&str] = &[
    "appname",
    "authmechanism",
    "authmechanismproperties",
    "authsource",
    "connecttimeoutms",
    "directconnection",
    "heartbeatfrequencyms",
    "journal",
    "loadbalanced",
    "localthresholdms",
    "maxconnecting",
    "maxidletimems",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "readconcernlevel",
    "readpreference",
    "readpreferencetags",
    "replicaset",
    "retryreads",
    "retrywrites",
    "servermonitoringmode",
    "serverselectiontimeoutms",
    "sockettimeoutms",
    "srvmaxhosts",
    "srvservicename",
    "ssl",
    "sslcertificateauthorityfile",
    "sslclientcertificatekeyfile",
    "sslclientcertificatekeypassword",
    "sslinsecure",
    "tls",
    "tlsallowinvalidcertificates",
    "tlscafile",
    "tlscertificatefile",
    "tlscertificatekeyfile",
    "tlscertificatekeyfilepassword",
    "tlsinsecure",
    "tlsprivatekeyfile",
    "uuidrepresentation",
    "w",
    "waitqueuetimeoutms",
    "wtimeoutms",
];

/// One client for each deployment and login.
pub type MongoPool = Pool<Options, Client>;

/// A deployment, and how it is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// The connection string.
    pub uri: Secret,
    /// TLS in place of what the connection string says of it.
    pub tls: Option<TlsOptions>,
}

/// A client for the counts of one trigger.
#[derive(Debug)]
pub struct MongoDb {
    options: Options,
    tls: Arc<Tls>,
    timeout: Duration,
    slot: Arc<Slot<Client>>,
}

impl MongoDb {
    /// A client that dials when first asked.
    pub fn new(options: Options, sources: &Sources) -> Self {
        let slot = sources.mongodb.slot(options.clone());
        MongoDb { options, tls: Arc::clone(&sources.tls), timeout: sources.settings.timeout, slot }
    }

    /// The number of documents that a filter takes.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for what the server refuses, [`ErrorKind::Denied`], [`ErrorKind::Unreachable`].
    pub async fn count(&self, database: &str, collection: &str, filter: Document) -> Result<f64, SourceError> {
        let open = || async { timeout(PATIENCE, self.open()).await.unwrap_or_else(|_| Err(late())) };
        let client = self.slot.get(open).await?;
        let collection = client.database(database).collection::<Document>(collection);
        let count = async { collection.count_documents(filter).await.map_err(|error| explain(&error)) };
        let count = timeout(PATIENCE, count).await.unwrap_or_else(|_| Err(late()));
        let count = count.map_err(|error| error.within("failed to execute query"))?;
        Ok(crate::trigger::float(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    async fn open(&self) -> Result<Client, SourceError> {
        let uri = understood(self.options.uri.expose());
        let mut options = ClientOptions::parse(uri.as_str()).await.map_err(|error| match &*error.kind {
            // What is wrong with it may show a part of it.
            Failure::InvalidArgument { .. } => SourceError::configuration("the connection string cannot be read"),
            _ => explain(&error),
        })?;
        options.app_name.get_or_insert_with(|| "keda".to_string());
        options.max_pool_size.get_or_insert(CONNECTIONS);
        options.server_selection_timeout.get_or_insert(self.timeout);
        options.connect_timeout.get_or_insert(self.timeout);
        let files = self.certificates(&mut options)?;
        let client = Client::with_options(options).map_err(|error| explain(&error));
        // They were read.
        drop(files);
        client
    }

    /// Lets the client trust whom we trust. It takes certificates out of files alone, which are not to lie on a disk.
    fn certificates(&self, options: &mut ClientOptions) -> Result<Vec<File>, SourceError> {
        let mut files = Vec::new();
        let mut in_memory = |text: &str| {
            let (file, path) = file_in_memory(text)
                .map_err(|error| SourceError::configuration(format!("cannot hand over certificates: {error}")))?;
            files.push(file);
            Ok::<PathBuf, SourceError>(path)
        };
        let mut tls = match (&self.options.tls, &options.tls) {
            (None, Some(TlsMode::Enabled(tls))) => tls.clone(),
            (None, _) => return Ok(files),
            (Some(own), _) => {
                let mut tls = FileOptions::default();
                if let Some(pair) = own.pair()? {
                    tls.cert_key_file_path = Some(in_memory(pair.expose())?);
                }
                tls
            }
        };
        if tls.ca_file_path.is_none() {
            let trusted = self.tls.trusted_certificates().into_iter();
            let mut roots: String = trusted.map(|certificate| pem("CERTIFICATE", &certificate)).collect();
            if let Some(ca) = self.options.tls.as_ref().and_then(|own| own.ca.as_ref()) {
                roots.push_str(ca.expose());
            }
            tls.ca_file_path = Some(in_memory(&roots)?);
        }
        options.tls = Some(TlsMode::Enabled(tls));
        Ok(files)
    }
}

/// A connection string without what Go's client passes over too, and without how to compress: the client refuses it.
fn understood(uri: &str) -> String {
    let Some((place, options)) = uri.split_once('?') else { return uri.to_string() };
    let is_known = |option: &&str| {
        let name = option.split('=').next().unwrap_or_default().to_lowercase();
        KNOWN.contains(&name.as_str())
    };
    let options: Vec<&str> = options.split(['&', ';']).filter(is_known).collect();
    format!("{place}?{}", options.join("&"))
}

fn late() -> SourceError {
    SourceError::new(ErrorKind::Unreachable, "no answer in time")
}

/// A file that nobody else sees, and the path at which this process does.
#[cfg(target_os = "linux")]
fn file_in_memory(text: &str) -> io::Result<(File, PathBuf)> {
    use std::os::fd::AsRawFd;

    let memory = rustix::fs::memfd_create("certificates", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(text.as_bytes())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    Ok((file, path))
}

#[cfg(not(target_os = "linux"))]
fn file_in_memory(_: &str) -> io::Result<(File, PathBuf)> {
    Err(io::Error::other("this system has no files in memory"))
}

/// Reads a filter in extended JSON.
///
/// # Errors
/// [`ErrorKind::Configuration`] for what is no document, and for an empty one.
pub fn filter(text: &str) -> Result<Document, SourceError> {
    let wrong = |why: &str| SourceError::configuration(format!("failed to parse query: {why}"));
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    match Bson::try_from(json) {
        Ok(Bson::Document(document)) if document.is_empty() => Err(wrong("empty bson document")),
        Ok(Bson::Document(document)) => Ok(document),
        Ok(_) => Err(wrong("it is not an object")),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

fn explain(error: &Error) -> SourceError {
    let (kind, message) = match &*error.kind {
        Failure::Command(refusal) => (kind_of(refusal.code), format!("{} ({})", refusal.message, refusal.code_name)),
        Failure::Authentication { message, .. } => (ErrorKind::Denied, message.clone()),
        kind @ (Failure::InvalidArgument { .. }
        | Failure::InvalidTlsConfig { .. }
        | Failure::IncompatibleServer { .. }) => (ErrorKind::Configuration, kind.to_string()),
        Failure::InvalidResponse { .. } | Failure::BsonDeserialization(_) => {
            (ErrorKind::Malformed, "the server does not answer as a MongoDB does".to_string())
        }
        kind => (ErrorKind::Unreachable, kind.to_string()),
    };
    SourceError::new(kind, message)
}

/// What an error of the server means, by its number.
fn kind_of(code: i32) -> ErrorKind {
    match code {
        11 | 13 | 18 | 31 | 8000 => ErrorKind::Denied,
        6 | 7 | 50 | 63 | 89 | 91 | 133 | 189 | 202 | 262 | 9001 | 10107 | 11600 | 11602 | 13388 | 13435 | 13436 => {
            ErrorKind::Unreachable
        }
        _ => ErrorKind::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, doc};

    use super::*;

    #[test]
    fn what_a_connection_string_says_in_vain_is_passed_over() {
        let uri = "mongodb://u:p@h/?replicaSet=rs0&compressors=zstd,zlib&zlibCompressionLevel=6;x=y&&tls=true&";
        assert_eq!(understood(uri), "mongodb://u:p@h/?replicaSet=rs0&tls=true");
        assert_eq!(understood("mongodb://u:p@h/d"), "mongodb://u:p@h/d");
        assert_eq!(understood("mongodb://h/?tlsPrivateKeyFile=f"), "mongodb://h/?tlsPrivateKeyFile=f");
    }

    #[test]
    fn a_filter_is_extended_json() {
        let text = r#"{"at":{"$lt":{"$date":{"$numberLong":"1735689600000"}}},"n":{"$gte":3}}"#;
        let date = DateTime::from_millis(1_735_689_600_000);
        assert_eq!(filter(text).unwrap(), doc! {"at": {"$lt": date}, "n": {"$gte": 3}});
        for (wrong, why) in [("{}", "empty bson document"), ("{", ""), ("[]", "it is not an object")] {
            let message = filter(wrong).unwrap_err().message;
            assert!(message.starts_with("failed to parse query: ") && message.contains(why), "{message}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_in_memory_can_be_read_while_they_are_held() {
        let (file, path) = file_in_memory("text").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        drop(file);
    }
}
