//! Follows the log file of one worker and cuts it into lines.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The longest line; a longer one comes in pieces.
const LONGEST_LINE: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    /// Bytes of the line that has not ended yet.
    partial: Vec<u8>,
}

impl Tail {
    /// Starts at a byte offset of the file.
    pub(super) fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { file, partial: Vec::new() })
    }

    /// Hands over the lines of at most one piece of the file; `false` when there was nothing new.
    pub(super) fn read(&mut self, mut emit: impl FnMut(String)) -> io::Result<bool> {
        let mut buffer = [0; LONGEST_LINE];
        let length = self.file.read(&mut buffer)?;
        let Some(mut rest) = buffer.get(..length) else { return Ok(false) };
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.partial.extend_from_slice(line);
            self.emit_long(&mut emit);
            emit(self.take(self.partial.len()));
            rest = after.get(1..).unwrap_or_default();
        }
        self.partial.extend_from_slice(rest);
        self.emit_long(&mut emit);
        Ok(length > 0)
    }

    /// Hands over a last line that has no line end.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(String)) {
        if !self.partial.is_empty() {
            emit(self.take(self.partial.len()));
        }
    }

    fn emit_long(&mut self, emit: &mut impl FnMut(String)) {
        while self.partial.len() > LONGEST_LINE {
            emit(self.take(boundary(&self.partial, LONGEST_LINE)));
        }
    }

    fn take(&mut self, length: usize) -> String {
        let rest = self.partial.split_off(length.min(self.partial.len()));
        let mut line = std::mem::replace(&mut self.partial, rest);
        if self.partial.is_empty() {
            // An idle worker holds no buffer.
            self.partial = Vec::new();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8_lossy(&line).into_owned()
    }
}

/// The last place at or before `limit` that does not split a character.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let back = (0..4).find(|back| bytes.get(limit - back).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000));
    limit - back.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        while tail.read(|line| lines.push(line)).unwrap() {}
        lines
    }

    #[test]
    fn lines_come_whole_and_in_order() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"before\none\ntw").unwrap();
        let mut tail = Tail::open(file.path(), 7).unwrap();
        assert_eq!(lines(&mut tail), ["one"]);
        file.write_all(b"o\r\n\nthree\xff").unwrap();
        assert_eq!(lines(&mut tail), ["two", ""]);
        let mut last = Vec::new();
        tail.finish(|line| last.push(line));
        assert_eq!(last, ["three\u{fffd}"]);
    }

    #[test]
    fn a_long_line_comes_in_pieces_and_loses_nothing() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "é".repeat(20_000);
        writeln!(file, "x{text}\nshort").unwrap();
        let mut tail = Tail::open(file.path(), 0).unwrap();
        let lines = lines(&mut tail);
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE));
        let (last, pieces) = lines.split_last().unwrap();
        assert_eq!(pieces.concat(), format!("x{text}"));
        assert_eq!(last, "short");
    }
}
