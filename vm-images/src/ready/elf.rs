//! An ELF vmlinux, which QEMU boots by its PVH entry.

use memchr::memmem;
use object::{
    LittleEndian,
    elf::{EM_X86_64, FileHeader64, NoteType},
    read::elf::{FileHeader, ProgramHeader},
};

/// `XEN_ELFNOTE_PHYS32_ENTRY`: the address at which a hypervisor enters the kernel.
const PVH_ENTRY: NoteType = NoteType(18);
const XEN: &[u8] = b"Xen";
const BANNER: &[u8] = b"Linux version ";
/// The longest release that a kernel has, `__NEW_UTS_LEN`.
const LONGEST: usize = 64;

/// Whether the file is ELF.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Checks that QEMU can boot a vmlinux.
pub(super) fn check_bootable(bytes: &[u8]) -> Result<(), &'static str> {
    const BROKEN: &str = "its ELF header or notes cannot be read; copy or build it again";
    let header = FileHeader64::<LittleEndian>::parse(bytes)
        .map_err(|_| "it is not a little-endian ELF file of 64 bits; give a kernel for x86_64")?;
    if header.e_machine(LittleEndian) != EM_X86_64 {
        return Err("it is a kernel for another architecture; give one for x86_64");
    }
    let segments = header.program_headers(LittleEndian, bytes);
    for segment in segments.map_err(|_| BROKEN)? {
        let notes = segment.notes(LittleEndian, bytes).map_err(|_| BROKEN)?;
        let notes = notes.into_iter().flatten();
        for note in notes {
            let note = note.map_err(|_| BROKEN)?;
            if note.name() == XEN && note.n_type(LittleEndian) == PVH_ENTRY {
                return Ok(());
            }
        }
    }
    Err(
        "a vmlinux needs a PVH entry (note XEN_ELFNOTE_PHYS32_ENTRY), and it has none; build it \
         with CONFIG_PVH=y, or give the bzImage",
    )
}

/// Returns the release in a kernel's banner, such as `7.3.4` of `Linux version 7.3.4 (user@host)`.
pub(super) fn release(bytes: &[u8]) -> Option<String> {
    memmem::find_iter(bytes, BANNER).find_map(|at| {
        let text = bytes.get(at + BANNER.len()..)?;
        let text = text.get(..LONGEST + 1).unwrap_or(text);
        let end = text.iter().position(|byte| *byte == b' ')?;
        let word = std::str::from_utf8(text.get(..end)?).ok()?;
        let number = word.starts_with(|first: char| first.is_ascii_digit());
        (number && word.bytes().all(|byte| byte.is_ascii_graphic())).then(|| word.to_owned())
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// An ELF file with one segment of notes.
    pub(crate) fn elf(machine: u16, notes: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend(2u16.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        for field in [0u64, 64, 0] {
            bytes.extend(field.to_le_bytes()); // entry, program headers, sections
        }
        bytes.extend(0u32.to_le_bytes());
        for field in [64u16, 56, 1, 64, 0, 0] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(4u32.to_le_bytes()); // PT_NOTE
        bytes.extend(4u32.to_le_bytes());
        let size = notes.len() as u64;
        for field in [120u64, 0, 0, size, size, 4] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(notes);
        bytes
    }

    pub(crate) fn note(name: &[u8], kind: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [name.len() as u32 + 1, 4, kind] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(name);
        bytes.resize(12 + (name.len() + 1).next_multiple_of(4), 0);
        bytes.extend([0, 0, 0, 1]);
        bytes
    }

    #[rstest]
    #[case::pvh(elf(62, &note(b"Xen", 18)), "")]
    #[case::behind_others(elf(62, &[note(b"GNU", 3), note(b"Xen", 5), note(b"Xen", 18)].concat()), "")]
    #[case::none(elf(62, &[]), "CONFIG_PVH=y")]
    #[case::of_another(elf(62, &note(b"GNU", 18)), "CONFIG_PVH=y")]
    #[case::arm(elf(183, &note(b"Xen", 18)), "another architecture")]
    #[case::cut(elf(62, &note(b"Xen", 18))[..90].to_vec(), "cannot be read")]
    #[case::text(b"hello".to_vec(), "not a little-endian ELF")]
    fn a_vmlinux_needs_an_entry(#[case] bytes: Vec<u8>, #[case] says: &str) {
        let problem = check_bootable(&bytes).err().unwrap_or_default();
        assert!(problem.contains(says), "{problem}");
        assert_eq!(problem.is_empty(), says.is_empty(), "{problem}");
    }

    #[rstest]
    #[case(
        b"x Linux version %s; Linux version 7.3.4-rc1+ (u@h) #1",
        Some("7.3.4-rc1+")
    )]
    #[case(b"Linux version 7.3", None)]
    #[case(b"Linux version ", None)]
    #[case(b"Linux version 7\xff3 (", None)]
    fn the_banner_has_the_release(#[case] bytes: &[u8], #[case] want: Option<&str>) {
        assert_eq!(release(bytes).as_deref(), want);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = (check_bootable(&bytes), release(&bytes));
        }

        #[test]
        fn never_panics_behind_the_header(
            machine in prop::sample::select(vec![62u16, 183]),
            notes in prop::collection::vec(any::<u8>(), 0..200),
            at in 16usize..120,
            byte: u8,
        ) {
            let mut bytes = elf(machine, &notes);
            bytes[at] = byte;
            let _ = check_bootable(&bytes);
        }
    }
}
