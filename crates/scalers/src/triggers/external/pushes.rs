//! What the server says by itself: whether there is work, and its metrics.
//!
//! A stream that ends or breaks is opened again after a pause that grows from two seconds to a minute.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use prost::Message;
use tonic::{Code, Streaming};

use super::Server;
use super::messages::{GetMetricSpecResponse, IsActiveResponse, STREAM_IS_ACTIVE, STREAM_METRIC_SPEC};
use crate::client::grpc::explain;
use crate::trigger::Push;

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// Everything that the server says, until this is dropped.
pub(super) fn listen(server: &Arc<Server>) -> BoxStream<'static, Push> {
    let activity =
        messages(server, STREAM_IS_ACTIVE, false).map(|answer: IsActiveResponse| Push::Active(answer.result));
    let specs = messages(server, STREAM_METRIC_SPEC, true)
        .map(|answer: GetMetricSpecResponse| Push::Specs(answer.into_specs()));
    stream::select(activity, specs).boxed()
}

/// The messages of one method, over all its streams. An optional method that the server does not have has none.
fn messages<A>(server: &Arc<Server>, path: &'static str, optional: bool) -> impl Stream<Item = A> + use<A>
where
    A: Message + Default + 'static,
{
    let line = Line { server: Arc::clone(server), path, optional, open: None, heard: false, pause: FIRST };
    stream::unfold(line, |mut line| async move { line.next().await.map(|message| (message, line)) })
}

struct Line<A> {
    server: Arc<Server>,
    path: &'static str,
    optional: bool,
    open: Option<Streaming<A>>,
    /// Whether the open stream has said something.
    heard: bool,
    pause: Duration,
}

impl<A: Message + Default + 'static> Line<A> {
    async fn next(&mut self) -> Option<A> {
        loop {
            let outcome = match self.open.as_mut() {
                Some(open) => open.message().await,
                None => match self.server.client.stream(self.path, self.server.reference.clone()).await {
                    Ok(open) => {
                        (self.open, self.heard) = (Some(open), false);
                        continue;
                    }
                    Err(status) => Err(status),
                },
            };
            match outcome {
                Ok(Some(message)) => {
                    self.heard = true;
                    return Some(message);
                }
                Ok(None) => self.pause = FIRST,
                Err(status) if self.optional && status.code() == Code::Unimplemented => return None,
                Err(status) => {
                    if self.optional && self.heard {
                        self.pause = FIRST;
                    }
                    let (error, pause) = (explain(&status), self.pause.as_secs());
                    tracing::warn!(method = self.path, %error, pause, "a stream of an external scaler broke");
                }
            }
            self.open = None;
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST);
        }
    }
}
