//! Writes the archive that a kernel unpacks as its first root file system.

use std::io::{self, Write};

use cpio::newc::{self, ModeFileType};

/// One member of the archive; names have no leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder. It must come before its contents.
    Dir { name: String },
    /// A file.
    File {
        name: String,
        /// Permission bits, such as 0o755.
        mode: u32,
        /// The content.
        content: Vec<u8>,
    },
    /// A symbolic link.
    Link {
        name: String,
        /// Its target.
        target: String,
    },
    /// A character device.
    CharDevice {
        name: String,
        /// Permission bits.
        mode: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// Returns an initramfs whose first process is `init`: `/init`, `/dev/console`, the mount points
/// and then the entries. The same input gives the same bytes.
pub fn initramfs(init: Vec<u8>, entries: Vec<Entry>) -> Vec<u8> {
    let mut all: Vec<Entry> = ["dev", "proc", "sys", "tmp"].map(dir).into();
    all.push(Entry::CharDevice {
        name: "dev/console".to_owned(),
        mode: 0o600,
        major: 5,
        minor: 1,
    });
    all.push(Entry::File {
        name: "init".to_owned(),
        mode: 0o755,
        content: init,
    });
    all.extend(entries);
    archive(&all)
}

fn dir(name: &str) -> Entry {
    Entry::Dir {
        name: name.to_owned(),
    }
}

/// Returns the entries in the newc format.
fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    // Equal numbers would make two files hard links.
    for (number, entry) in (1..).zip(entries) {
        // Writing to a Vec cannot fail.
        let _ = append(&mut out, number, entry);
    }
    let _ = newc::trailer(&mut out);
    out
}

fn append(out: &mut Vec<u8>, number: u32, entry: &Entry) -> io::Result<()> {
    let (header, content): (newc::Builder, &[u8]) = match entry {
        Entry::Dir { name } => {
            let header = newc::Builder::new(name).mode(0o755);
            (header.set_mode_file_type(ModeFileType::Directory), &[])
        }
        Entry::File {
            name,
            mode,
            content,
        } => {
            let header = newc::Builder::new(name).mode(*mode);
            (header.set_mode_file_type(ModeFileType::Regular), content)
        }
        Entry::Link { name, target } => {
            let header = newc::Builder::new(name).mode(0o777);
            (
                header.set_mode_file_type(ModeFileType::Symlink),
                target.as_bytes(),
            )
        }
        Entry::CharDevice {
            name,
            mode,
            major,
            minor,
        } => {
            let header = newc::Builder::new(name)
                .mode(*mode)
                .rdev_major(*major)
                .rdev_minor(*minor);
            (header.set_mode_file_type(ModeFileType::Char), &[])
        }
    };
    let size = u32::try_from(content.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut writer = header.ino(number).write(&mut *out, size);
    writer.write_all(content)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sample() -> Vec<u8> {
        let modules = vec![
            dir("lib"),
            Entry::File {
                name: "lib/a.ko".to_owned(),
                mode: 0o644,
                content: b"odd".to_vec(),
            },
            Entry::Link {
                name: "lib/link".to_owned(),
                target: "a.ko".to_owned(),
            },
        ];
        initramfs(b"#!/bin/sh\n".to_vec(), modules)
    }

    #[test]
    fn cpio_lists_it() {
        let mut child = match Command::new("cpio")
            .args(["-tv", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        {
            Ok(child) => child,
            // The tool is an additional check to the next test.
            Err(_) => return,
        };
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        for want in [
            "5,   1",
            "dev/console",
            "-rwxr-xr-x",
            "init",
            "lib/a.ko",
            "lib/link -> a.ko",
        ] {
            assert!(text.contains(want), "no `{want}` in:\n{text}");
        }
    }

    #[test]
    fn reads_back() {
        let bytes = sample();
        let mut rest: &[u8] = &bytes;
        let mut names = Vec::new();
        loop {
            let reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        let want = [
            "dev",
            "proc",
            "sys",
            "tmp",
            "dev/console",
            "init",
            "lib",
            "lib/a.ko",
            "lib/link",
        ];
        assert_eq!(names, want);
        assert_eq!(sample(), bytes);
    }
}
