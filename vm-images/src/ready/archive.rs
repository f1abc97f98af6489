//! Tarballs and packages. Only what a guest or the configuration needs is unpacked: regular files
//! with harmless names, so that nothing is ever written outside of the folder.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Component, Path, PathBuf},
};

use super::ReadyError;
use crate::{cache::make_dir, compression, error::ImageError};

/// Length of the lead of an .rpm, an older header.
const LEAD: u64 = 96;
const LEAD_MAGIC: &[u8] = b"\xed\xab\xee\xdb";
/// Begins each of the two headers of an .rpm.
const HEADER_MAGIC: &[u8] = b"\x8e\xad\xe8";
const AR_MAGIC: &[u8] = b"!<arch>\n";
/// Bits of a mode that show the type of a file, and a regular file.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Why an archive was not unpacked.
#[derive(Debug)]
enum Failed {
    /// It cannot be read, or is not what it should be.
    Archive(String),
    /// The file system of the target failed.
    Target(ImageError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        // The text may quote the file, which may be anything.
        let clean = |c: char| if c.is_control() { '?' } else { c };
        Self::Archive(error.to_string().chars().map(clean).collect())
    }
}

/// What an archive may be.
#[derive(Clone, Copy)]
enum Wanted {
    /// A .deb or .rpm.
    Package,
    /// One of these, or a tarball.
    Modules,
}

impl Wanted {
    fn file(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Modules => "tarball of modules",
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::Package => "a whole .deb or .rpm of a kernel",
            Self::Modules => {
                "a folder, a tarball (with lib/modules/RELEASE), or a package of kernel modules"
            }
        }
    }
}

/// Unpacks a tarball or a package of modules.
pub(super) fn unpack_modules(file: &Path, into: &Path) -> Result<(), ImageError> {
    unpack(file, Wanted::Modules, into)
}

/// Unpacks a .deb or .rpm, which its content shows.
pub(super) fn unpack_package(file: &Path, into: &Path) -> Result<(), ImageError> {
    unpack(file, Wanted::Package, into)
}

fn unpack(file: &Path, wanted: Wanted, into: &Path) -> Result<(), ImageError> {
    let mut reader = open(file, wanted.file())?;
    let mut magic = Vec::new();
    let read = reader.by_ref().take(8).read_to_end(&mut magic);
    let done = read.map_err(Failed::from).and_then(|_| {
        let kind = (magic.starts_with(AR_MAGIC), magic.starts_with(LEAD_MAGIC));
        let reader = io::BufReader::new(io::Cursor::new(magic).chain(reader));
        match (kind, wanted) {
            ((true, _), _) => deb(reader, into),
            ((_, true), _) => rpm(reader, into),
            (_, Wanted::Modules) => tarball(compression::plain(reader)?, into),
            (_, Wanted::Package) => Err(Failed::Archive(
                "it is neither a .deb nor an .rpm".to_owned(),
            )),
        }
    });
    done.map_err(|failed| failed.of(file, wanted.described()))
}

impl Failed {
    fn of(self, file: &Path, wanted: &'static str) -> ImageError {
        match self {
            Self::Target(error) => error,
            Self::Archive(problem) => ImageError::Ready(ReadyError::BadArchive {
                path: file.to_owned(),
                problem,
                wanted,
            }),
        }
    }
}

fn open(file: &Path, what: &'static str) -> Result<BufReader<File>, ImageError> {
    let opened = File::open(file).map_err(|source| ImageError::Given {
        what,
        path: file.to_owned(),
        source,
    })?;
    Ok(BufReader::new(opened))
}

fn tarball(reader: impl Read, into: &Path) -> Result<(), Failed> {
    let mut archive = tar::Archive::new(reader);
    let mut any = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        any = true;
        if entry.header().entry_type().is_file() {
            let name = entry.path()?.into_owned();
            store(&name, &mut entry, into)?;
        }
    }
    match any {
        true => Ok(()),
        false => Err(Failed::Archive(
            "it is not a tarball, or an empty one".to_owned(),
        )),
    }
}

fn deb(reader: impl Read, into: &Path) -> Result<(), Failed> {
    let mut archive = ar::Archive::new(reader);
    while let Some(entry) = archive.next_entry() {
        let entry = entry?;
        if entry.header().identifier().starts_with(b"data.tar") {
            return tarball(compression::plain(entry)?, into);
        }
    }
    Err(Failed::Archive("it has no data.tar".to_owned()))
}

