//! Configures and compiles a kernel with its own makefiles.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::Compiler;
use crate::cache::{copy, make_dir, read, write};
use crate::coverage::{self, Llvm};
use crate::error::ImageError;
use crate::fragment::{Setting, merge, mismatches};
use crate::image::KEPT;
use crate::process::{self, check, command, output, run, shown};
use crate::progress::Progress;
use crate::x86;

/// Programs that every build calls by name.
const TOOLS: &[&str] = &["make", "flex", "bison", "bc", "perl", "gzip", "tar", "xz"];
/// Programs that a build by the GNU tools calls as well.
const GNU_TOOLS: &[&str] = &["gcc", "ld"];

/// Variables of the user for other builds, which must not affect this one.
const FOREIGN: &[&str] = &[
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "O",
    "ARCH",
    "CROSS_COMPILE",
    "CC",
    "LLVM",
    "KBUILD_OUTPUT",
    "KBUILD_EXTMOD",
    "KCFLAGS",
    "KCPPFLAGS",
    "KCONFIG_CONFIG",
    "KCONFIG_ALLCONFIG",
    "KCONFIG_OVERWRITECONFIG",
    "INSTALL_HDR_PATH",
    "LOCALVERSION",
    "V",
];

/// Estimated number of steps of a full build, if none was counted before.
const USUAL_STEPS: u64 = 1800;
/// Maximum number of error lines to show.
const EXCERPT: usize = 20;

/// The compiler and its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// gcc, or the program given, and the GNU tools.
    Gnu { cc: Option<String> },
    /// clang and the LLVM tools, by the value of make's variable `LLVM`.
    Llvm(String),
    /// clang, with gcov counters for the code under test.
    Counting(Llvm),
}

impl Toolchain {
    /// Returns the tools for a compiler. A kernel with counters is always built by clang.
    pub(crate) fn of(compiler: &Compiler, gcov: bool) -> Result<Self, ImageError> {
        Ok(match compiler {
            _ if gcov => Self::Counting(Llvm::find()?),
            Compiler::Gcc => Self::Gnu { cc: None },
            Compiler::Cc(program) => Self::Gnu {
                cc: Some(program.clone()),
            },
            Compiler::Llvm(Some(value)) => Self::Llvm(value.clone()),
            Compiler::Llvm(None) => Self::Llvm(Llvm::find()?.value().to_owned()),
        })
    }

    /// Checks that the programs that a build calls are installed.
    pub(crate) fn check(&self) -> Result<(), ImageError> {
        let own = match self {
            Self::Gnu { .. } => GNU_TOOLS.iter().map(|name| (*name).to_owned()).collect(),
            Self::Llvm(_) | Self::Counting(_) => Vec::new(),
        };
        let all = TOOLS.iter().map(|name| (*name).to_owned());
        let all: Vec<String> = all.chain(own).chain(self.compilers()).collect();
        let missing = process::missing(&all);
        if missing.is_empty() {
            return Ok(());
        }
        let mut programs: Vec<_> = missing.into_iter().map(str::to_owned).collect();
        programs.dedup();
        Err(ImageError::ToolsMissing { programs })
    }

    /// Returns the compiler and the linker.
    fn compilers(&self) -> Vec<String> {
        match self {
            Self::Gnu { cc } => vec![cc.clone().unwrap_or_else(|| "gcc".to_owned()), "ld".into()],
            Self::Llvm(value) => ["clang", "ld.lld"].map(|it| llvm_program(value, it)).into(),
            Self::Counting(llvm) => ["clang", "ld.lld"].map(|it| llvm.program(it)).into(),
        }
    }

    /// Returns the first line that each of the programs prints about its version.
    pub(crate) fn versions(&self) -> Result<String, ImageError> {
        versions(&self.compilers())
    }

    /// Returns the arguments of make.
    fn make_arguments(&self, source: &Path) -> Vec<String> {
        match self {
            Self::Gnu { cc } => cc.iter().map(|cc| format!("CC={cc}")).collect(),
            Self::Llvm(value) => vec![format!("LLVM={value}")],
            Self::Counting(llvm) => llvm.make_arguments(source).into(),
        }
    }
}

