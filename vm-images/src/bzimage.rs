//! The header of an x86 bzImage.

use std::ops::Range;

const MAGIC_AT: usize = 0x202;
const MAGIC: &[u8] = b"HdrS";
const VERSION_AT: usize = 0x20e;
/// The offset of the version string in the boot protocol is relative to this.
const VERSION_BASE: usize = 0x200;
/// Number of 512-byte sectors of the set-up code, behind the first; 0 stands for 4.
const SECTORS_AT: usize = 0x1f1;
/// Version of the boot protocol.
const PROTOCOL_AT: usize = 0x206;
/// The first protocol whose header says where the packed kernel is.
const HAS_PAYLOAD: u16 = 0x0208;
const PAYLOAD_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
/// Returns where the packed kernel is in a bzImage, or `None` for one that does not say so.
pub(crate) fn payload(head: &[u8]) -> Option<Range<usize>> {
    let number = |at: usize| {
        let bytes = head.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let protocol = head.get(PROTOCOL_AT..PROTOCOL_AT + 2)?.try_into().ok()?;
    if u16::from_le_bytes(protocol) < HAS_PAYLOAD {
        return None;
    }
    let sectors = match head.get(SECTORS_AT)? {
        0 => 4,
        count => usize::from(*count),
    };
    let start = ((sectors + 1) * 512).checked_add(number(PAYLOAD_AT)?)?;
    let end = start.checked_add(number(PAYLOAD_LENGTH_AT)?)?;
    (start < end).then_some(start..end)
}

/// Returns the kernel release in the header of a bzImage, such as `7.3.4`.
pub(crate) fn parse(head: &[u8]) -> Result<String, &'static str> {
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

    #[rstest]
    #[case(0x020f, 1, 0x40, 100, Some(0x440..0x4a4))]
    #[case(0x020f, 0, 0, 1, Some(0xa00..0xa01))]
    #[case(0x0207, 1, 0x40, 100, None)]
    #[case(0x020f, 1, 0x40, 0, None)]
    fn the_header_says_where_the_kernel_is(
        #[case] protocol: u16,
        #[case] sectors: u8,
        #[case] offset: u32,
        #[case] length: u32,
        #[case] want: Option<Range<usize>>,
    ) {
        let mut bytes = image(0x200, b"7.3.4\0");
        bytes[PROTOCOL_AT..PROTOCOL_AT + 2].copy_from_slice(&protocol.to_le_bytes());
        bytes[SECTORS_AT] = sectors;
        bytes[PAYLOAD_AT..PAYLOAD_AT + 4].copy_from_slice(&offset.to_le_bytes());
        bytes[PAYLOAD_LENGTH_AT..PAYLOAD_LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
        assert_eq!(payload(&bytes), want);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = (parse(&bytes), payload(&bytes));
        }

        #[test]
        fn never_panics_behind_the_magic(offset: u16, tail in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&image(offset, &tail));
        }
    }
}