fn rpm(mut reader: impl Read, into: &Path) -> Result<(), Failed> {
    skip(&mut reader, LEAD)?;
    let signature = header(&mut reader)?;
    skip(&mut reader, signature.next_multiple_of(8) - signature)?;
    header(&mut reader)?;
    let mut payload = compression::plain(reader)?;
    loop {
        let mut entry = cpio::newc::Reader::new(payload)?;
        if entry.entry().is_trailer() {
            return Ok(());
        }
        if entry.entry().mode() & TYPE == REGULAR {
            let name = PathBuf::from(entry.entry().name());
            store(&name, &mut entry, into)?;
        }
        // Skips what was not read.
        payload = entry.finish()?;
    }
}

/// Skips a header of an .rpm: 16 bytes, its index, and its data. Returns the length.
fn header(reader: &mut impl Read) -> Result<u64, Failed> {
    let mut start = [0; 16];
    reader.read_exact(&mut start)?;
    if !start.starts_with(HEADER_MAGIC) {
        return Err(Failed::Archive("a header of it is damaged".to_owned()));
    }
    let [.., a, b, c, d, e, f, g, h] = start;
    let entries = u64::from(u32::from_be_bytes([a, b, c, d]));
    let length = entries * 16 + u64::from(u32::from_be_bytes([e, f, g, h]));
    skip(reader, length)?;
    Ok(length)
}

fn skip(reader: &mut impl Read, length: u64) -> Result<(), Failed> {
    let skipped = io::copy(&mut reader.take(length), &mut io::sink())?;
    match skipped == length {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// Writes a file if it is of use.
fn store(name: &Path, content: &mut impl Read, into: &Path) -> Result<(), Failed> {
    let name = safe(name).map_err(Failed::Archive)?;
    if !of_use(&name) {
        return Ok(());
    }
    let to = into.join(name);
    let folder = to.parent().unwrap_or(into);
    make_dir(folder).map_err(Failed::Target)?;
    let target = |source| {
        Failed::Target(ImageError::File {
            doing: "write",
            path: to.clone(),
            hint: "make room on the disk, or set TMPDIR to a folder with 1 GB free",
            source,
        })
    };
    let mut file = File::create(&to).map_err(target)?;
    copy(content, &mut file, target)
}

/// Copies, and tells an error of the archive from one of the target.
fn copy(
    from: &mut impl Read,
    to: &mut File,
    target: impl Fn(io::Error) -> Failed,
) -> Result<(), Failed> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let read = buffer.get(..count).unwrap_or_default();
        io::Write::write_all(to, read).map_err(&target)?;
    }
}

/// Returns a name relative to the folder, in the form of a system without a separate `/usr/lib`.
/// The error is a name that leads out of it.
fn safe(name: &Path) -> Result<PathBuf, String> {
    let mut safe = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => safe.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(format!("it has a file named `{}`", name.display()));
            }
        }
    }
    Ok(match safe.strip_prefix("usr") {
        Ok(rest) if rest.starts_with("lib") => rest.to_owned(),
        _ => safe,
    })
}

/// Whether a file is a module, a kernel or a configuration.
fn of_use(name: &Path) -> bool {
    let file = name.file_name().unwrap_or_default().to_string_lossy();
    let kernel = file == "vmlinuz" || file.starts_with("vmlinuz-");
    let config = file == "config" || file.starts_with("config-");
    let place = name.starts_with("boot") || name.starts_with("lib/modules");
    crate::modules::is_module(&file) || (place && (kernel || config))
}

