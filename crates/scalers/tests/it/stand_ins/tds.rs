//! What a SQL Server says, as far as logins and single values go; there is none to install.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Password of the user `sa`.
pub const PASSWORD: &str = "Password#1";

/// Kinds of packets.
const BATCH: u8 = 1;
const ANSWER: u8 = 4;
const LOGIN: u8 = 16;
const PRELOGIN: u8 = 18;

pub struct SqlServer {
    pub port: u16,
    /// Connections that were ever made.
    pub connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl SqlServer {
    /// Starts it on a port.
    pub async fn start(port: u16) -> Self {
        let listener = super::listen(port).await;
        let connections = Arc::new(AtomicUsize::new(0));
        let made = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                made.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream));
            }
        });
        SqlServer { port, connections, task }
    }

    /// Ends it, and all its connections.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    loop {
        let (kind, body) = read(&mut stream).await?;
        let answer = match kind {
            PRELOGIN => prelogin(),
            LOGIN if contains(&body, &obfuscated(PASSWORD)) => [login(), done()].concat(),
            LOGIN => [error(18456, "Login failed for user 'sa'."), done()].concat(),
            BATCH => batch(&body),
            _ => return None,
        };
        write(&mut stream, &answer).await?;
    }
}

/// A message, of one packet or more.
async fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut body = Vec::new();
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.ok()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut packet = vec![0; length - 8];
        stream.read_exact(&mut packet).await.ok()?;
        body.extend(packet);
        if header[1] & 1 == 1 {
            return Some((header[0], body));
        }
    }
}

async fn write(stream: &mut TcpStream, body: &[u8]) -> Option<()> {
    let length = u16::try_from(body.len() + 8).expect("a short answer").to_be_bytes();
    let header = [ANSWER, 1, length[0], length[1], 0, 0, 1, 0];
    stream.write_all(&[&header, body].concat()).await.ok()
}

/// Nothing is encrypted.
fn prelogin() -> Vec<u8> {
    let options = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff];
    let (version, encryption) = ([15, 0, 0, 0, 0, 0], [2]);
    [options.as_slice(), &version, &encryption].concat()
}

fn login() -> Vec<u8> {
    let mut token = vec![1, 0x74, 0, 0, 4, 3];
    token.extend(utf16("srv"));
    token.extend([15, 0, 0, 0]);
    sized(0xad, &token)
}

fn done() -> Vec<u8> {
    [&[0xfd][..], &[0; 12]].concat()
}

fn error(number: i32, message: &str) -> Vec<u8> {
    let mut token = number.to_le_bytes().to_vec();
    token.extend([1, 14]);
    token.extend(u16::try_from(message.len()).expect("a short message").to_le_bytes());
    token.extend(utf16(message));
    token.extend([0, 0, 1, 0, 0, 0]);
    sized(0xaa, &token)
}

/// The answer to a query, by what stands in it.
fn batch(body: &[u8]) -> Vec<u8> {
    let headers = u32::from_le_bytes([body[0], body[1], body[2], body[3]]);
    let text: Vec<u16> =
        body[headers as usize..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let result = match String::from_utf16(&text).expect("UTF-16").as_str() {
        "SELECT 7" => rows(&[INTEGER], &[&integer(7)]),
        "SELECT 7, 8" => rows(&[INTEGER, INTEGER], &[&[integer(7), integer(8)].concat()]),
        "SELECT 3 UNION 4" => rows(&[INTEGER], &[&integer(3), &integer(4)]),
        "SELECT 2.50" => rows(&[NUMERIC], &[&[5, 1, 250, 0, 0, 0]]),
        "SELECT '12.75'" => rows(&[TEXT], &[&text_value("12.75")]),
        "SELECT 'many'" => rows(&[TEXT], &[&text_value("many")]),
        "SELECT 1.5" => rows(&[FLOAT], &[&[&[8][..], &1.5_f64.to_le_bytes()].concat()]),
        "SELECT NULL" => rows(&[INTEGER], &[&[0]]),
        "SELECT bit" => rows(&[BIT], &[&[1, 1]]),
        "SELECT nothing" => rows(&[INTEGER], &[]),
        "SELECT late" => [rows(&[INTEGER], &[&integer(7)]), error(8134, "Divide by zero error encountered.")].concat(),
        "SELECT secret" => error(229, "The SELECT permission was denied."),
        _ => error(208, "Invalid object name 'nowhere'."),
    };
    [result, done()].concat()
}

const INTEGER: &[u8] = &[0x26, 8];
const BIT: &[u8] = &[0x68, 1];
const FLOAT: &[u8] = &[0x6d, 8];
const NUMERIC: &[u8] = &[0x6c, 5, 9, 2];
const TEXT: &[u8] = &[0xe7, 100, 0, 9, 4, 0xd0, 0, 0x34];

fn rows(types: &[&[u8]], values: &[&[u8]]) -> Vec<u8> {
    let mut tokens = vec![0x81, u8::try_from(types.len()).expect("few columns"), 0];
    for kind in types {
        // It may be null, and has no name.
        tokens.extend([0, 0, 0, 0, 1, 0]);
        tokens.extend_from_slice(kind);
        tokens.push(0);
    }
    for value in values {
        tokens.push(0xd1);
        tokens.extend_from_slice(value);
    }
    tokens
}

fn integer(value: i64) -> Vec<u8> {
    [&[8][..], &value.to_le_bytes()].concat()
}

fn text_value(text: &str) -> Vec<u8> {
    [&[u8::try_from(2 * text.len()).expect("a short text"), 0][..], &utf16(text)].concat()
}

fn sized(token: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short token").to_le_bytes();
    [&[token][..], &length, body].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// How passwords stand in logins.
fn obfuscated(password: &str) -> Vec<u8> {
    utf16(password).into_iter().map(|byte| byte.rotate_left(4) ^ 0xa5).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
