//! WebSocket (RFC 6455), as far as a client needs it.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keda_core::sample::{ErrorKind, SourceError};
use reqwest::header::HeaderValue;
use reqwest::{Client, Upgraded, Url, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http;

/// The largest message that is read, in bytes.
const MAXIMUM_MESSAGE: usize = 16 << 20;

/// What the server's proof that it has read the key is made with.
const PROOF: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A connection.
pub struct WebSocket {
    stream: Upgraded,
    /// Read, and not looked at yet.
    buffer: Vec<u8>,
    /// The frames of a message that has not ended, and the kind of the first of them.
    message: Vec<u8>,
    kind: u8,
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocket")
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text; what is not UTF-8 is replaced.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl WebSocket {
    /// Connects to an address of `https:` or `http:`.
    ///
    /// # Errors
    /// As for [`http::upgrade`].
    pub async fn connect(client: &Client, url: Url, timeout: Duration) -> Result<Self, SourceError> {
        let mut nonce = [0; 16];
        fill(&mut nonce)?;
        let key = STANDARD.encode(nonce);
        let request = client
            .get(url)
            .version(Version::HTTP_11)
            .timeout(timeout)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", &key);
        let (headers, stream) = http::upgrade(request).await?;
        let proof = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{PROOF}").as_bytes());
        let given = headers.get("Sec-WebSocket-Accept").map(HeaderValue::as_bytes);
        if given != Some(STANDARD.encode(proof).as_bytes()) {
            return Err(SourceError::malformed("the server does not speak WebSocket"));
        }
        Ok(WebSocket { stream, buffer: Vec::new(), message: Vec::new(), kind: TEXT })
    }

    /// Sends a text.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when the connection is broken.
    pub async fn send(&mut self, text: &str) -> Result<(), SourceError> {
        self.write(TEXT, text.as_bytes()).await
    }

    /// The next message; `None` at the end. Whoever no longer waits for it loses nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when the connection is broken, [`ErrorKind::Malformed`] for what is no WebSocket.
    pub async fn next(&mut self) -> Result<Option<Message>, SourceError> {
        loop {
            let Some((frame, used)) = Frame::read(&self.buffer)? else {
                self.buffer.reserve(4096);
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) => return Ok(None),
                    Ok(_) => continue,
                    Err(error) => return Err(broken(&error)),
                }
            };
            self.buffer.drain(..used);
            match frame.kind {
                CLOSE => return Ok(None),
                PING => self.write(PONG, &frame.payload).await?,
                PONG => {}
                kind => {
                    if kind != CONTINUATION {
                        self.kind = kind;
                    }
                    if self.message.len() + frame.payload.len() > MAXIMUM_MESSAGE {
                        return Err(too_long());
                    }
                    self.message.extend(frame.payload);
                    if frame.is_last {
                        return Ok(Some(self.take_message()));
                    }
                }
            }
        }
    }

    fn take_message(&mut self) -> Message {
        let message = std::mem::take(&mut self.message);
        if self.kind == TEXT {
            Message::Text(String::from_utf8_lossy(&message).into_owned())
        } else {
            Message::Binary(message)
        }
    }

    async fn write(&mut self, kind: u8, payload: &[u8]) -> Result<(), SourceError> {
        let mut mask = [0; 4];
        fill(&mut mask)?;
        let frame = masked(kind, payload, mask);
        self.stream.write_all(&frame).await.map_err(|error| broken(&error))?;
        self.stream.flush().await.map_err(|error| broken(&error))
    }
}

/// A frame of a client: last of its message, and masked.
fn masked(kind: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x80 | kind];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend(u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame of a server.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    is_last: bool,
    payload: Vec<u8>,
}

impl Frame {
    /// The first frame in `bytes`, and how long it is; `None` while it is not whole.
    fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, SourceError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        if second & 0x80 != 0 {
            return Err(SourceError::malformed("the server masks its frames, which only clients do"));
        }
        let (length, rest) = match second {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (u64::from(length), rest),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= MAXIMUM_MESSAGE).ok_or_else(too_long)?;
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = Frame { kind: first & 0x0f, is_last: first & 0x80 != 0, payload: payload.to_vec() };
        Ok(Some((frame, bytes.len() - rest.len() + length)))
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), SourceError> {
    rand::fill(bytes).map_err(|_| SourceError::new(ErrorKind::Unreachable, "the system gives no random numbers"))
}

fn broken(error: &std::io::Error) -> SourceError {
    SourceError::new(ErrorKind::Unreachable, format!("the connection broke: {error}"))
}

fn too_long() -> SourceError {
    SourceError::malformed(format!("a message exceeds {MAXIMUM_MESSAGE} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_when_it_is_whole() {
        let hello = [0x81, 0x05, b'H', b'e', b'l', b'l', b'o', 0x8a];
        let frame = Frame { kind: TEXT, is_last: true, payload: b"Hello".to_vec() };
        assert_eq!(Frame::read(&hello), Ok(Some((frame, 7))));
        for part in 0..7 {
            assert_eq!(Frame::read(&hello[..part]), Ok(None));
        }
        let long = [&[0x02, 126, 1, 0][..], &[7; 256]].concat();
        let (frame, used) = Frame::read(&long).unwrap().unwrap();
        assert!((frame.kind, frame.is_last, frame.payload.len(), used) == (2, false, 256, 260));
        assert!(Frame::read(&[0x81, 0x85]).is_err(), "masked");
        assert!(Frame::read(&[&[0x82, 127][..], &[0xff; 8]].concat()).is_err(), "endless");
    }

    #[test]
    fn what_a_client_sends_is_masked() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(masked(TEXT, b"Hello", mask), hello, "as in the standard");
        assert_eq!(masked(TEXT, &[0; 126], mask)[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(masked(TEXT, &[0; 65536], mask)[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
