//! The native protocol of Cassandra, versions 3 and 4, as far as a login and one query need it.

use std::io;

use keda_core::sample::{ErrorKind, SourceError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::stream::{Stream, transport};
use crate::client::turns::Failure;

/// The longest frame that is read, in bytes.
const MAXIMUM_FRAME: usize = 16 << 20;

/// Rows that come at once, as Go's client has it.
const PAGE: i32 = 5000;

/// Kinds of frames.
mod opcode {
    pub(super) const ERROR: u8 = 0x00;
    pub(super) const STARTUP: u8 = 0x01;
    pub(super) const READY: u8 = 0x02;
    pub(super) const AUTHENTICATE: u8 = 0x03;
    pub(super) const QUERY: u8 = 0x07;
    pub(super) const RESULT: u8 = 0x08;
    pub(super) const AUTH_RESPONSE: u8 = 0x0f;
    pub(super) const AUTH_SUCCESS: u8 = 0x10;
}

/// Version of the protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version(pub(super) u8);

/// How many copies have to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consistency(u16);

impl Consistency {
    /// Reads its name, in any case of letters.
    pub fn parse(name: &str) -> Option<Self> {
        let code = match name.to_uppercase().as_str() {
            "ANY" => 0,
            "ONE" => 1,
            "TWO" => 2,
            "THREE" => 3,
            "QUORUM" => 4,
            "ALL" => 5,
            "LOCAL_QUORUM" => 6,
            "EACH_QUORUM" => 7,
            "LOCAL_ONE" => 10,
            _ => return None,
        };
        Some(Consistency(code))
    }
}

fn malformed() -> SourceError {
    SourceError::malformed("the server does not answer as a Cassandra does")
}

/// Logs in with user and password, where the server wants to know.
pub(super) async fn log_in(
    stream: &mut dyn Stream,
    version: Version,
    user: &str,
    password: &str,
) -> Result<(), Failure> {
    let mut startup = 1_u16.to_be_bytes().to_vec();
    string(&mut startup, "CQL_VERSION");
    string(&mut startup, "3.0.0");
    match ask(stream, version, opcode::STARTUP, &startup).await? {
        (opcode::READY, _) => return Ok(()),
        (opcode::AUTHENTICATE, _) => {}
        _ => return Err(malformed().into()),
    }
    let mut login = Vec::new();
    long_string(&mut login, format!("\0{user}\0{password}").as_bytes());
    match ask(stream, version, opcode::AUTH_RESPONSE, &login).await? {
        (opcode::AUTH_SUCCESS, _) => Ok(()),
        _ => Err(SourceError::configuration("the server wants another login than user and password").into()),
    }
}

/// What the first row of an answer holds: a whole number, or what is there in its place.
pub(super) type Number = Result<i64, String>;

/// What a page of an answer holds.
#[derive(Debug, PartialEq)]
enum Page {
    /// The first row, or that there is none.
    First(Number),
    /// No row, but the place of the next page.
    Next(Vec<u8>),
}

/// Asks a query and reads its answer up to the first row.
pub(super) async fn query(
    stream: &mut dyn Stream,
    version: Version,
    query: &str,
    consistency: Consistency,
) -> Result<Number, Failure> {
    let mut place: Option<Vec<u8>> = None;
    loop {
        let mut question = Vec::new();
        long_string(&mut question, query.as_bytes());
        question.extend(consistency.0.to_be_bytes());
        // The size of a page is given, and its place, but for the first.
        question.push(if place.is_some() { 0x0c } else { 0x04 });
        question.extend(PAGE.to_be_bytes());
        if let Some(place) = &place {
            long_string(&mut question, place);
        }
        match ask(stream, version, opcode::QUERY, &question).await? {
            (opcode::RESULT, body) => match page(&body).ok_or_else(malformed)? {
                Page::First(number) => return Ok(number),
                Page::Next(next) => place = Some(next),
            },
            _ => return Err(malformed().into()),
        }
    }
}

/// Sends a frame and reads the answer: its kind and body.
async fn ask(stream: &mut dyn Stream, version: Version, kind: u8, body: &[u8]) -> Result<(u8, Vec<u8>), Failure> {
    let length = u32::try_from(body.len()).map_err(|_| SourceError::configuration("the query is too long"))?;
    let header = [[version.0, 0, 0, 0].as_slice(), &[kind], &length.to_be_bytes()].concat();
    stream.write_all(&header).await.map_err(transport)?;
    stream.write_all(body).await.map_err(transport)?;
    stream.flush().await.map_err(transport)?;
    let mut header = [0; 5];
    stream.read_exact(&mut header).await.map_err(transport)?;
    let length = usize::try_from(stream.read_u32().await.map_err(transport)?).unwrap_or(usize::MAX);
    let [answered, flags, _, _, kind] = header;
    if answered & 0x80 == 0 || length > MAXIMUM_FRAME {
        return Err(malformed().into());
    }
    let mut body = Vec::new();
    let claimed = u64::try_from(length).unwrap_or(u64::MAX);
    let read = AsyncReadExt::take(&mut *stream, claimed).read_to_end(&mut body).await.map_err(transport)?;
    if read < length {
        return Err(transport(io::ErrorKind::UnexpectedEof.into()).into());
    }
    let body = without_extras(flags, &body).ok_or_else(malformed)?;
    if kind == opcode::ERROR {
        return Err(Failure::Refused(refusal(body).ok_or_else(malformed)?));
    }
    Ok((kind, body.to_vec()))
}

/// The body behind an id of a trace, warnings and a payload of the server's own.
fn without_extras(flags: u8, body: &[u8]) -> Option<&[u8]> {
    let mut body = Body(body);
    if flags & 0x02 != 0 {
        body.bytes(16)?;
    }
    if flags & 0x08 != 0 {
        for _ in 0..body.short()? {
            body.string()?;
        }
    }
    if flags & 0x04 != 0 {
        for _ in 0..body.short()? {
            body.string()?;
            body.value()?;
        }
    }
    Some(body.0)
}

/// What an error of the server means.
fn refusal(body: &[u8]) -> Option<SourceError> {
    let mut body = Body(body);
    let code = body.int()?;
    let message = body.string()?;
    let kind = match code {
        0x0100 | 0x2100 => ErrorKind::Denied,
        0x1001 => ErrorKind::Throttled,
        0x0000 | 0x1000..=0x1fff => ErrorKind::Unreachable,
        _ => ErrorKind::Configuration,
    };
    let shown: String = String::from_utf8_lossy(message).chars().take(300).collect();
    Some(SourceError::new(kind, format!("{shown} (error 0x{code:04x})")))
}

/// What an answer holds; `None` where it is not as it should be.
fn page(body: &[u8]) -> Option<Page> {
    let mut body = Body(body);
    if body.int()? != 2 {
        // The query was one without an answer.
        return Some(Page::First(Ok(0)));
    }
    let flags = body.int()?;
    let columns = body.int()?;
    let next = if flags & 0x02 != 0 { body.value()? } else { None };
    if flags & 0x01 != 0 {
        body.string()?;
        body.string()?;
    }
    if columns != 1 {
        let message = format!("not enough columns to scan into: have 1 want {columns}");
        return Some(Page::First(Err(message)));
    }
    if flags & 0x01 == 0 {
        body.string()?;
        body.string()?;
    }
    body.string()?;
    let kind = body.short()?;
    if !matches!(kind, 0x02 | 0x05 | 0x09 | 0x0e | 0x13 | 0x14) {
        return Some(Page::First(Err("the value is of a type that is not a whole number".to_string())));
    }
    let rows = body.int()?;
    match next {
        Some(next) if rows < 1 => return Some(Page::Next(next.to_vec())),
        None if rows < 1 => return Some(Page::First(Ok(0))),
        _ => {}
    }
    Some(Page::First(match body.value()? {
        None => Ok(0),
        Some(bytes) => integer(bytes),
    }))
}

/// A whole number whose highest byte comes first.
fn integer(bytes: &[u8]) -> Number {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filling = if negative { 0xff } else { 0 };
    // Of one with more bytes than fit, those in front must say nothing.
    let (front, back) = bytes.split_at(bytes.len().saturating_sub(8));
    let says_nothing = front.iter().all(|byte| *byte == filling);
    let mut number = [filling; 8];
    for (place, byte) in number.iter_mut().rev().zip(back.iter().rev()) {
        *place = *byte;
    }
    let number = i64::from_be_bytes(number);
    if says_nothing && (number < 0) == negative { Ok(number) } else { Err("the value is out of range".to_string()) }
}

/// What is left of the body of a frame.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn short(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn int(&mut self) -> Option<i32> {
        self.bytes(4)?.try_into().ok().map(i32::from_be_bytes)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.short()?);
        self.bytes(length)
    }

    /// A value; `Some(None)` where it is null.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match usize::try_from(self.int()?) {
            Ok(length) => self.bytes(length).map(Some),
            Err(_) => Some(None),
        }
    }
}

