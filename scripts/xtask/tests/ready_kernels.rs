//! Kernels that somebody else built: what is wrong with one is said before anything boots, and
//! nothing is left behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use rstest::rstest;
use vm_images::{Silent, Source};

/// Runs the command with a folder of its own for temporary files, which has to be empty then.
fn run(arguments: &[&str]) -> Output {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("run-conformance")
        .args(["--accel", "tcg"])
        .args(arguments)
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A bzImage of Linux 7.3.4 with this packed kernel, for everything but a boot.
fn bzimage(packed: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[0x1f1] = 1;
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    bytes[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    bytes[0x24c..0x250].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    bytes[0x300..0x30a].copy_from_slice(b"7.3.4 (u@h");
    bytes.extend(packed);
    bytes
}

const CONFIG: &str = "# Linux/x86 7.3.4 Kernel Configuration\nCONFIG_64BIT=y\n";

/// What `gzip -c </dev/null` prints.
const GZIP_OF_NOTHING: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";

/// An .rpm without a file: its lead, two empty headers, and a payload that only ends.
fn rpm() -> Vec<u8> {
    let mut bytes = b"\xed\xab\xee\xdb".to_vec();
    bytes.resize(96, 0);
    for _ in 0..2 {
        bytes.extend(b"\x8e\xad\xe8\x01");
        bytes.resize(bytes.len() + 12, 0);
    }
    let numbers = "0".repeat(8 * 11);
    bytes.extend(format!("070701{numbers}0000000b00000000TRAILER!!!\0\0\0\0").bytes());
    bytes
}

/// A .deb with this archive of its files.
fn deb(data: &[u8]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("data.tar", data)] {
        let (times, length) = ("0     0     100644", content.len());
        bytes.extend(format!("{name:<16}{:<12}{times}  {length:<10}`\n", 0).bytes());
        bytes.extend(content);
    }
    bytes
}

/// A folder with good and bad parts of a kernel.
fn parts() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("bzImage", &bzimage(b"packed in an unknown way"));
    write("cut", &bzimage(&[0; 500])[..0x480]);
    write("broken", &bzimage(b"\x1f\x8b\x08 not a stream"));
    write("other.config", CONFIG.replace("7.3.4", "7.2.1").as_bytes());
    write("small.config", CONFIG.as_bytes());
    write(
        "lib/modules/7.2.1/kernel/vfio.ko",
        b"\0vermagic=7.2.1 SMP\0",
    );
    write("text.tar.xz", b"no tarball");
    write("empty/README", b"");
    write("empty.gz", GZIP_OF_NOTHING);
    write("cut.gz", &GZIP_OF_NOTHING[..12]);
    write("none.rpm", &rpm());
    write("none.deb", &deb(&[0; 1024]));
    write("damaged.deb", &deb(b"no tarball"));
    write("tuxmake/metadata.json", b"{\"results\": ");
    write("old/arch/x86/Kconfig", b"");
    write("old/Makefile", b"VERSION = 5\nPATCHLEVEL = 15\n");
    write("bad.config", b"CONFIG_IOMMUFD\n");
    write("binary.config", b"\x7fELF\xff\xfe");
    let tar = Command::new("tar")
        .arg("-C")
        .arg(folder.path())
        .arg("-czf")
        .arg(folder.path().join("modules.tar.gz"))
        .arg("lib")
        .status();
    assert!(tar.unwrap().success());
    folder
}

