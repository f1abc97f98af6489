//! The target that the agent is compiled for.

use std::{path::Path, process::Command};

use vm_images::x86::{RUST_TARGET_ALPINE, RUST_TARGET_GNU, RUST_TARGET_MUSL};

use crate::options::root;

/// A target that gives a static program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AgentTarget {
    /// musl, which comes with the target's library of Rust.
    Musl,
    /// musl, as Alpine's own Rust names it.
    Alpine,
    /// glibc, whose static library is a package of its own on some distributions.
    #[default]
    Gnu,
}

impl AgentTarget {
    /// All of them, the preferred one first.
    pub const ALL: [Self; 3] = [Self::Musl, Self::Alpine, Self::Gnu];

    /// Returns the one that the Rust of this machine compiles for.
    pub fn of_this_rust() -> Self {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Self::of(Path::new(&rustc))
    }

    /// Returns the first one that this rustc has the library of.
    fn of(rustc: &Path) -> Self {
        let mut musl = [Self::Musl, Self::Alpine].into_iter();
        musl.find(|target| target.is_in(rustc)).unwrap_or_default()
    }

    fn is_in(self, rustc: &Path) -> bool {
        let mut ask = Command::new(rustc);
        ask.args(["--print", "target-libdir", "--target", self.triple()]);
        // rustup chooses the toolchain by the folder.
        let Ok(answer) = ask.current_dir(root()).output() else {
            return false;
        };
        // The folder is printed whether it exists or not.
        let folder = String::from_utf8_lossy(&answer.stdout);
        answer.status.success() && Path::new(folder.trim()).is_dir()
    }

    /// Returns its name in Rust.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Musl => RUST_TARGET_MUSL,
            Self::Alpine => RUST_TARGET_ALPINE,
            Self::Gnu => RUST_TARGET_GNU,
        }
    }

    /// Whether the C compiler, which links, has no static library for it.
    pub fn lacks_library(self) -> bool {
        self == Self::Gnu && lacks_static_library(Path::new("cc"))
    }
}

/// Whether this C compiler does not find libc.a; it then prints the bare name.
fn lacks_static_library(compiler: &Path) -> bool {
    let mut ask = Command::new(compiler);
    let answer = ask.arg("-print-file-name=libc.a").output();
    // That a compiler does not run is another mistake, which cargo has named.
    answer.is_ok_and(|it| it.status.success() && !it.stdout.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rstest::rstest;

    use super::*;

    /// A shell script of this text. Another process writes it: a file that this one has open for
    /// writing, or a child of another test has for a moment, cannot be executed.
    fn stand_in(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("program");
        let mut write = Command::new("sh");
        write.args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod +x "$0""#,
        ]);
        let status = write.arg(&path).arg(text).status().unwrap();
        assert!(status.success());
        path
    }

    /// A rustc that has the libraries of these targets.
    fn rustc(folder: &Path, targets: &str) -> PathBuf {
        let here = folder.display();
        let text = format!(
            "case $4 in {targets}) echo {here};; *-gnu) echo /nonexistent;; *) exit 1;; esac"
        );
        stand_in(folder, &text)
    }

    #[rstest]
    #[case::all("*", AgentTarget::Musl)]
    #[case::rustup("*-unknown-*", AgentTarget::Musl)]
    #[case::alpine("*-alpine-*", AgentTarget::Alpine)]
    #[case::gnu("*-gnu", AgentTarget::Gnu)]
    #[case::none("x", AgentTarget::Gnu)]
    fn musl_is_taken_where_rust_has_it(#[case] targets: &str, #[case] want: AgentTarget) {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(AgentTarget::of(&rustc(folder.path(), targets)), want);
    }

    #[test]
    fn without_rustc_it_is_glibc() {
        assert_eq!(AgentTarget::of(Path::new("/nonexistent")), AgentTarget::Gnu);
    }

    #[rstest]
    #[case::there("echo /usr/lib/libc.a", false)]
    #[case::not_installed("echo libc.a", true)]
    #[case::other_mistake("exit 1", false)]
    fn the_compiler_says_whether_it_has_a_static_library(#[case] text: &str, #[case] want: bool) {
        let folder = tempfile::tempdir().unwrap();
        let compiler = stand_in(folder.path(), text);
        assert_eq!(lacks_static_library(&compiler), want);
    }
}
