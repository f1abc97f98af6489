//! The header of an x86 bzImage.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::ImageError;

const MAGIC_AT: usize = 0x202;
const MAGIC: &[u8] = b"HdrS";
const VERSION_AT: usize = 0x20e;
/// The offset of the version string in the boot protocol is relative to this.
const VERSION_BASE: usize = 0x200;
/// Size of the header and the set-up code with the string: at most 64 sectors.
const READ: u64 = 64 * 512;

/// Returns the kernel release in the header of a bzImage, such as `7.3.4`.
pub fn release_of(kernel: &Path) -> Result<String, ImageError> {
    let mut head = Vec::new();
    File::open(kernel)
        .and_then(|file| file.take(READ).read_to_end(&mut head))
        .map_err(|source| ImageError::Given {
            what: "kernel image",
            path: kernel.to_owned(),
            source,
        })?;
    parse(&head).map_err(|problem| ImageError::NotBzImage {
        path: kernel.to_owned(),
        problem,
    })
}

/// Returns the release in the first bytes of a bzImage.
fn parse(head: &[u8]) -> Result<String, &'static str> {
    if head.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) != Some(MAGIC) {
        return Err("the boot header's magic HdrS is not at 0x202");
    }
    let offset = match head.get(VERSION_AT..VERSION_AT + 2) {
        Some([low, high]) => usize::from(u16::from_le_bytes([*low, *high])),
        _ => return Err("it ends in the boot header"),
    };
    if offset == 0 {
        return Err("its boot header has no version");
    }
    let text = head
        .get(VERSION_BASE + offset..)
        .ok_or("the version is beyond the set-up code")?;
    // "7.3.4 (user@host) #1 SMP ..."
    let word = text
        .split(|byte| *byte == b' ' || *byte == 0)
        .next()
        .unwrap_or_default();
    let readable = !word.is_empty() && word.len() < 200 && word.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(word) {
        Ok(release) if readable => Ok(release.to_owned()),
        _ => Err("its boot header has no readable version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn image(offset: u16, version: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        bytes[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(MAGIC);
        bytes[VERSION_AT..VERSION_AT + 2].copy_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(version);
        bytes
    }

    #[rstest]
    #[case(0x200, b"7.3.4 (a@b) #1 SMP\0", Ok("7.3.4"))]
    #[case(0x200, b"6.19.0-rc1+\0", Ok("6.19.0-rc1+"))]
    #[case(0, b"", Err("its boot header has no version"))]
    #[case(0x7fff, b"", Err("the version is beyond the set-up code"))]
    #[case(0x200, b"", Err("its boot header has no readable version"))]
    #[case(0x200, b"\xff\xfe 1", Err("its boot header has no readable version"))]
    fn reads(#[case] offset: u16, #[case] version: &[u8], #[case] want: Result<&str, &str>) {
        assert_eq!(
            parse(&image(offset, version)).as_deref().map_err(|e| *e),
            want
        );
    }

    #[test]
    fn a_text_is_no_kernel() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        let error = release_of(file.path()).unwrap_err().to_string();
        assert!(error.contains("is not an x86 bzImage"), "{error}");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn never_panics_behind_the_magic(offset: u16, tail in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&image(offset, &tail));
        }
    }
}
