//! A worker: takes a job, works on it, says that it is done, and takes the next, until SIGTERM.
//!
//! A job in its hands is finished first, which is what makes scaling down harmless.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::queue::Job;

/// How often an empty queue is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Works for the queue at the address, `http://HOST:PORT`.
pub(crate) async fn work(url: &str) -> anyhow::Result<ExitCode> {
    let host = url.strip_prefix("http://").context("the address of the queue does not start with http://")?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let pause = match post(host, "/take").await? {
            Some(body) => {
                let job: Job = serde_json::from_str(&body).context("the queue gave no job")?;
                tokio::time::sleep(Duration::from_millis(job.milliseconds)).await;
                post(host, &format!("/done/{}", job.id)).await?;
                Duration::ZERO
            }
            None => ASK_AGAIN,
        };
        tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// An HTTP request without a body; the body of the answer, if there is one.
async fn post(host: &str, path: &str) -> anyhow::Result<Option<String>> {
    let mut stream = TcpStream::connect(host).await.with_context(|| format!("the queue at {host} is gone"))?;
    let request = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the queue gave no HTTP answer")?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(Some(body.to_string())),
        Some("204") => Ok(None),
        _ => bail!("{path}: the queue answered {}", head.lines().next().unwrap_or_default()),
    }
}