/// Returns a program of LLVM as kbuild finds it: by a folder, by a suffix, or in PATH.
fn llvm_program(value: &str, program: &str) -> String {
    match value {
        folder if folder.ends_with('/') => format!("{folder}{program}"),
        suffix if suffix.starts_with('-') => format!("{program}{suffix}"),
        _ => program.to_owned(),
    }
}

fn versions(tools: &[String]) -> Result<String, ImageError> {
    let mut lines = String::new();
    for tool in tools {
        let text = output(command(tool).arg("--version"), "")?;
        lines.push_str(text.lines().next().unwrap_or_default());
        lines.push('\n');
    }
    Ok(lines)
}

/// A source tree and the folder for its objects.
pub(crate) struct Kbuild {
    source: PathBuf,
    objects: PathBuf,
    /// Suffix of the version; `None` uses the tree's git.
    local_version: Option<&'static str>,
    toolchain: Toolchain,
}

impl Kbuild {
    /// For a tree that is not a git checkout.
    pub(crate) fn plain(source: PathBuf, objects: PathBuf, toolchain: Toolchain) -> Self {
        Self {
            source,
            objects,
            local_version: Some(""),
            toolchain,
        }
    }

    /// For a developer's checkout: the release shows if it is between two tags.
    pub(crate) fn checkout(source: PathBuf, objects: PathBuf, toolchain: Toolchain) -> Self {
        Self {
            source,
            objects,
            local_version: None,
            toolchain,
        }
    }

    /// The .config.
    pub(crate) fn config(&self) -> PathBuf {
        self.objects.join(".config")
    }

    /// The kernel image.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.objects.join(x86::BUILT_IMAGE)
    }

    /// Creates a minimal configuration with the settings, and checks that it has them.
    pub(crate) fn configure(&self, settings: &[Setting]) -> Result<(), ImageError> {
        make_dir(&self.objects)?;
        self.step(&["tinyconfig"])?;
        let merged = merge(&read(&self.config())?, settings);
        write(&self.config(), merged)?;
        self.refresh(settings)
    }

    /// Lets Kconfig complete the existing .config, and checks that it has the settings.
    pub(crate) fn refresh(&self, settings: &[Setting]) -> Result<(), ImageError> {
        self.step(&["olddefconfig"])?;
        let found = mismatches(&read(&self.config())?, settings);
        if found.is_empty() {
            return Ok(());
        }
        Err(ImageError::ConfigNotApplied {
            release: self.release().unwrap_or_else(|_| "this tree".to_owned()),
            mismatches: found,
            with_user: settings.iter().any(|it| it.of_user),
        })
    }

    /// Returns the kernel's `uname -r`.
    pub(crate) fn release(&self) -> Result<String, ImageError> {
        let text = output(self.make().args(["-s", "kernelrelease"]), KCONFIG_HINT)?;
        Ok(text.trim().to_owned())
    }

    /// Compiles the image and further targets, and returns the number of steps.
    pub(crate) fn compile(
        &self,
        also: &[String],
        log: &Path,
        expected: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<u64, ImageError> {
        let mut make = self.make();
        make.arg(format!("-j{}", jobs())).arg(x86::IMAGE).args(also);
        let mut build = Build::new(log, expected)?;
        let finished = run(&mut make, &mut |line| build.line(line, progress))?;
        if finished.status.success() {
            return Ok(build.steps);
        }
        Err(ImageError::BuildFailed {
            command: shown(&make),
            status: finished.status.to_string(),
            excerpt: build.excerpt(&finished.tail),
            log: log.to_owned(),
        })
    }

    /// Writes the uAPI headers to the folder.
    pub(crate) fn headers(&self, to: &Path) -> Result<(), ImageError> {
        // `headers_install` needs rsync, and does the same as the copy below.
        self.step(&[&format!("-j{}", jobs()), "headers"])?;
        copy_headers(&self.objects.join("usr/include"), to)
    }

    /// Copies the additional files of the flavour to an image.
    pub(crate) fn keep_extras(&self, keep: &[PathBuf], image: &Path) -> Result<(), ImageError> {
        for name in keep {
            self.keep(name, &image.join(KEPT))?;
        }
        match self.toolchain {
            Toolchain::Gnu { .. } | Toolchain::Llvm(_) => Ok(()),
            Toolchain::Counting(_) => coverage::keep(&self.source, &self.objects, image),
        }
    }

    /// Copies a file or folder of the build to its place below `to`. Links are followed: scripts
    /// are links to the source.
    fn keep(&self, name: &Path, to: &Path) -> Result<(), ImageError> {
        let (from, target) = (self.objects.join(name), to.join(name));
        if !from.exists() {
            return Err(ImageError::NotMade {
                file: name.to_owned(),
            });
        }
        target.parent().map_or(Ok(()), make_dir)?;
        let mut copy = command("cp");
        copy.args(["--recursive", "--dereference", "--"]);
        check(copy.arg(from).arg(target), KCONFIG_HINT)
    }

    /// Runs make to its end. A failure is one of the kernel's makefiles or configuration.
    fn step(&self, arguments: &[&str]) -> Result<(), ImageError> {
        check(self.make().args(arguments), "").map_err(|error| match error {
            ImageError::StepFailed {
                command,
                status,
                tail,
                ..
            } => ImageError::Kconfig {
                command,
                status,
                tail,
            },
            other => other,
        })
    }

    fn make(&self) -> Command {
        let mut make = command("make");
        for name in FOREIGN {
            make.env_remove(name);
        }
        make.arg("-C").arg(&self.source);
        make.arg(format!("O={}", self.objects.display()))
            .arg(format!("ARCH={}", x86::KBUILD));
        make.args(
            self.local_version
                .map(|text| format!("LOCALVERSION={text}")),
        );
        make.args(self.toolchain.make_arguments(&self.source));
        make.env("KBUILD_BUILD_TIMESTAMP", "1970-01-01 00:00:00 UTC")
            .env("KBUILD_BUILD_USER", "user")
            .env("KBUILD_BUILD_HOST", "host")
            .env("KBUILD_BUILD_VERSION", "1");
        make
    }
}