fn string(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn long_string(body: &mut Vec<u8>, text: &[u8]) {
    body.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with one column of a type.
    fn rows(kind: u16, values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = [2_i32, 1, 1].map(i32::to_be_bytes).concat();
        for name in ["ks", "t", "count"] {
            string(&mut body, name);
        }
        body.extend(kind.to_be_bytes());
        body.extend(i32::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            match value {
                Some(bytes) => long_string(&mut body, bytes),
                None => body.extend((-1_i32).to_be_bytes()),
            }
        }
        body
    }

    #[test]
    fn whole_numbers_of_every_size_are_read() {
        let number = |kind, bytes: &[u8]| match page(&rows(kind, &[Some(bytes), None])) {
            Some(Page::First(number)) => number,
            other => panic!("{other:?}"),
        };
        assert_eq!(number(0x02, &5_i64.to_be_bytes()), Ok(5));
        assert_eq!(number(0x09, &(-2_i32).to_be_bytes()), Ok(-2));
        assert_eq!(number(0x14, &[200]), Ok(-56));
        assert_eq!(number(0x0e, &[0, 200]), Ok(200));
        let too_large = [&[0][..], &[0xff; 8]].concat();
        assert_eq!(number(0x0e, &too_large), Err("the value is out of range".to_string()));
        assert_eq!(page(&rows(0x02, &[])), Some(Page::First(Ok(0))));
        assert_eq!(page(&rows(0x02, &[None])), Some(Page::First(Ok(0))));
        assert!(number(0x0d, b"5").unwrap_err().contains("not a whole number"));
        let whole = rows(0x02, &[Some(&[0; 8])]);
        assert!((0..whole.len()).all(|length| page(&whole[..length]).is_none()));
    }

    #[test]
    fn an_empty_page_may_have_another_behind_it() {
        let mut body = [2_i32, 3, 1].map(i32::to_be_bytes).concat();
        long_string(&mut body, b"place");
        for name in ["ks", "t", "count"] {
            string(&mut body, name);
        }
        body.extend([0, 2, 0, 0, 0, 0]);
        assert_eq!(page(&body), Some(Page::Next(b"place".to_vec())));
    }

    #[test]
    fn extras_stand_before_the_body() {
        let mut warned = 1_u16.to_be_bytes().to_vec();
        string(&mut warned, "Aggregation query used without partition key");
        warned.extend(b"body");
        assert_eq!(without_extras(0x08, &warned), Some(b"body".as_slice()));
        assert_eq!(without_extras(0, b"body"), Some(b"body".as_slice()));
        assert_eq!(without_extras(0x02, b"short"), None);
    }
}