#[rstest]
#[case::cut(&["--kernel", "cut"], "its header says")]
#[case::broken(&["--kernel", "broken"], "the kernel in it cannot be unpacked")]
#[case::config_of_another(
    &["--kernel", "bzImage", "--config", "other.config"],
    "is the configuration of Linux 7.2.1, but the kernel is 7.3.4"
)]
#[case::no_config(&["--kernel", "bzImage", "--config", "text.tar.xz"], "is not the configuration")]
#[case::agent_cannot_run(
    &["--kernel", "bzImage", "--config", "small.config"],
    "CONFIG_VIRTIO_CONSOLE=y is missing"
)]
#[case::modules_of_another(
    &["--kernel", "bzImage", "--modules", "lib"],
    "are of Linux 7.2.1, but the kernel is 7.3.4"
)]
#[case::tarball_of_another(
    &["--kernel", "bzImage", "--modules", "modules.tar.gz"],
    "modules.tar.gz are of Linux 7.2.1, but the kernel is 7.3.4"
)]
#[case::no_tarball(&["--kernel", "bzImage", "--modules", "text.tar.xz"], "cannot be unpacked")]
#[case::no_modules(&["--kernel", "bzImage", "--modules", "empty"], "has no kernel modules")]
#[case::empty_build(&["--kbuild", "empty"], "has no kernel image; build it")]
#[case::packed_nothing(&["--kernel", "empty.gz"], "is not an x86 bzImage")]
#[case::packed_and_cut(&["--kernel", "cut.gz"], "is damaged")]
#[case::rpm_without_a_kernel(&["--package", "none.rpm"], "the packages have no kernel")]
#[case::deb_without_a_file(&["--package", "none.deb"], "it is not a tarball, or an empty one")]
#[case::damaged_deb(&["--package", "damaged.deb"], "cannot be unpacked")]
#[case::damaged_tuxmake(&["--tuxmake", "tuxmake"], "metadata.json is damaged")]
#[case::no_iommufd(&["--linux", "old"], "old (Linux 5.15) has no iommufd")]
#[case::no_fragment(&["--fragment", "bad.config"], "bad.config, line 1: `CONFIG_IOMMUFD` is neither")]
#[case::binary_fragment(&["--fragment", "binary.config"], "cannot read the fragment")]
#[case::empty_tuxmake(&["--tuxmake", "empty"], "has no kernel image; give the folder")]
fn what_is_wrong_is_said_and_nothing_is_left(#[case] arguments: &[&str], #[case] says: &str) {
    let parts = parts();
    let with_path = |word: &&str| match word.starts_with("--") {
        true => (*word).to_owned(),
        false => parts.path().join(word).to_string_lossy().into_owned(),
    };
    let arguments: Vec<_> = arguments.iter().map(with_path).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = run(&words);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains(says), "{errors}");
    let bisect = run(&[&["--bisect"], &words[..]].concat());
    assert_eq!(bisect.status.code(), Some(125));
}

/// The suite's own kernel, as somebody else would give it.
struct Own {
    kernel: String,
    config: String,
}

fn own(folder: &Path) -> Own {
    let build = runner::options::default_build().unwrap();
    let image = vm_images::obtain(&Source::Release(None), &build, &Silent).unwrap();
    let config = folder.join("config");
    fs::write(&config, image.config.unwrap().to_string()).unwrap();
    Own {
        kernel: image.kernel.to_string_lossy().into_owned(),
        config: config.to_string_lossy().into_owned(),
    }
}

impl Own {
    /// Runs a case on a guest.
    fn boot(&self, record: &Path) -> Output {
        let given = ["--kernel", &self.kernel, "--config", &self.config];
        boot(&given, record)
    }

