//! Where a running `keda up` keeps its state, and the local socket on which it answers questions.

use std::path::{Path, PathBuf};

use anyhow::Context;
use keda_core::engine::View;
use keda_core::names::stable_hash;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::cli::Instance;
use crate::settings::Settings;

/// The longest path that a local socket can have, with room to spare.
const SOCKET_PATH: usize = 100;

/// What a running instance can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// Namespace; all when absent.
    pub(crate) namespace: Option<String>,
    /// Name; all when absent.
    pub(crate) name: Option<String>,
}

/// What it answers of one object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// The ScaledObject with its status, as a manifest.
    pub(crate) object: serde_json::Value,
    /// What the engine knows.
    pub(crate) view: View,
    /// Age of the object in seconds.
    pub(crate) age_seconds: i64,
    /// Replicas that exist, ready and wanted.
    pub(crate) replicas: Replicas,
    /// The last decision on replicas between minimum and maximum.
    pub(crate) autoscaler: Option<String>,
    /// The last changes of the replicas, latest first, whoever made them.
    pub(crate) changes: Vec<Change>,
}

/// The replicas of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replicas {
    pub(crate) running: u32,
    pub(crate) ready: u32,
    pub(crate) wanted: u32,
}

/// A change of the replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) at: jiff::Timestamp,
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) reason: String,
}

/// The state folder that the command line means.
pub(crate) fn state_directory(instance: &Instance, settings: &Settings) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &instance.state_dir {
        return std::path::absolute(folder).context("cannot tell the current folder");
    }
    if let Some(project) = &instance.project {
        anyhow::ensure!(
            !project.is_empty() && !project.contains('/') && !project.starts_with('.'),
            "{project:?} cannot be the name of a project: it must be usable as a folder name"
        );
        return Ok(settings.state_home.join(project));
    }
    let folder = std::env::current_dir().context("cannot tell the current folder")?;
    // Two folders of the same name must not take each other's workers for their own.
    let hash = stable_hash(&folder.to_string_lossy());
    let name = folder.file_name().map_or_else(|| "root".to_string(), |name| name.to_string_lossy().into_owned());
    Ok(settings.state_home.join(format!("{name}-{:08x}", hash & 0xffff_ffff)))
}

/// The socket of a state folder; elsewhere when the folder's path is too long for one.
fn socket_path(state_directory: &Path) -> PathBuf {
    let path = state_directory.join("socket");
    if path.as_os_str().len() <= SOCKET_PATH {
        return path;
    }
    std::env::temp_dir().join(format!("keda-{:016x}.socket", stable_hash(&path.to_string_lossy())))
}

/// A question that waits for its answer.
pub(crate) type Asked = (Question, oneshot::Sender<Vec<Answer>>);

/// Serves questions until the returned guard is dropped, which removes the socket.
pub(crate) fn serve(state_directory: &Path) -> anyhow::Result<(mpsc::Receiver<Asked>, Guard)> {
    let path = socket_path(state_directory);
    // The state folder's lock is held, so a socket that is there is left over.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &sender).await {
                    tracing::debug!(%error, "a question on the local socket was not answered");
                }
            });
        }
    });
    Ok((receiver, Guard(path)))
}

/// Removes the socket at the end.
#[derive(Debug)]
pub(crate) struct Guard(PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn answer(stream: UnixStream, sender: &mpsc::Sender<Asked>) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader).take(64 << 10).read_line(&mut line).await?;
    let question: Question = serde_json::from_str(&line)?;
    let (reply, answers) = oneshot::channel();
    sender.send((question, reply)).await?;
    writer.write_all(&serde_json::to_vec(&answers.await?)?).await?;
    Ok(())
}

/// Asks a running instance.
pub(crate) async fn ask(state_directory: &Path, question: &Question) -> anyhow::Result<Vec<Answer>> {
    let path = socket_path(state_directory);
    let mut stream = UnixStream::connect(&path).await.map_err(|error| {
        anyhow::anyhow!(
            "no `keda up` is running with the state folder {} ({error}); give its --project or --state-dir",
            state_directory.display()
        )
    })?;
    stream.write_all(format!("{}\n", serde_json::to_string(question)?).as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    serde_json::from_slice(&answer).context("the running `keda up` gave an answer that cannot be read")
}

/// An age as kubectl writes it: `45s`, `12m`, `3h10m`, `5d`.
pub(crate) fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..120 => format!("{}s", seconds.max(0)),
        120..600 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        172_800..691_200 if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        for (seconds, text) in
            [(5, "5s"), (119, "119s"), (125, "2m5s"), (600, "10m"), (11_400, "3h10m"), (90_000, "25h")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
