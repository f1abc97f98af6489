//! The file with the kernel: what it is, its release, and what is packed in it.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use memchr::memmem;
use tempfile::TempDir;

use super::{ReadyError, elf, temporary};
use crate::{bzimage, cache::write, compression::Compression, error::ImageError, x86};

/// Marks the packed configuration of `CONFIG_IKCONFIG` in a kernel, in front of a gzip stream.
const IKCONFIG: &[u8] = b"IKCFG_ST\x1f\x8b\x08";
/// Length of the mark without the magic of gzip.
const MARK: usize = 8;
/// Upper limit of a configuration's length; they have some 300 KB.
const LARGEST_CONFIG: u64 = 16 << 20;

/// A kernel that QEMU can boot.
#[derive(Debug)]
pub(super) struct KernelFile {
    /// The file to boot.
    pub path: PathBuf,
    /// The name that the user knows it by.
    pub shown: PathBuf,
    /// Its `uname -r`.
    pub release: String,
    /// The whole file, for its key.
    pub bytes: Vec<u8>,
    /// The configuration in it, if it has one and its compression is known.
    pub config: Option<String>,
    /// Holds the file if it was unpacked.
    pub temporary: Option<TempDir>,
}

impl KernelFile {
    /// Recognizes a kernel by its content, whatever its name.
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let bytes = read(path).map_err(|source| ImageError::Given {
            what: "kernel image",
            path: path.to_owned(),
            source,
        })?;
        match Compression::of(&bytes) {
            Some(compression) => {
                let bytes = compression
                    .content(&bytes)
                    .map_err(|error| damaged(path, &error))?;
                let mut kernel = Self::recognize(path, bytes)?;
                kernel.keep()?;
                Ok(kernel)
            }
            None => Self::recognize(path, bytes),
        }
    }

    fn recognize(path: &Path, bytes: Vec<u8>) -> Result<Self, ImageError> {
        let (release, config) = match elf::is_elf(&bytes) {
            true => of_vmlinux(path, &bytes)?,
            false => of_bzimage(path, &bytes)?,
        };
        Ok(Self {
            path: path.to_owned(),
            shown: path.to_owned(),
            release,
            bytes,
            config,
            temporary: None,
        })
    }

    /// Copies the file to a folder of its own, which goes with it.
    pub(super) fn keep(&mut self) -> Result<(), ImageError> {
        let folder = temporary::folder()?;
        self.path = folder.path().join(x86::IMAGE);
        write(&self.path, &self.bytes)?;
        self.temporary = Some(folder);
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn damaged(path: &Path, problem: &impl ToString) -> ReadyError {
    ReadyError::Damaged {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// Returns release and configuration of a vmlinux.
fn of_vmlinux(path: &Path, bytes: &[u8]) -> Result<(String, Option<String>), ImageError> {
    let bad = |problem| ReadyError::BadElf {
        path: path.to_owned(),
        problem,
    };
    elf::check_bootable(bytes).map_err(bad)?;
    let release = elf::release(bytes).ok_or_else(|| {
        bad("it has no banner `Linux version`, so it is not a kernel; give vmlinux or bzImage")
    })?;
    Ok((release, ikconfig(bytes)))
}

/// Returns release and configuration of a bzImage. The kernel in it is unpacked, which also shows
/// whether the file is whole.
fn of_bzimage(path: &Path, bytes: &[u8]) -> Result<(String, Option<String>), ImageError> {
    let release = bzimage::parse(bytes).map_err(|problem| ImageError::NotBzImage {
        path: path.to_owned(),
        problem,
    })?;
    let Some(place) = bzimage::payload(bytes) else {
        return Ok((release, None));
    };
    let packed = bytes.get(place.clone()).ok_or_else(|| {
        let (has, needs) = (bytes.len(), place.end);
        damaged(
            path,
            &format!("it has {has} bytes, but its header says {needs} or more"),
        )
    })?;
    // LZ4, LZO and bzip2 are left packed: the configuration is then looked for elsewhere.
    let config = match Compression::of(packed) {
        Some(compression) => {
            let content = compression.content(packed);
            let content = content.map_err(|error| {
                damaged(
                    path,
                    &format!("the kernel in it cannot be unpacked ({error})"),
                )
            })?;
            ikconfig(&content)
        }
        None => None,
    };
    Ok((release, config))
}

/// Returns the configuration in an unpacked kernel.
fn ikconfig(kernel: &[u8]) -> Option<String> {
    let at = memmem::find(kernel, IKCONFIG)?;
    let packed = kernel.get(at + MARK..)?;
    let mut text = String::new();
    let unpacked = flate2::read::GzDecoder::new(packed).take(LARGEST_CONFIG);
    { unpacked }.read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::{
        super::elf::tests::{elf, note},
        *,
    };

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(content).unwrap();
        packer.finish().unwrap()
    }

    fn vmlinux(config: &[u8]) -> Vec<u8> {
        let mut bytes = elf(62, &note(b"Xen", 18));
        bytes.extend(b"Linux version 7.3.4 (u@h)\0IKCFG_ST");
        bytes.extend(gzip(config));
        bytes.extend(b"IKCFG_ED");
        bytes
    }

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        bytes[0x1f1] = 1;
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
        bytes[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
        bytes[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes[0x300..0x30a].copy_from_slice(b"7.3.4 (u@h");
        bytes.extend(payload);
        bytes
    }

    fn open(bytes: &[u8]) -> Result<KernelFile, ImageError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        KernelFile::open(file.path())
    }

    #[rstest]
    #[case::vmlinux(vmlinux(b"CONFIG_A=y\n"), false)]
    #[case::packed_vmlinux(gzip(&vmlinux(b"CONFIG_A=y\n")), true)]
    #[case::bzimage(bzimage(&gzip(&vmlinux(b"CONFIG_A=y\n"))), false)]
    fn finds_release_and_configuration(#[case] bytes: Vec<u8>, #[case] unpacked: bool) {
        let kernel = open(&bytes).unwrap();
        assert_eq!(kernel.release, "7.3.4");
        assert_eq!(kernel.config.as_deref(), Some("CONFIG_A=y\n"));
        assert_eq!(kernel.temporary.is_some(), unpacked);
        let folder = kernel.temporary.as_ref().map(|it| it.path().to_owned());
        assert!(folder.is_none() || kernel.path.is_file());
        drop(kernel);
        assert!(folder.is_none_or(|folder| !folder.exists()));
    }

    #[test]
    fn another_compression_hides_the_configuration_only() {
        let kernel = open(&bzimage(b"\x02\x21\x4c\x18 of LZ4")).unwrap();
        assert_eq!((kernel.release.as_str(), kernel.config), ("7.3.4", None));
    }

    #[rstest]
    #[case::cut(bzimage(&gzip(&vmlinux(b"A")))[..0x420].to_vec(), "but its header says")]
    #[case::bad_stream(bzimage(b"\x1f\x8b\x08 not a stream"), "cannot be unpacked")]
    #[case::half_a_stream(gzip(&vmlinux(b"A"))[..60].to_vec(), "is damaged")]
    #[case::no_banner(elf(62, &note(b"Xen", 18)), "no banner")]
    #[case::program(elf(62, &[]), "CONFIG_PVH=y")]
    #[case::text(b"hello".to_vec(), "is not an x86 bzImage")]
    #[case::packed_text(gzip(b"hello"), "is not an x86 bzImage")]
    fn what_is_wrong_is_said(#[case] bytes: Vec<u8>, #[case] says: &str) {
        let error = open(&bytes).unwrap_err();
        assert_eq!(error.blame(), crate::Blame::Usage);
        assert!(error.to_string().contains(says), "{error}");
    }

    proptest! {
        #[test]
        fn the_mark_of_a_configuration_may_be_anywhere(
            before in prop::collection::vec(any::<u8>(), 0..100),
            after in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = ikconfig(&[&before[..], IKCONFIG, &after].concat());
            let _ = ikconfig(&before);
        }

        #[test]
        fn any_damage_is_an_error_or_nothing(at in 0usize..1200, byte: u8) {
            let mut bytes = bzimage(&gzip(&vmlinux(b"CONFIG_A=y\n")));
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = of_bzimage(Path::new("x"), &bytes);
        }
    }
}
