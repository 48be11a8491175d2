//! The beginning and the end of a stream, whatever its length.

use std::collections::VecDeque;
use std::str;

use crate::wire::channel::{Captured, OutputCaps};

/// Keeps the beginning and the end of a stream in bounded memory.
#[derive(Debug)]
pub(super) struct Capture {
    caps: OutputCaps,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Capture {
    pub(super) fn new(caps: OutputCaps) -> Self {
        Self {
            caps,
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
        }
    }

    /// Takes the next bytes and gives how many of them, from their beginning, still belong into the log.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let for_log = self.caps.log.saturating_sub(self.total);
        self.total += bytes.len() as u64;
        let into_head = bytes.len().min(self.caps.head - self.head.len());
        let (first, rest) = bytes.split_at(into_head);
        self.head.extend_from_slice(first);
        let last = &rest[rest.len().saturating_sub(self.caps.tail)..];
        let too_many = (self.tail.len() + last.len()).saturating_sub(self.caps.tail);
        self.tail.drain(..too_many);
        self.tail.extend(last);
        usize::try_from(for_log).map_or(bytes.len(), |left| left.min(bytes.len()))
    }

    /// What was kept, as text: the cut is marked, and no character is cut in half at it.
    pub(super) fn finish(self) -> Captured {
        let tail: Vec<u8> = self.tail.into();
        let kept = (self.head.len() + tail.len()) as u64;
        if kept == self.total {
            let whole = [self.head, tail].concat();
            return Captured {
                text: lossy(&whole),
                total_bytes: self.total,
                truncated: false,
            };
        }
        let head = without_cut_end(&self.head);
        let tail = without_cut_start(&tail);
        let left_out = self.total - (head.len() + tail.len()) as u64;
        Captured {
            text: format!(
                "{}\n[… {left_out} bytes left out …]\n{}",
                lossy(head),
                lossy(tail)
            ),
            total_bytes: self.total,
            truncated: true,
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Without the first bytes of a character whose other bytes are missing.
fn without_cut_end(bytes: &[u8]) -> &[u8] {
    match str::from_utf8(bytes.get(bytes.len().saturating_sub(4)..).unwrap_or(bytes)) {
        Err(_) => {
            let back = (1..=3.min(bytes.len())).find(|back| {
                let byte = bytes[bytes.len() - back];
                let length = match byte {
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf7 => 4,
                    _ => 0,
                };
                length > *back
            });
            &bytes[..bytes.len() - back.unwrap_or(0)]
        }
        Ok(_) => bytes,
    }
}

/// Without the last bytes of a character whose first byte is missing.
fn without_cut_start(bytes: &[u8]) -> &[u8] {
    let skip = bytes
        .iter()
        .take(3)
        .take_while(|byte| (0x80..0xc0).contains(*byte))
        .count();
    &bytes[skip..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(head: usize, tail: usize, log: u64) -> OutputCaps {
        OutputCaps { head, tail, log }
    }

    fn captured(pieces: &[&[u8]], caps: OutputCaps) -> (Captured, usize) {
        let mut capture = Capture::new(caps);
        let logged = pieces.iter().map(|piece| capture.push(piece)).sum();
        (capture.finish(), logged)
    }

    #[test]
    fn what_fits_is_kept_as_it_is() {
        let (captured, logged) = captured(&[b"one ", b"two ", b"three"], caps(8, 8, 100));
        assert_eq!(
            (captured.text.as_str(), captured.truncated),
            ("one two three", false)
        );
        assert_eq!((captured.total_bytes, logged), (13, 13));
    }

    #[test]
    fn a_cut_says_how_much_is_left_out() {
        let (captured, logged) = captured(&[b"0123456789", b"0123456789"], caps(4, 3, 12));
        assert_eq!(captured.text, "0123\n[… 13 bytes left out …]\n789");
        assert!(captured.truncated);
        assert_eq!((captured.total_bytes, logged), (20, 12));
    }

    #[test]
    fn no_character_is_cut_in_half() {
        let text = "aäöü€😀".repeat(50);
        for head in 5..30 {
            for tail in 5..30 {
                let (captured, _) = captured(&[text.as_bytes()], caps(head, tail, 0));
                assert!(
                    !captured.text.contains('\u{fffd}'),
                    "{head} {tail}: {}",
                    captured.text
                );
                let left_out: u64 = captured.text.split(' ').nth(1).unwrap().parse().unwrap();
                let kept: usize = captured
                    .text
                    .split('\n')
                    .filter(|line| !line.starts_with('['))
                    .map(str::len)
                    .sum();
                assert_eq!(left_out + kept as u64, captured.total_bytes);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let (captured, _) = captured(&[b"a\xff\xfeb"], caps(10, 10, 0));
        assert_eq!(captured.text, "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn caps_of_zero_keep_nothing() {
        let (captured, logged) = captured(&[b"abc"], caps(0, 0, 0));
        assert_eq!(captured.text, "\n[… 3 bytes left out …]\n");
        assert_eq!(logged, 0);
    }

    #[test]
    fn one_byte_at_a_time_is_the_same_as_all_at_once() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let (at_once, _) = captured(&[&bytes], caps(64, 64, 0));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(captured(&single, caps(64, 64, 0)).0, at_once);
    }
}