const KCONFIG_HINT: &str =
    "if a program is missing, scripts/bootstrap installs it; otherwise correct the tree\n";

/// Returns the expected number of steps of a full build.
pub(crate) fn expected(counted: Option<u64>) -> u64 {
    counted.unwrap_or(USUAL_STEPS)
}

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Follows the output of a build.
struct Build {
    log: File,
    path: PathBuf,
    expected: Option<u64>,
    steps: u64,
    errors: VecDeque<String>,
}

impl Build {
    fn new(log: &Path, expected: Option<u64>) -> Result<Self, ImageError> {
        let file = File::create(log).map_err(|source| log_failed(log, source))?;
        Ok(Self {
            log: file,
            path: log.to_owned(),
            expected,
            steps: 0,
            errors: VecDeque::new(),
        })
    }

    fn line(&mut self, line: &str, progress: &dyn Progress) -> Result<(), ImageError> {
        writeln!(self.log, "{line}").map_err(|source| log_failed(&self.path, source))?;
        if is_step(line) {
            self.steps += 1;
            progress.steps(self.steps, self.expected);
        } else if is_error(line) && self.errors.len() < EXCERPT {
            self.errors.push_back(line.to_owned() + "\n");
        }
        Ok(())
    }

    /// Returns the first errors, or the tail if no line looks like an error.
    fn excerpt(self, tail: &str) -> String {
        if self.errors.is_empty() {
            tail.to_owned()
        } else {
            self.errors.into_iter().collect()
        }
    }
}