    /// Copies kernel and configuration, each to its place in a folder.
    fn copy(&self, folder: &Path, kernel: &str, config: &str) {
        for (from, to) in [(&self.kernel, kernel), (&self.config, config)] {
            let to = folder.join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
}

/// Runs a case on a guest with a kernel that is given by these arguments.
fn boot(given: &[&str], record: &Path) -> Output {
    let rest = [
        "--record",
        record.to_str().unwrap(),
        "stage2/second-ioas-refused",
    ];
    run(&[given, &rest].concat())
}

/// The folder of a build, as `make O=DIR` leaves it.
fn kbuild(own: &Own, folder: &Path) -> [String; 2] {
    own.copy(folder, "arch/x86/boot/bzImage", ".config");
    ["--kbuild".to_owned(), folder.to_string_lossy().into_owned()]
}

/// The folder that tuxmake leaves.
fn tuxmake(own: &Own, folder: &Path) -> [String; 2] {
    own.copy(folder, "bzImage", "config");
    let metadata = r#"{"compiler": {"name": "gcc", "version": "12.2.0"},
        "results": {"targets": {"kernel": {"status": "PASS"}}}}"#;
    fs::write(folder.join("metadata.json"), metadata).unwrap();
    [
        "--tuxmake".to_owned(),
        folder.to_string_lossy().into_owned(),
    ]
}

/// A package, as Debian makes them.
fn package(own: &Own, folder: &Path) -> [String; 2] {
    own.copy(folder, "boot/vmlinuz-7.3.4", "boot/config-7.3.4");
    let tar = Command::new("tar")
        .args(["-c", "-C"])
        .arg(folder)
        .arg("./boot")
        .output()
        .unwrap();
    assert!(tar.status.success(), "{}", text(&tar.stderr));
    let path = folder.join("linux-image.deb");
    fs::write(&path, deb(&tar.stdout)).unwrap();
    ["--package".to_owned(), path.to_string_lossy().into_owned()]
}

/// A kernel that is packed once more, with the configuration beside it.
fn packed(own: &Own, folder: &Path) -> [String; 2] {
    own.copy(folder, "bzImage", "config");
    let gzip = Command::new("gzip").arg(folder.join("bzImage")).status();
    assert!(gzip.unwrap().success());
    let path = folder.join("bzImage.gz");
    ["--kernel".to_owned(), path.to_string_lossy().into_owned()]
}

#[rstest]
#[case::kbuild(kbuild, "/given/arch/x86/boot/bzImage")]
#[case::tuxmake(tuxmake, "/given/bzImage")]
#[case::package(package, "in the packages")]
#[case::packed(packed, "/given/bzImage.gz")]
fn a_guest_boots_from_what_users_have(
    #[case] lay: fn(&Own, &Path) -> [String; 2],
    #[case] place: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let given = lay(&own(folder.path()), &folder.path().join("given"));
    let output = boot(
        &given.each_ref().map(String::as_str),
        &folder.path().join("record"),
    );
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}{errors}");
    let configuration = said
        .lines()
        .find(|line| line.starts_with("configuration: "));
    assert!(
        configuration.is_some_and(|line| line.contains(place)),
        "{said}"
    );
}

#[test]
fn a_guest_boots_from_a_kernel_and_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let own = own(folder.path());
    let record = folder.path().join("record");
    let output = own.boot(&record);
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}{errors}");
    let line = format!("configuration: {}", own.config);
    assert!(said.contains(&line), "{said}");
    let report = fs::read_to_string(record.join("report.json")).unwrap();
    assert!(report.contains(&own.config), "{report}");
}

#[test]
fn a_configuration_that_the_kernel_contradicts_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let own = own(folder.path());
    let had = fs::read_to_string(&own.config).unwrap();
    fs::write(&own.config, had + "CONFIG_NO_SUCH=y\n").unwrap();
    let record = folder.path().join("record");
    let output = own.boot(&record);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("which has its own in it: they differ in CONFIG_NO_SUCH"),
        "{errors}"
    );
    assert!(!record.exists());
}

#[test]
fn a_kernel_without_counters_is_told_before_it_boots() {
    let folder = tempfile::tempdir().unwrap();
    let own = own(folder.path());
    let record = folder.path().join("record");
    let counters = folder.path().join("counters");
    let given = ["--kernel", &own.kernel, "--config", &own.config];
    let gcov = ["--gcov", counters.to_str().unwrap()];
    let output = boot(&[given.as_slice(), &gcov].concat(), &record);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("lacks CONFIG_GCOV_KERNEL"), "{errors}");
    assert!(!record.exists() && !counters.exists());
}