/// Returns the files in a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const MODULE: &str = "./usr/lib/modules/7.3.4/kernel/a.ko.xz";

    fn tar_of(names: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            // The crate refuses bad names, so the field is written directly.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(3);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            builder.append(&header, &b"abc"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn deb_of(data: &[u8]) -> Vec<u8> {
        let mut builder = ar::Builder::new(Vec::new());
        for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("data.tar", data)] {
            let header = ar::Header::new(name.into(), content.len() as u64);
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn rpm_of(name: &str) -> Vec<u8> {
        let mut bytes = LEAD_MAGIC.to_vec();
        bytes.resize(96, 0);
        for (entries, length) in [(1u32, 3u32), (2, 8)] {
            bytes.extend(b"\x8e\xad\xe8\x01\0\0\0\0");
            bytes.extend(entries.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            let end = bytes.len() + entries as usize * 16 + length as usize;
            bytes.resize(end.next_multiple_of(8), 0);
        }
        let header = cpio::newc::Builder::new(name).mode(0o100_644);
        let mut writer = header.write(&mut bytes, 3);
        io::Write::write_all(&mut writer, b"abc").unwrap();
        writer.finish().unwrap();
        cpio::newc::trailer(&mut bytes).unwrap();
        bytes
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file
    }

    #[rstest]
    #[case(deb_of(&tar_of(&["./usr/share/doc/x", MODULE])))]
    #[case(rpm_of(MODULE))]
    fn a_package_is_unpacked(#[case] bytes: Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        unpack_package(file(&bytes).path(), folder.path()).unwrap();
        let unpacked = folder.path().join("lib/modules/7.3.4/kernel/a.ko.xz");
        assert_eq!(fs::read(unpacked).unwrap(), b"abc");
        assert!(!folder.path().join("usr").exists());
    }

    #[rstest]
    #[case::tarball(tar_of(&[MODULE]))]
    #[case::deb(deb_of(&tar_of(&[MODULE])))]
    #[case::rpm(rpm_of(MODULE))]
    fn modules_are_unpacked(#[case] bytes: Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        unpack_modules(file(&bytes).path(), folder.path()).unwrap();
        let unpacked = folder.path().join("lib/modules/7.3.4/kernel/a.ko.xz");
        assert_eq!(fs::read(unpacked).unwrap(), b"abc");
    }

    #[rstest]
    #[case::text(b"hello, this is a text".to_vec(), "neither a .deb nor an .rpm")]
    #[case::empty(Vec::new(), "neither")]
    #[case::cut_deb(deb_of(&tar_of(&[MODULE]))[..900].to_vec(), "cannot be unpacked")]
    #[case::cut_rpm(rpm_of(MODULE)[..300].to_vec(), "cannot be unpacked")]
    #[case::no_data(deb_of(&[])[..68].to_vec(), "no data.tar")]
    #[case::traversal(deb_of(&tar_of(&["../../x.ko"])), "`../../x.ko`")]
    #[case::traversal_in_rpm(rpm_of("./../x.ko"), "`./../x.ko`")]
    fn a_bad_package_is_the_users(#[case] bytes: Vec<u8>, #[case] says: &str) {
        let folder = tempfile::tempdir().unwrap();
        let error = unpack_package(file(&bytes).path(), folder.path()).unwrap_err();
        assert_eq!(error.blame(), crate::Blame::Usage);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[rstest]
    #[case("lib/modules/7/a.ko", "lib/modules/7/a.ko")]
    #[case("./usr/lib/modules/7/a.ko", "lib/modules/7/a.ko")]
    #[case("/boot/vmlinuz-7", "boot/vmlinuz-7")]
    #[case("usr/share/a", "usr/share/a")]
    fn names_are_relative(#[case] name: &str, #[case] want: &str) {
        assert_eq!(safe(Path::new(name)).unwrap(), Path::new(want));
    }

    proptest! {
        #[test]
        fn nothing_is_written_outside(
            name in r"(\.\./|/|\./|a/|lib/modules/){0,5}(\.\.|a)?\.ko",
        ) {
            let above = tempfile::tempdir().unwrap();
            let folder = above.path().join("deep/folder");
            fs::create_dir_all(&folder).unwrap();
            let _ = unpack_modules(file(&tar_of(&[&name])).path(), &folder);
            let all: Vec<_> = files(above.path());
            prop_assert_eq!(all, vec![above.path().join("deep")]);
            prop_assert_eq!(files(&above.path().join("deep")), vec![folder]);
        }

        #[test]
        fn never_panics(
            kind in 0usize..3,
            at in 0usize..2000,
            byte: u8,
            end in 0usize..2000,
        ) {
            let tar = tar_of(&[MODULE]);
            let mut bytes = match kind {
                0 => tar,
                1 => deb_of(&tar),
                _ => rpm_of(MODULE),
            };
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(end);
            let folder = tempfile::tempdir().unwrap();
            let _ = tarball(&bytes[..], folder.path());
            let _ = unpack_package(file(&bytes).path(), folder.path());
        }
    }
}
