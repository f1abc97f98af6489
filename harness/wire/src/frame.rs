//! Frames: `magic | length | crc32 | JSON`, integers little-endian.
//!
//! The port carries nothing else, so invalid data is a bug of one of the two ends and ends the
//! session. There is no resynchronisation.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

const MAGIC: [u8; 4] = *b"IFC1";
/// Maximum size of a payload in bytes, more than the kernel log of a case needs.
pub const MAX_PAYLOAD: usize = 8 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end closed the port between two frames.
    #[error("the other end closed the port")]
    Closed,
    /// The port itself failed, or closed within a frame.
    #[error("the port failed within a frame: {0}")]
    Io(#[from] io::Error),
    /// The first four bytes are not those of a frame.
    #[error("malformed frame: it starts with {0:02x?} instead of {MAGIC:02x?}")]
    Magic([u8; 4]),
    /// The length field is larger than [`MAX_PAYLOAD`].
    #[error("malformed frame: its length is {0} bytes, but at most {MAX_PAYLOAD} are allowed")]
    TooLong(usize),
    /// The checksum does not match the payload.
    #[error("malformed frame: checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Checksum in the frame's header.
        expected: u32,
        /// Checksum of the payload.
        found: u32,
    },
    /// The payload is not a message that this end understands.
    #[error("malformed frame: {0}")]
    Payload(#[from] serde_json::Error),
}

/// Encodes one message as a frame.
///
/// # Errors
/// If the message cannot be serialised or is longer than [`MAX_PAYLOAD`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let payload = serde_json::to_vec(message)?;
    if payload.len() > MAX_PAYLOAD {
        return Err(FrameError::TooLong(payload.len()));
    }
    let mut frame = Vec::with_capacity(payload.len() + 12);
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    frame.extend_from_slice(&payload);
    Ok(frame)
}

/// Writes one message as a frame.
///
/// # Errors
/// As for [`encode`], or if the port fails.
pub fn write_frame<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), FrameError> {
    to.write_all(&encode(message)?)?;
    Ok(to.flush()?)
}

/// Reads the next frame and decodes its message.
///
/// # Errors
/// [`FrameError::Closed`] at a clean end of stream; any other variant means that the
/// stream cannot be used any more.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    let payload = read_payload(from)?;
    Ok(serde_json::from_slice(&payload)?)
}

fn read_payload(from: &mut impl Read) -> Result<Vec<u8>, FrameError> {
    let magic = read_magic(from)?;
    if magic != MAGIC {
        return Err(FrameError::Magic(magic));
    }
    let length = read_u32(from)? as usize;
    if length > MAX_PAYLOAD {
        return Err(FrameError::TooLong(length));
    }
    let expected = read_u32(from)?;
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    let found = crc32fast::hash(&payload);
    if found != expected {
        return Err(FrameError::Checksum { expected, found });
    }
    Ok(payload)
}

/// Reads the magic number. Only the first read may reach the end of the stream without an error.
fn read_magic(from: &mut impl Read) -> Result<[u8; 4], FrameError> {
    let mut magic = [0; 4];
    let first = loop {
        match from.read(&mut magic) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if first == 0 {
        return Err(FrameError::Closed);
    }
    from.read_exact(&mut magic[first..])?;
    Ok(magic)
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reply, Request};
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn what_is_written_is_read() {
        let mut stream = Vec::new();
        write_frame(&mut stream, &Request::Ping { token: 7 }).unwrap();
        write_frame(&mut stream, &Request::PowerOff).unwrap();
        let mut from = stream.as_slice();
        assert!(matches!(
            read_frame(&mut from).unwrap(),
            Request::Ping { token: 7 }
        ));
        assert!(matches!(read_frame(&mut from).unwrap(), Request::PowerOff));
        assert!(matches!(
            read_frame::<Request>(&mut from),
            Err(FrameError::Closed)
        ));
    }

    #[rstest]
    #[case::magic(0, "starts with")]
    #[case::length(7, "its length is")]
    #[case::checksum(8, "checksum")]
    #[case::payload(13, "checksum")]
    fn a_flipped_byte_is_named(#[case] at: usize, #[case] says: &str) {
        let mut frame = encode(&Request::Ping { token: 7 }).unwrap();
        frame[at] ^= 0x55;
        let error = read_frame::<Request>(&mut frame.as_slice()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_frame::<Reply>(&mut bytes.as_slice());
        }

        #[test]
        fn no_payload_makes_the_reader_panic(text in "\\PC{0,80}") {
            let mut frame = Vec::new();
            frame.extend_from_slice(&MAGIC);
            frame.extend_from_slice(&(text.len() as u32).to_le_bytes());
            frame.extend_from_slice(&crc32fast::hash(text.as_bytes()).to_le_bytes());
            frame.extend_from_slice(text.as_bytes());
            let _ = read_frame::<Reply>(&mut frame.as_slice());
        }

        #[test]
        fn every_cut_is_an_error(cut in 0_usize..30) {
            let frame = encode(&Request::Ping { token: 7 }).unwrap();
            prop_assume!(cut < frame.len());
            prop_assert!(read_frame::<Request>(&mut &frame[..cut]).is_err());
        }
    }
}
