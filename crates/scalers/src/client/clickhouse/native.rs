//! ClickHouse's own protocol, as far as one query without data of its own needs it.
//!
//! The revision that we claim is an old one that every server still speaks, so that of the many additions to the
//! protocol none is sent. Settings are set by queries of their own.

use keda_core::sample::{ErrorKind, SourceError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::value::{Kind, Number, first_number};
use crate::client::stream::{Stream, transport};
use crate::client::turns::Failure;
use crate::format::sql_number;

/// The revision of the protocol that we claim: the last one without a key of quotas.
const REVISION: u64 = 54_058;

/// The longest text that is read.
pub(super) const MAXIMUM_TEXT: usize = 16 << 20;

/// What the server sends.
mod packet {
    pub(super) const HELLO: u64 = 0;
    pub(super) const DATA: u64 = 1;
    pub(super) const EXCEPTION: u64 = 2;
    pub(super) const PROGRESS: u64 = 3;
    pub(super) const PONG: u64 = 4;
    pub(super) const END: u64 = 5;
    pub(super) const PROFILE: u64 = 6;
    pub(super) const TOTALS: u64 = 7;
    pub(super) const EXTREMES: u64 = 8;
}

/// Who logs in where.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) database: &'a str,
}

/// What a query gave.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// No row.
    Nothing,
    /// The one column of the first row.
    One(Number),
}

pub(super) fn malformed(message: &str) -> SourceError {
    SourceError::malformed(message)
}

/// Logs in.
pub(super) async fn hello(stream: &mut dyn Stream, login: &Login<'_>) -> Result<(), Failure> {
    let mut message = Vec::new();
    number(&mut message, 0);
    text(&mut message, "keda");
    number(&mut message, 1);
    number(&mut message, 0);
    number(&mut message, REVISION);
    for part in [login.database, login.user, login.password] {
        text(&mut message, part);
    }
    send(stream, &message).await?;
    match read_number(stream).await? {
        packet::HELLO => {}
        packet::EXCEPTION => return Err(Failure::Refused(exception(stream).await?)),
        _ => return Err(malformed("the server does not answer as a ClickHouse does").into()),
    }
    read_string(stream).await?;
    let (_major, _minor) = (read_number(stream).await?, read_number(stream).await?);
    if read_number(stream).await? >= REVISION {
        // The time zone.
        read_string(stream).await?;
    }
    Ok(())
}

/// Asks a query and reads its whole answer.
pub(super) async fn query(stream: &mut dyn Stream, query: &str) -> Result<Answer, Failure> {
    send(stream, &question(query)).await?;
    let mut answer = Answer::Nothing;
    loop {
        match read_number(stream).await? {
            packet::DATA => {
                let read = block(stream, matches!(answer, Answer::Nothing)).await?;
                if let Answer::Nothing = answer {
                    answer = read;
                }
            }
            packet::TOTALS | packet::EXTREMES => {
                block(stream, false).await?;
            }
            packet::PROGRESS => {
                for _ in 0..3 {
                    read_number(stream).await?;
                }
            }
            packet::PROFILE => profile(stream).await?,
            packet::PONG => {}
            packet::END => return Ok(answer),
            packet::EXCEPTION => return Err(Failure::Refused(exception(stream).await?)),
            _ => return Err(malformed("the answer has a part that is not known").into()),
        }
    }
}

/// The message that asks a query, and says that it has no data of its own.
fn question(query: &str) -> Vec<u8> {
    let mut message = Vec::new();
    number(&mut message, 1);
    text(&mut message, "");
    // Who asks: a query of a user, which came over TCP.
    message.push(1);
    text(&mut message, "");
    text(&mut message, "");
    text(&mut message, "0.0.0.0:0");
    message.push(1);
    text(&mut message, "");
    text(&mut message, "");
    text(&mut message, "keda");
    number(&mut message, 1);
    number(&mut message, 0);
    number(&mut message, REVISION);
    // No settings; the whole answer is wanted, and not compressed.
    text(&mut message, "");
    number(&mut message, 2);
    number(&mut message, 0);
    text(&mut message, query);
    // A block without columns and rows.
    number(&mut message, 2);
    text(&mut message, "");
    message.extend([1, 0, 2]);
    message.extend((-1_i32).to_le_bytes());
    message.extend([0, 0, 0]);
    message
}

