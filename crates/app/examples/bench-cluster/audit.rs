//! What an operator wrote, by the audit log of the API server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// The audit log.
pub(crate) struct Audit {
    log: PathBuf,
}

#[derive(Deserialize)]
struct Entry {
    verb: String,
    #[serde(rename = "objectRef", default)]
    object: Object,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    resource: String,
    subresource: String,
    api_group: String,
}

impl Audit {
    /// Prepares the log of what one user asks of the API server, and gives the arguments for the test bed.
    pub(crate) fn prepare(folder: &Path, user: &str) -> anyhow::Result<(Self, Vec<String>)> {
        let policy = folder.join("audit-policy.json");
        let log = folder.join("audit.log");
        let text = serde_json::json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted"],
            "rules": [{ "level": "Metadata", "users": [user] }, { "level": "None" }],
        });
        std::fs::write(&policy, text.to_string()).context("cannot write the audit policy")?;
        let arguments = [
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", log.display()),
            "--audit-log-mode=batch".to_string(),
            "--audit-log-batch-max-wait=500ms".to_string(),
            "--audit-log-maxsize=2000".to_string(),
        ];
        let arguments = arguments.iter().map(|argument| format!("--apiserver-arg={argument}")).collect();
        Ok((Audit { log }, arguments))
    }

    /// Where the log ends now.
    pub(crate) fn position(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |metadata| metadata.len())
    }

    /// Requests since a position, by verb and resource. Questions about users and permissions are left out: they are
    /// asked by POST, but nothing is written.
    pub(crate) fn since(&self, position: u64) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut file = File::open(&self.log).context("there is no audit log")?;
        file.seek(SeekFrom::Start(position))?;
        let mut counts = BTreeMap::new();
        for line in BufReader::new(file).lines() {
            let Ok(Entry { verb, object }) = serde_json::from_str(&line?) else { continue };
            if !matches!(&*object.api_group, "authentication.k8s.io" | "authorization.k8s.io") {
                let slash = if object.subresource.is_empty() { "" } else { "/" };
                let what = format!("{verb} {}{slash}{}", object.resource, object.subresource);
                *counts.entry(what).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

/// How many of the requests write.
pub(crate) fn writes(counts: &BTreeMap<String, usize>) -> usize {
    let writes = |what: &str| ["create", "update", "patch", "delete"].iter().any(|verb| what.starts_with(verb));
    counts.iter().filter(|(what, _)| writes(what)).map(|(_, count)| count).sum()
}
