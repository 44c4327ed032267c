//! A connection to a broker, which answers questions in their order.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use keda_core::sample::{ErrorKind, SourceError};
use prost::bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::check;
use super::questions::Question;

/// The longest answer, in bytes.
const MAXIMUM_ANSWER: usize = 64 << 20;
/// Questions that wait to be sent.
const WAITING: usize = 256;

/// A stream of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection. It closes when this is dropped.
#[derive(Debug)]
pub struct Connection {
    outgoing: mpsc::Sender<Outgoing>,
    patience: Duration,
    /// The oldest and the newest version of each question that the broker knows.
    versions: HashMap<i16, (i16, i16)>,
}

/// A question, and who waits for the answer.
#[derive(Debug)]
struct Outgoing {
    question: Bytes,
    answer: oneshot::Sender<Result<Bytes, SourceError>>,
}

impl Connection {
    /// Uses a stream that is open, and asks the broker for its versions.
    pub(super) async fn start(stream: Box<dyn Stream>, patience: Duration) -> Result<Self, SourceError> {
        let (outgoing, incoming) = mpsc::channel(WAITING);
        tokio::spawn(drive(stream, incoming));
        let mut connection = Connection { outgoing, patience, versions: HashMap::new() };
        let answer = connection.ask_in(0, &ApiVersionsRequest::default()).await?;
        check(answer.error_code, || "ApiVersions".to_string())?;
        let versions = answer.api_keys.iter().map(|key| (key.api_key, (key.min_version, key.max_version)));
        connection.versions = versions.collect();
        Ok(connection)
    }

    /// Whether it is broken off.
    pub(super) fn is_closed(&self) -> bool {
        self.outgoing.is_closed()
    }

    /// Asks in the newest version that both know.
    pub(super) async fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, SourceError> {
        let known =
            self.versions.get(&Q::KEY).map(|(oldest, newest)| (*oldest.max(&Q::OLDEST), *newest.min(&Q::NEWEST)));
        match known.filter(|(oldest, newest)| oldest <= newest) {
            Some((_, newest)) => self.ask_in(newest, question).await,
            None => Err(SourceError::configuration(format!("the broker does not know {} as we do", Q::NAME))),
        }
    }

    async fn ask_in<Q: Question>(&self, version: i16, question: &Q) -> Result<Q::Answer, SourceError> {
        let unencodable = |error| SourceError::configuration(format!("{} cannot be written: {error}", Q::NAME));
        let mut bytes = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("keda")));
        header.encode(&mut bytes, Q::header_version(version)).map_err(unencodable)?;
        question.encode(&mut bytes, version).map_err(unencodable)?;
        let mut answer = tokio::time::timeout(self.patience, self.exchange(bytes.freeze()))
            .await
            .unwrap_or_else(|_| Err(SourceError::new(ErrorKind::Unreachable, "no answer in time")))?;
        let unreadable = |error| SourceError::malformed(format!("the answer to {} cannot be read: {error}", Q::NAME));
        ResponseHeader::decode(&mut answer, Q::Answer::header_version(version)).map_err(unreadable)?;
        Q::Answer::decode(&mut answer, version).map_err(unreadable)
    }

    async fn exchange(&self, question: Bytes) -> Result<Bytes, SourceError> {
        let (answer, answered) = oneshot::channel();
        let closed = || SourceError::new(ErrorKind::Unreachable, "the connection was closed");
        self.outgoing.send(Outgoing { question, answer }).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

/// Sends questions and hands out answers until either side hangs up.
async fn drive(stream: Box<dyn Stream>, mut incoming: mpsc::Receiver<Outgoing>) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut waiting = VecDeque::new();
    let mut buffer = BytesMut::new();
    let end = loop {
        tokio::select! {
            outgoing = incoming.recv() => {
                let Some(Outgoing { question, answer }) = outgoing else { return };
                waiting.push_back(answer);
                let mut frame = BytesMut::with_capacity(question.len() + 4);
                frame.put_u32(u32::try_from(question.len()).unwrap_or(u32::MAX));
                frame.put_slice(&question);
                // With TLS the end of a long question may still wait to be sent.
                if let Err(error) = send(&mut writer, &frame).await {
                    break SourceError::new(ErrorKind::Unreachable, error.to_string());
                }
            }
            answer = next_answer(&mut reader, &mut buffer) => match answer {
                Ok(bytes) => {
                    let Some(answer) = waiting.pop_front() else { return };
                    // Whoever asked may have given up.
                    let _: Result<_, _> = oneshot::Sender::send(answer, Ok(bytes));
                }
                Err(error) => break error,
            }
        }
    };
    incoming.close();
    for answer in waiting {
        let _: Result<_, _> = answer.send(Err(end.clone()));
    }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> std::io::Result<()> {
    writer.write_all(frame).await?;
    writer.flush().await
}

/// The next answer, without its length. What was read of it is kept where this is given up.
async fn next_answer(reader: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<Bytes, SourceError> {
    loop {
        if let Some(length) = buffer.first_chunk::<4>().map(|length| u32::from_be_bytes(*length)) {
            let length = usize::try_from(length).ok().filter(|length| *length <= MAXIMUM_ANSWER);
            let length =
                length.ok_or_else(|| SourceError::malformed("what answers is no broker, or the answer is too long"))?;
            if buffer.len() >= length + 4 {
                buffer.advance(4);
                return Ok(buffer.split_to(length).freeze());
            }
        }
        match reader.read_buf(buffer).await {
            Ok(0) => return Err(SourceError::new(ErrorKind::Unreachable, "the broker closed the connection")),
            Ok(_) => {}
            Err(error) => return Err(SourceError::new(ErrorKind::Unreachable, error.to_string())),
        }
    }
}
