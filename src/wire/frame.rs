//! Frames of the channel between relay and executor.
//!
//! ```text
//!   byte   0      kind: 1 control (JSON), 2 stdout, 3 stderr, 4 submission
//!   bytes  1..5   length of the payload, unsigned 32 bit, big endian, at most MAX_PAYLOAD
//!   then          payload; for kinds 2 to 4 its first 8 bytes are the run's number, big endian
//! ```

use thiserror::Error;

/// Largest payload of a frame: 8 MiB, enough for a program text of [`crate::wire::config::MAX_CODE_BYTES`] in which JSON
/// escapes every byte by six.
pub const MAX_PAYLOAD: usize = 8 * 1024 * 1024;
/// Largest piece of bulk data that a sender puts into one frame.
pub const CHUNK: usize = 256 * 1024;
const HEADER: usize = 5;

/// One frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// A control message, JSON.
    Control(Vec<u8>),
    /// Standard output of a run.
    Stdout(u64, Vec<u8>),
    /// Standard error of a run.
    Stderr(u64, Vec<u8>),
    /// Part of a run's submission.
    Submission(u64, Vec<u8>),
}

/// Why bytes are no frame. After such an error the connection cannot be used further.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// The kind is none of 1 to 4.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// The payload is too long.
    #[error("frame payload of {0} bytes is over the limit of {MAX_PAYLOAD}")]
    TooLong(usize),
    /// A bulk frame without a run's number.
    #[error("bulk frame of {0} bytes has no run number")]
    NoRun(usize),
}

impl Frame {
    /// Appends the encoded frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, run, bytes) = match self {
            Self::Control(bytes) => (1, None, bytes),
            Self::Stdout(run, bytes) => (2, Some(run), bytes),
            Self::Stderr(run, bytes) => (3, Some(run), bytes),
            Self::Submission(run, bytes) => (4, Some(run), bytes),
        };
        let length = bytes.len() + if run.is_some() { 8 } else { 0 };
        out.push(kind);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        if let Some(run) = run {
            out.extend_from_slice(&run.to_be_bytes());
        }
        out.extend_from_slice(bytes);
    }
}

/// Takes bytes as they arrive and gives whole frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Adds bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let pending = &self.buffer[self.start..];
        let Some((header, rest)) = pending.split_at_checked(HEADER) else {
            return Ok(None);
        };
        let kind = header[0];
        if !(1..=4).contains(&kind) {
            return Err(FrameError::UnknownKind(kind));
        }
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length > MAX_PAYLOAD {
            return Err(FrameError::TooLong(length));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = if kind == 1 {
            Frame::Control(payload.to_vec())
        } else {
            let (run, bytes) = payload
                .split_first_chunk::<8>()
                .ok_or(FrameError::NoRun(length))?;
            let (run, bytes) = (u64::from_be_bytes(*run), bytes.to_vec());
            match kind {
                2 => Frame::Stdout(run, bytes),
                3 => Frame::Stderr(run, bytes),
                _ => Frame::Submission(run, bytes),
            }
        };
        self.start += HEADER + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Frame> {
        vec![
            Frame::Control(br#"{"type":"started","run":1}"#.to_vec()),
            Frame::Stdout(1, b"hello\n".to_vec()),
            Frame::Stderr(u64::MAX, Vec::new()),
            Frame::Submission(7, vec![0xff; 300_000]),
        ]
    }

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let mut bytes = Vec::new();
        examples().iter().for_each(|frame| frame.encode(&mut bytes));
        for piece in [1, 3, 7, 4096, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for chunk in bytes.chunks(piece) {
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, examples(), "cut into pieces of {piece}");
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_payload_arrives() {
        let mut decoder = Decoder::default();
        decoder.push(&[1, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong(0xffff_ffff)));
    }

    #[test]
    fn an_unknown_kind_and_a_bulk_frame_without_run_are_refused() {
        let mut decoder = Decoder::default();
        decoder.push(&[9, 0, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(FrameError::UnknownKind(9)));
        let mut decoder = Decoder::default();
        decoder.push(&[2, 0, 0, 0, 1, 0]);
        assert_eq!(decoder.next_frame(), Err(FrameError::NoRun(1)));
    }
}
