//! Decompresses what kernels, modules and packages are packed with, on the host and in this
//! process: a guest's kernel may lack the decompressor.

use std::io::{self, Cursor, Read};

use ruzstd::decoding::StreamingDecoder;

/// `zstd --ultra -22`, by which kbuild packs a kernel, asks for 128 MiB.
const ZSTD_WINDOW: u64 = 128 << 20;
/// Memory for xz and lzma, in KiB. A damaged header may ask for more.
const MEMORY_KIB: u32 = 512 << 10;
/// Length of the longest magic.
const LONGEST: u64 = 6;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Xz,
    Zstd,
    /// The format before xz, which only kernels still use.
    Lzma,
}

impl Compression {
    /// Returns the compression that the first bytes show, if any.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Compression); 4] = [
            (b"\x1f\x8b\x08", Compression::Gzip),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"\x5d\0\0", Compression::Lzma),
        ];
        let found = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
        found.map(|(_, compression)| *compression)
    }

    /// Returns a reader of the content. It ends with the first stream; what follows is not read.
    pub(crate) fn reader<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                packed, false, MEMORY_KIB,
            )),
            Self::Lzma => {
                let reader = lzma_rust2::LzmaReader::new_mem_limit(packed, MEMORY_KIB, None);
                Box::new(reader.map_err(io::Error::other)?)
            }
            Self::Zstd => {
                let decoder = StreamingDecoder::new_with_max_window_size(packed, ZSTD_WINDOW);
                Box::new(Checked(decoder.map_err(io::Error::other)?))
            }
        })
    }

    /// Returns the content of these bytes.
    pub(crate) fn content(self, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.reader(packed)?.read_to_end(&mut content)?;
        Ok(content)
    }
}

/// Compares the checksum at the end, which the decoder computes but does not compare.
struct Checked<R: Read>(StreamingDecoder<R, ruzstd::decoding::FrameDecoder>);

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            let stored = self.0.decoder.get_checksum_from_data();
            if stored.is_some() && stored != self.0.decoder.get_calculated_checksum() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the zstd checksum is wrong",
                ));
            }
        }
        Ok(count)
    }
}

/// Returns a reader of the content, whether it is compressed or not.
pub(crate) fn plain<'a>(mut from: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::new();
    from.by_ref().take(LONGEST).read_to_end(&mut head)?;
    let compression = Compression::of(&head);
    let whole = Cursor::new(head).chain(from);
    match compression {
        Some(compression) => compression.reader(whole),
        None => Ok(Box::new(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::process::{Command, Stdio};

    /// Packs by the program that distributions and kbuild use. zstd is not needed to build the
    /// suite: `None` where it is not installed.
    fn packed(program: &[&str], content: &[u8]) -> Option<Vec<u8>> {
        use std::io::Write;
        let child = Command::new(program[0])
            .args(&program[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match child {
            Err(error) if error.kind() == io::ErrorKind::NotFound && program[0] == "zstd" => {
                return None;
            }
            child => child.unwrap(),
        };
        let mut input = child.stdin.take().unwrap();
        let content = content.to_owned();
        let feeder = std::thread::spawn(move || input.write_all(&content).unwrap());
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Some(output.stdout)
    }

    #[test]
    fn zstd_is_read_and_its_checksum_compared() {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        let content = b"abcdefgh".repeat(50_000);
        let mut packed = compress_to_vec(&content[..], CompressionLevel::Fastest);
        assert!(Compression::Zstd.content(&packed).unwrap() == content);
        if let Some(checksum) = packed.last_mut() {
            *checksum ^= 1;
        }
        let error = Compression::Zstd.content(&packed).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
    }

    const XZ_OF_KBUILD: &[&str] = &["xz", "--check=crc32", "--x86", "--lzma2=dict=32MiB"];

    #[rstest]
    #[case(&["gzip", "-c"], Compression::Gzip)]
    #[case(&["xz", "-c"], Compression::Xz)]
    #[case(XZ_OF_KBUILD, Compression::Xz)]
    #[case(&["xz", "--format=lzma", "-c"], Compression::Lzma)]
    #[case(&["zstd", "-22", "--ultra", "-c"], Compression::Zstd)]
    fn reads_what_the_programs_pack(#[case] program: &[&str], #[case] want: Compression) {
        let content: Vec<u8> = (0..200_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        let Some(mut file) = packed(program, &content) else {
            return;
        };
        assert_eq!(Compression::of(&file), Some(want));
        assert!(want.content(&file).unwrap() == content);
        // The size that kbuild appends is not a part of the stream.
        file.extend_from_slice(&[0, 1, 2, 3]);
        assert!(want.content(&file).unwrap() == content);
        let mut read = Vec::new();
        plain(&file[..]).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == content);
    }

    #[rstest]
    #[case(&["gzip", "-c"])]
    #[case(XZ_OF_KBUILD)]
    #[case(&["zstd", "-c", "--check"])]
    fn damage_is_noticed(#[case] program: &[&str]) {
        let content: Vec<u8> = (0..50_000u32)
            .flat_map(|n| (n ^ n << 9).to_le_bytes())
            .collect();
        let Some(whole) = packed(program, &content) else {
            return;
        };
        let compression = Compression::of(&whole).unwrap();
        let mut wrong = whole.clone();
        wrong[whole.len() / 2] ^= 0x10;
        assert!(compression.content(&wrong).is_err());
        assert!(compression.content(&whole[..whole.len() / 2]).is_err());
    }

    #[test]
    fn what_is_not_compressed_stays() {
        let mut read = Vec::new();
        plain(&b"abc"[..]).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abc");
    }

    proptest! {
        #[test]
        fn never_panics(
            kind in prop::sample::select(vec![
                Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Lzma,
            ]),
            magic: bool,
            tail in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let head: &[u8] = match (magic, kind) {
                (false, _) => b"",
                (_, Compression::Gzip) => b"\x1f\x8b\x08",
                (_, Compression::Xz) => b"\xfd7zXZ\0",
                (_, Compression::Zstd) => b"\x28\xb5\x2f\xfd",
                (_, Compression::Lzma) => b"\x5d\0\0",
            };
            let bytes = [head, &tail].concat();
            // A few random bytes may stand for gigabytes.
            let _ = kind.reader(&bytes[..]).and_then(|reader| {
                io::copy(&mut reader.take(1 << 20), &mut io::sink())
            });
        }
    }
}
