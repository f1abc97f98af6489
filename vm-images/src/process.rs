//! Runs the programs that fetch and build a kernel.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

use crate::error::ImageError;

/// Number of last lines to show in an error.
const TAIL: usize = 20;

/// How a program ended, and the last lines it printed.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) tail: String,
}

/// A child that does not outlive its guard.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail if the child has already ended, which is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a command with a known environment that ends with this process.
///
/// The child stays in this process's group, so that Ctrl-C reaches both. If only this process is
/// killed, the kernel sends SIGTERM to the child, and `make` passes it on to its children.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("LC_ALL", "C");
    let parent = getpid();
    // SAFETY: the closure runs between fork and exec. It makes two system calls and
    // allocates nothing.
    unsafe {
        command.pre_exec(move || die_with(parent));
    }
    command
}

/// Asks for a SIGTERM when the parent ends.
fn die_with(parent: Pid) -> std::io::Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    // The parent may have ended before the call.
    if getppid() == parent {
        Ok(())
    } else {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}

/// Runs a command to its end, and passes each line of its output and errors to `each`, in order.
pub(crate) fn run(
    command: &mut Command,
    each: &mut dyn FnMut(&str) -> Result<(), ImageError>,
) -> Result<Finished, ImageError> {
    let (mut child, reader) = start(command).map_err(|source| not_started(command, source))?;
    // The reader only sees the end if this process has also closed its side of the pipe.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tail = VecDeque::with_capacity(TAIL);
    let failed = |source| ImageError::File {
        doing: "read the output of",
        path: command.get_program().into(),
        hint: "run again",
        source,
    };
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        each(&line)?;
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line + "\n");
    }
    let status = child.0.wait().map_err(failed)?;
    Ok(Finished {
        status,
        tail: tail.into_iter().collect(),
    })
}

/// Starts the command with both its outputs in one pipe.
fn start(command: &mut Command) -> std::io::Result<(Guard, PipeReader)> {
    let (reader, writer) = std::io::pipe()?;
    let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    Ok((Guard(child), reader))
}

/// Runs a command to its end. A failure is an error with the last lines and the hint.
pub(crate) fn check(command: &mut Command, hint: &str) -> Result<(), ImageError> {
    let finished = run(command, &mut |_| Ok(()))?;
    if finished.status.success() {
        Ok(())
    } else {
        Err(step_failed(command, finished.status, finished.tail, hint))
    }
}

/// Returns the standard output of a command that has to succeed.
pub(crate) fn output(command: &mut Command, hint: &str) -> Result<String, ImageError> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let result = command
        .output()
        .map_err(|source| not_started(command, source))?;
    if result.status.success() {
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    } else {
        let tail = String::from_utf8_lossy(&result.stderr).into_owned();
        Err(step_failed(command, result.status, tail, hint))
    }
}

/// Returns the command as a user would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(std::ffi::OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// Returns the programs that are not in PATH.
pub fn missing<S: AsRef<str>>(programs: &[S]) -> Vec<&str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    programs
        .iter()
        .map(AsRef::as_ref)
        .filter(|name| !found(name))
        .collect()
}

/// Returns the first line of a file, for messages.
pub(crate) fn first_line(path: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .ok()?
        .take(200)
        .read_to_string(&mut text)
        .ok()?;
    text.lines().next().map(str::to_owned)
}

fn not_started(command: &Command, source: std::io::Error) -> ImageError {
    ImageError::NotStarted {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    }
}

fn step_failed(command: &Command, status: ExitStatus, tail: String, hint: &str) -> ImageError {
    ImageError::StepFailed {
        command: shown(command),
        status: status.to_string(),
        tail,
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_over_both_outputs_in_order() {
        let mut lines = Vec::new();
        let mut shell = command("sh");
        shell.args(["-c", "echo a; echo b >&2; printf c; exit 3"]);
        let finished = run(&mut shell, &mut |line| {
            lines.push(line.to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(lines, ["a", "b", "c"]);
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.tail, "a\nb\nc\n");
    }

    #[test]
    fn an_error_of_the_reader_ends_the_child() {
        let mut shell = command("sh");
        shell.args(["-c", "echo a; exec sleep 1000"]);
        let stop = |_: &str| Err(ImageError::FolderAsTarball { path: "x".into() });
        assert!(run(&mut shell, &mut { stop }).is_err());
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(missing(&["sh", "no-such-program"]), ["no-such-program"]);
        let error = check(&mut command("no-such-program"), "")
            .unwrap_err()
            .to_string();
        assert!(error.contains("scripts/bootstrap"), "{error}");
    }

    #[test]
    fn an_error_holds_the_command_and_its_words() {
        let mut shell = command("sh");
        shell.args(["-c", "echo woe; exit 1"]);
        let error = check(&mut shell, "try again").unwrap_err().to_string();
        assert!(
            error.contains("woe") && error.contains("exit status: 1"),
            "{error}"
        );
        assert!(error.ends_with("try again"), "{error}");
    }
}