/// Reads a block of data; what it gives matters only where it `counts`.
async fn block(mut stream: &mut dyn Stream, counts: bool) -> Result<Answer, Failure> {
    read_string(stream).await?;
    loop {
        match read_number(stream).await? {
            0 => break,
            1 => drop(read_byte(stream).await?),
            2 => {
                stream.read_i32_le().await.map_err(transport)?;
            }
            _ => return Err(malformed("a block of the answer is not as it should be").into()),
        }
    }
    let (columns, rows) = (read_number(stream).await?, read_number(stream).await?);
    if columns > 1 {
        return Err(malformed(&sql_number::too_many(columns)).into());
    }
    if columns == 0 {
        return Ok(Answer::Nothing);
    }
    read_string(stream).await?;
    let name = read_string(stream).await?;
    if rows == 0 {
        return Ok(Answer::Nothing);
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    match Kind::parse(&name) {
        Some(kind) => Ok(Answer::One(first_number(&mut stream, &kind, rows).await?)),
        None if counts => Err(malformed(&format!("a value of the type {name} is not a number")).into()),
        None => Err(malformed("the answer has more than numbers in it").into()),
    }
}

async fn profile(stream: &mut dyn Stream) -> Result<(), SourceError> {
    for _ in 0..3 {
        read_number(stream).await?;
    }
    read_byte(stream).await?;
    read_number(stream).await?;
    read_byte(stream).await?;
    Ok(())
}

/// Reads what the server refused.
async fn exception(stream: &mut dyn Stream) -> Result<SourceError, SourceError> {
    let mut outermost = None;
    loop {
        let code = stream.read_i32_le().await.map_err(transport)?;
        let _name = read_string(stream).await?;
        let message = read_string(stream).await?;
        let _stack = read_string(stream).await?;
        let message = String::from_utf8_lossy(&message).into_owned();
        outermost.get_or_insert_with(|| refusal(code, &message));
        if read_byte(stream).await? == 0 {
            return outermost.ok_or_else(|| malformed("the answer is not as it should be"));
        }
    }
}

/// What a code of the server means.
pub(super) fn refusal(code: i32, message: &str) -> SourceError {
    let kind = match code {
        192..=195 | 291 | 497 | 516 => ErrorKind::Denied,
        201 | 202 => ErrorKind::Throttled,
        159 | 160 | 209 | 210 | 236 | 241 | 242 | 243 | 279 | 394 | 425 | 999 => ErrorKind::Unreachable,
        _ => ErrorKind::Configuration,
    };
    let first = message.lines().next().unwrap_or_default();
    let shown: String = first.chars().take(300).collect();
    SourceError::new(kind, format!("code {code}: {shown}"))
}

async fn send(stream: &mut dyn Stream, message: &[u8]) -> Result<(), SourceError> {
    stream.write_all(message).await.map_err(transport)?;
    stream.flush().await.map_err(transport)
}

/// Seven bits in each byte, the lowest ones first; the highest bit says that there are more.
fn number(message: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest >= 0x80 {
        message.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    message.push(u8::try_from(rest).unwrap_or_default());
}

fn text(message: &mut Vec<u8>, text: &str) {
    number(message, u64::try_from(text.len()).unwrap_or(u64::MAX));
    message.extend_from_slice(text.as_bytes());
}

async fn read_byte<R: AsyncRead + Unpin + ?Sized>(input: &mut R) -> Result<u8, SourceError> {
    input.read_u8().await.map_err(transport)
}

async fn read_number<R: AsyncRead + Unpin + ?Sized>(input: &mut R) -> Result<u64, SourceError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = read_byte(input).await?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(malformed("a number of the answer is too long"))
}

/// A text with its length before it.
pub(super) async fn read_string<R: AsyncRead + Unpin + ?Sized>(input: &mut R) -> Result<Vec<u8>, SourceError> {
    let length = usize::try_from(read_number(input).await?).unwrap_or(usize::MAX);
    if length > MAXIMUM_TEXT {
        return Err(malformed("a text of the answer is too long"));
    }
    let mut text = Vec::new();
    // What is claimed is not what is there: memory is taken as bytes come.
    let read = input.take(u64::try_from(length).unwrap_or(u64::MAX)).read_to_end(&mut text).await.map_err(transport)?;
    if read < length {
        return Err(SourceError::new(ErrorKind::Unreachable, "the server closed the connection"));
    }
    Ok(text)
}
