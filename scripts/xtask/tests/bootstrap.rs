//! `scripts/bootstrap` on machines that are made of stand-ins: what it calls, prints and says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use rstest::rstest;

/// The programs of this machine that the script itself uses.
const OWN: [&str; 10] = [
    "bash", "sh", "sed", "awk", "sort", "head", "tail", "cat", "dirname", "grep",
];
/// What the script looks for, without QEMU, Rust and the compiler.
const BUILD: [&str; 11] = [
    "make", "ld", "flex", "bison", "bc", "perl", "python3", "cpio", "gzip", "xz", "ln",
];

/// Held while a program is written and while a process starts: a file that a starting child of
/// another test still has open for writing cannot be executed.
static STARTING: Mutex<()> = Mutex::new(());

/// A machine: the programs in PATH, and what its package manager has.
struct Machine {
    root: tempfile::TempDir,
}

/// How a run ended: exit code, standard output, standard error, and the commands that it called.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
    called: String,
}

impl Machine {
    /// With everything but QEMU, and without a package manager.
    fn new(distribution: &str) -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
        };
        for folder in ["bin", "packages", "etc/apt/sources.list.d", "usr/libexec"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        fs::write(machine.path("etc/os-release"), distribution).unwrap();
        for name in OWN {
            let real = find(name);
            symlink(real, machine.path("bin").join(name)).unwrap();
        }
        for name in BUILD {
            machine.program(name, "exit 0");
        }
        machine.program("tar", "echo 'tar (GNU tar) 1.34'");
        // It finds every header, and the static library.
        machine.program("gcc", "echo /usr/lib/libc.a");
        machine.rust("1.95.0");
        machine.program("id", "echo 0");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Puts a program of this text into PATH.
    fn program(&self, name: &str, text: &str) {
        write_program(&self.path("bin").join(name), text);
    }

    fn rust(&self, version: &str) {
        self.program("cargo", "exit 0");
        self.program(
            "rustc",
            &format!(
                r#"case "$1" in --version) echo "rustc {version} (x)";; *) echo /nonexistent;; esac"#
            ),
        );
    }

    fn without(self, names: &[&str]) -> Self {
        for name in names {
            fs::remove_file(self.path("bin").join(name)).unwrap();
        }
        self
    }

    /// Adds a package manager, which installs a QEMU and whatever is in the folder `packages`.
    fn manager(&self, name: &str) {
        write_program(
            &self.path("packages/qemu-system-x86_64"),
            "echo 'QEMU emulator version 10.0.2'",
        );
        let (log, packages) = (self.path("log"), self.path("packages"));
        let bin = self.path("bin");
        let text = format!(
            r#"echo "{name} $*" >>{log}
            for file in {packages}/*; do {cp} "$file" {bin}/; done"#,
            log = log.display(),
            packages = packages.display(),
            bin = bin.display(),
            cp = find("cp").display(),
        );
        self.program(name, &text);
    }

    /// An apt that offers these packages, as lines of `apt-cache madison`.
    fn apt(&self, offers: &str) {
        self.manager("apt-get");
        let lines = self.path("offers");
        fs::write(&lines, offers).unwrap();
        let text = format!(
            r#"while read -r name rest; do [ "$name" != "$2" ] || echo "$name $rest"; done <{}"#,
            lines.display()
        );
        self.program("apt-cache", &text);
        self.program("env", r#"shift; exec "$@""#);
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bootstrap");
        let mut command = Command::new(self.path("bin/bash"));
        command.arg(script).args(arguments).env_clear();
        command
            .env("PATH", self.path("bin"))
            .env("BOOTSTRAP_ROOT", self.root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let lock = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().unwrap();
        drop(lock);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
            called: fs::read_to_string(self.path("log")).unwrap_or_default(),
        }
    }
}

impl Ended {
    fn check(&self, code: i32, out: &str, err: &str, called: &str) {
        let all = format!("{}{}{}", self.out, self.err, self.called);
        assert_eq!(self.code, Some(code), "{all}");
        assert!(self.out.contains(out), "{all}");
        assert!(self.err.contains(err), "{all}");
        assert_eq!(self.called, called, "{all}");
    }
}

fn write_program(path: &Path, text: &str) {
    let _lock = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(path, format!("#!{}\n{text}\n", find("sh").display())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The program of this machine.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut programs = std::env::split_paths(&path).map(|folder| folder.join(name));
    programs.find(|program| program.is_file()).unwrap()
}

const DEBIAN: &str = "ID=debian\nVERSION_CODENAME=bookworm\n";
const FEDORA: &str = "ID=fedora\n";
const ARCH: &str = "ID=arch\n";
const SUSE: &str = "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n";
const ALPINE: &str = "ID=alpine\n";
const ROCKY: &str = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";

const DNF: &str = "dnf -y --setopt=install_weak_deps=False install";
const PACMAN: &str = "pacman -S --needed --noconfirm";
const ZYPPER: &str = "zypper --non-interactive install --no-recommends";

#[rstest]
#[case::dnf(FEDORA, "dnf", &format!("{DNF} qemu-system-x86-core flex perl-interpreter python3 xz\n"))]
#[case::pacman(ARCH, "pacman", &format!("{PACMAN} qemu-system-x86 flex perl python xz\n"))]
#[case::zypper(
    SUSE,
    "zypper",
    &format!("{ZYPPER} qemu-x86 qemu-seabios qemu-ipxe flex perl python3 xz\n")
)]
#[case::apk(ALPINE, "apk", "apk add qemu-system-x86_64 flex perl python3 xz\n")]
fn what_is_missing_is_installed(
    #[case] distribution: &str,
    #[case] manager: &str,
    #[case] called: &str,
) {
    let machine = Machine::new(distribution).without(&["flex", "perl", "python3", "xz"]);
    machine.manager(manager);
    for name in ["flex", "perl", "python3", "xz"] {
        write_program(&machine.path("packages").join(name), "exit 0");
    }
    machine.run(&[]).check(0, "bootstrap: done", "", called);
    // The second time, nothing is missing.
    machine.run(&[]).check(0, "everything is there", "", called);
}

#[test]
fn apt_takes_qemu_from_the_suite_that_has_it() {
    let machine = Machine::new(DEBIAN).without(&["xz"]);
    machine.apt(
        "qemu-system-x86 | 1:10.0.2 | scheme://x trixie/main amd64 Packages\n\
         xz-utils | 5.4 | scheme://x bookworm/main amd64 Packages\n",
    );
    write_program(&machine.path("packages/xz"), "exit 0");
    let quiet = "apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends";
    let called = format!("{quiet} xz-utils\n{quiet} -t trixie qemu-system-x86\n");
    machine.run(&[]).check(0, "bootstrap: done", "", &called);
}

#[test]
fn headers_and_the_static_library_are_looked_for() {
    let machine = Machine::new(FEDORA);
    machine.manager("dnf");
    machine.program(
        "gcc",
        r#"case "$*" in *print*) echo libc.a;; *) read -r line; case $line in *gelf*) exit 1;; esac;; esac"#,
    );
    machine.run(&["--print"]).check(
        0,
        &format!("{DNF} qemu-system-x86-core elfutils-libelf-devel glibc-static\n"),
        "",
        "",
    );
}

#[test]
fn coverage_needs_more() {
    let machine = Machine::new(ARCH);
    machine.manager("pacman");
    let print = machine.run(&["--coverage", "--print"]);
    print.check(
        0,
        &format!("{PACMAN} qemu-system-x86 clang lld llvm lcov\n"),
        "",
        "",
    );
}

#[rstest]
#[case::kvm_of_rhel(ROCKY, "dnf", &format!("{DNF} qemu-kvm\n"))]
#[case::of_several_that_of_the_distribution(ARCH, "pacman", &format!("{PACMAN} qemu-system-x86\n"))]
fn print_changes_nothing(
    #[case] distribution: &str,
    #[case] manager: &str,
    #[case] commands: &str,
) {
    let machine = Machine::new(distribution);
    machine.manager(manager);
    machine.manager("apk");
    let ended = machine.run(&["--print"]);
    ended.check(0, commands, "", "");
    assert_eq!(ended.out, commands);
}

#[rstest]
#[case::new_enough("9.1.0", 0, "everything is there")]
#[case::too_old("7.2.0", 0, "dnf")]
fn the_qemu_of_rhel_counts(#[case] version: &str, #[case] code: i32, #[case] says: &str) {
    let machine = Machine::new(ROCKY);
    machine.manager("dnf");
    let text = format!("echo 'QEMU emulator version {version} (qemu-kvm-{version}.el9)'");
    write_program(&machine.path("usr/libexec/qemu-kvm"), &text);
    let arguments: &[&str] = if says == "dnf" { &["--print"] } else { &[] };
    machine.run(arguments).check(code, says, "", "");
}

#[test]
fn without_root_the_command_is_printed() {
    let machine = Machine::new(FEDORA);
    machine.manager("dnf");
    machine.program("id", "echo 1000");
    let command = format!("run as root:\n  {DNF} qemu-system-x86-core\n");
    machine.run(&[]).check(1, "", &command, "");
    // The same with a sudo that asks for a password.
    machine.program("sudo", "exit 1");
    machine.run(&[]).check(1, "", &command, "");
}

#[test]
fn a_sudo_without_a_password_is_used() {
    let machine = Machine::new(ALPINE);
    machine.manager("apk");
    machine.program("id", "echo 1000");
    let log = machine.path("log");
    let text = format!(
        r#"[ "$2" = true ] || {{ echo "sudo $*" >>{}; shift; exec "$@"; }}"#,
        log.display()
    );
    machine.program("sudo", &text);
    let called = "sudo -n apk add qemu-system-x86_64\napk add qemu-system-x86_64\n";
    machine.run(&[]).check(0, "bootstrap: done", "", called);
}

#[test]
fn backports_are_added_and_printed_as_commands() {
    let machine = Machine::new(DEBIAN);
    machine.apt("qemu-system-x86 | 1:7.2 | scheme://x bookworm/main amd64 Packages\n");
    machine.program("apt-get", "echo 'bookworm scheme://x'");
    let ended = machine.run(&["--print"]);
    let list = "iommufd-conformance-backports.list";
    ended.check(0, "scheme://x bookworm-backports main", "", "");
    assert!(
        ended
            .out
            .ends_with("install --no-install-recommends -t bookworm-backports qemu-system-x86\n")
    );
    assert!(
        ended
            .out
            .contains("apt-get update -o Dir::Etc::SourceList="),
        "{}",
        ended.out
    );
    assert!(!machine.path("etc/apt/sources.list.d").join(list).exists());
}

#[rstest]
#[case::dnf(FEDORA, "dnf", "dnf upgrade cargo rust")]
#[case::pacman(ARCH, "pacman", "pacman -Syu rust")]
#[case::zypper(SUSE, "zypper", "zypper install rustup")]
#[case::apk(ALPINE, "apk", "apk add rustup")]
#[case::apt(DEBIAN, "apt-get", "apt-get install rustup")]
fn an_old_rust_is_named_before_cargo_fails(
    #[case] distribution: &str,
    #[case] manager: &str,
    #[case] hint: &str,
) {
    let machine = Machine::new(distribution);
    machine.manager(manager);
    machine.program("qemu-system-x86_64", "echo 'QEMU emulator version 9.0.0'");
    machine.rust("1.63.0");
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    let says =
        format!("this project needs Rust {wanted} or newer, but the rustc in PATH is 1.63.0");
    let ended = machine.run(&[]);
    ended.check(1, "", &says, "");
    assert!(
        ended.err.contains(hint) && ended.err.contains("rustup"),
        "{}",
        ended.err
    );
}

#[rstest]
#[case::dnf(FEDORA, "dnf", &format!("{DNF} cargo\n"))]
#[case::pacman(ARCH, "pacman", &format!("{PACMAN} rust\n"))]
fn a_missing_rust_is_installed_and_then_looked_at(
    #[case] distribution: &str,
    #[case] manager: &str,
    #[case] called: &str,
) {
    let machine = Machine::new(distribution).without(&["cargo", "rustc"]);
    machine.manager(manager);
    machine.program("qemu-system-x86_64", "echo 'QEMU emulator version 9.0.0'");
    let packages = machine.path("packages");
    write_program(&packages.join("cargo"), "exit 0");
    write_program(&packages.join("rustc"), "echo 'rustc 1.70.0 (x)'");
    machine
        .run(&[])
        .check(1, "", "the rustc in PATH is 1.70.0", called);
    write_program(&packages.join("rustc"), "echo 'rustc 1.95.0 (x)'");
    let machine = machine.without(&["cargo", "rustc"]);
    fs::remove_file(machine.path("log")).unwrap();
    machine.run(&[]).check(0, "bootstrap: done", "", called);
}

#[rstest]
#[case::too_old("1.63.0+dfsg1-2", "apt-get install rustup", "")]
#[case::new_enough("1.90.0+dfsg1-1", "", "install --no-install-recommends cargo\n")]
fn apt_installs_a_rust_that_is_new_enough(
    #[case] version: &str,
    #[case] says: &str,
    #[case] called: &str,
) {
    let machine = Machine::new(DEBIAN).without(&["cargo", "rustc"]);
    machine.apt(&format!(
        "cargo | {version} | scheme://x sid/main amd64 Packages\n\
         rustc | {version} | scheme://x sid/main amd64 Packages\n"
    ));
    machine.program("qemu-system-x86_64", "echo 'QEMU emulator version 9.0.0'");
    if says.is_empty() {
        write_program(&machine.path("packages/cargo"), "exit 0");
        write_program(&machine.path("packages/rustc"), "echo 'rustc 1.90.0'");
    }
    let ended = machine.run(&[]);
    assert_eq!(
        ended.code,
        Some(i32::from(!says.is_empty())),
        "{}",
        ended.err
    );
    assert!(ended.err.contains(says), "{}", ended.err);
    assert!(ended.called.ends_with(called), "{}", ended.called);
}

#[rstest]
#[case::no_manager(&[], 1, "there is no apt, dnf, pacman, zypper or apk in PATH")]
#[case::usage(&["--nosuch"], 2, "usage: scripts/bootstrap")]
fn what_it_cannot_do_is_said(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    Machine::new("").run(arguments).check(code, "", says, "");
}

#[test]
fn what_the_packages_did_not_bring_is_named() {
    let machine = Machine::new(FEDORA).without(&["flex"]);
    machine.manager("dnf");
    let called = format!("{DNF} qemu-system-x86-core flex\n");
    machine
        .run(&[])
        .check(1, "", "still missing after the installation: flex", &called);
}