/// Whether a line is a step, such as "  CC      kernel/fork.o".
fn is_step(line: &str) -> bool {
    let word = line
        .strip_prefix("  ")
        .and_then(|rest| rest.split(' ').next());
    word.is_some_and(|word| word.len() > 1 && word.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn is_error(line: &str) -> bool {
    ["error:", "not found", "undefined reference", "No such file"]
        .iter()
        .any(|mark| line.contains(mark))
        || line.contains("***")
}

/// Returns the first errors of a log, or its last lines if no line looks like an error.
pub(crate) fn excerpt_of(log: impl io::BufRead) -> io::Result<String> {
    let (mut errors, mut tail) = (String::new(), VecDeque::new());
    let mut count = 0;
    for line in log.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line).into_owned() + "\n";
        if is_error(&line) {
            errors.push_str(&line);
            count += 1;
        }
        if count == EXCERPT {
            return Ok(errors);
        }
        if tail.len() == EXCERPT {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    Ok(match errors.is_empty() {
        true => tail.into_iter().collect(),
        false => errors,
    })
}

fn log_failed(path: &Path, source: std::io::Error) -> ImageError {
    ImageError::File {
        doing: "write",
        path: path.to_owned(),
        hint: "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free",
        source,
    }
}

/// Copies the `.h` files and the folders they are in.
fn copy_headers(from: &Path, to: &Path) -> Result<(), ImageError> {
    make_dir(to)?;
    let failed = |source| ImageError::File {
        doing: "read",
        path: from.to_owned(),
        hint: "run again",
        source,
    };
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_headers(&path, &target)?;
        } else if path.extension().is_some_and(|ext| ext == "h") {
            copy(&path, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rstest::rstest;

    #[rstest]
    #[case("1", "clang")]
    #[case("-19", "clang-19")]
    #[case("/opt/llvm/bin/", "/opt/llvm/bin/clang")]
    fn finds_clang_as_kbuild_does(#[case] value: &str, #[case] want: &str) {
        assert_eq!(llvm_program(value, "clang"), want);
    }

    #[test]
    fn a_compiler_that_is_not_there_is_named() {
        let toolchain = Toolchain::of(&Compiler::Cc("gcc-none".to_owned()), false).unwrap();
        let error = toolchain.check().unwrap_err().to_string();
        assert!(error.contains("gcc-none"), "{error}");
    }

    #[rstest]
    #[case("  CC      kernel/fork.o", true)]
    #[case("  LD [M]  a.ko", true)]
    #[case("make[1]: Entering directory", false)]
    #[case("  lower", false)]
    #[case("", false)]
    fn knows_a_step(#[case] line: &str, #[case] want: bool) {
        assert_eq!(is_step(line), want);
    }

    #[test]
    fn a_failure_shows_the_first_errors_and_keeps_the_log() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut build = Build::new(log.path(), None).unwrap();
        for line in [
            "  CC      a.o",
            "a.c:1:2: error: no such thing",
            "make: *** [a.o] Error 1",
        ] {
            build.line(line, &Silent).unwrap();
        }
        assert_eq!(build.steps, 1);
        let excerpt = build.excerpt("tail\n");
        assert_eq!(
            excerpt,
            "a.c:1:2: error: no such thing\nmake: *** [a.o] Error 1\n"
        );
        assert_eq!(
            std::fs::read_to_string(log.path()).unwrap().lines().count(),
            3
        );
    }

    #[rstest]
    #[case(
        "  CC a.o\na.c:1: error: x\nmake: *** [a.o] Error 1\nend\n",
        "a.c:1: error: x\nmake: *** [a.o] Error 1\n"
    )]
    #[case("one\ntwo\n", "one\ntwo\n")]
    #[case("", "")]
    fn a_log_is_shown_by_its_errors_or_its_end(#[case] log: &str, #[case] want: &str) {
        assert_eq!(excerpt_of(log.as_bytes()).unwrap(), want);
        let long = "a line\n".repeat(100);
        let shown = excerpt_of(long.as_bytes()).unwrap();
        assert_eq!(shown.lines().count(), EXCERPT);
    }

    #[test]
    fn a_file_that_the_build_did_not_make_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("objects")).unwrap();
        std::fs::write(at("objects/vmlinux"), "x").unwrap();
        let toolchain = Toolchain::Gnu { cc: None };
        let kbuild = Kbuild::plain(at("source"), at("objects"), toolchain);
        let keep = ["vmlinux", "scripts/gdb"].map(PathBuf::from);
        let error = kbuild.keep_extras(&keep, &at("image")).unwrap_err();
        assert!(error.to_string().contains("scripts/gdb"), "{error}");
        assert!(at("image").join(KEPT).join("vmlinux").exists());
    }

    #[test]
    fn a_failure_without_an_error_line_shows_the_tail() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let build = Build::new(log.path(), None).unwrap();
        assert_eq!(build.excerpt("tail\n"), "tail\n");
    }
}
