//! From the character positions of the YAML scanner to byte positions.

/// Characters between two remembered positions.
const STRIDE: usize = 64;

/// Byte offsets of the characters of a text; free for ASCII.
#[derive(Debug)]
pub(super) struct Offsets<'a> {
    text: &'a str,
    /// The byte offset of every 64th character; `None` when all characters are one byte long.
    anchors: Option<Vec<usize>>,
}

impl<'a> Offsets<'a> {
    /// Reads the text once.
    pub(super) fn new(text: &'a str) -> Self {
        let anchors =
            (!text.is_ascii()).then(|| text.char_indices().step_by(STRIDE).map(|(offset, _)| offset).collect());
        Offsets { text, anchors }
    }

    /// The byte offset of the character with this index; the text's length beyond its end.
    pub(super) fn byte(&self, index: usize) -> usize {
        let Some(anchors) = &self.anchors else {
            return index.min(self.text.len());
        };
        let Some(&start) = anchors.get(index / STRIDE) else {
            return self.text.len();
        };
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices().nth(index % STRIDE).map_or(self.text.len(), |(offset, _)| start + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_found() {
        let text = "aé😀b\n".repeat(100);
        let offsets = Offsets::new(&text);
        for (index, (offset, _)) in text.char_indices().enumerate() {
            assert_eq!(offsets.byte(index), offset);
        }
        assert_eq!(offsets.byte(10_000), text.len());
        assert_eq!(Offsets::new("abc").byte(9), 3);
    }
}
