//! A child program whose output is read line by line, and which does not outlive this one.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl,
        signal::{Signal, killpg},
    },
    unistd::Pid,
};

use crate::FullError;

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
}

/// The next event of a program.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line(String),
    /// It has closed its output.
    End,
    /// It has not printed anything within the given time.
    Silence,
}

impl Process {
    /// Starts a program. Its standard output and error are copied to `log` and read here line by
    /// line.
    pub fn start(mut command: Command, log: &Path) -> Result<Self, FullError> {
        let failed = |error| FullError::File {
            doing: "writing",
            path: log.to_owned(),
            error,
        };
        let file = File::create(log).map_err(failed)?;
        command
            .stdin(Stdio::null())
            // Only this program receives Ctrl-C, and then ends the other one.
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: one system call between fork and exec.
        unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .spawn()
            .map_err(|error| FullError::Start { program, error })?;
        let (to, lines) = channel();
        if let Some(errors) = child.stderr.take() {
            let (to, file) = (to.clone(), file.try_clone().map_err(failed)?);
            thread::spawn(move || each_line(errors, file, &|line| to.send(line).is_ok()));
        }
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || each_line(output, file, &|line| to.send(line).is_ok()));
        }
        Ok(Self { child, lines })
    }

    /// Returns the next line, or what happened within the time limit.
    pub fn next(&self, limit: Duration) -> Next {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Next::Line(line),
            Err(RecvTimeoutError::Timeout) => Next::Silence,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// Asks it and the programs that it has started to stop, and waits for its end. A program that
    /// was started in the background may ignore SIGINT, so it is SIGTERM. If it is still running
    /// after the time limit, it is killed.
    pub fn stop(self, limit: Duration) {
        let Ok(pid) = i32::try_from(self.child.id()) else {
            return;
        };
        // It may have ended by itself.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
        let start = Instant::now();
        while let Some(left) = limit.checked_sub(start.elapsed()) {
            if self.next(left) == Next::End {
                return;
            }
        }
    }

    /// Waits for its end.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has already ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn each_line(output: impl Read, mut log: File, take: &dyn Fn(String) -> bool) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while output
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|read| read > 0)
    {
        // The log is only for people, so an error does not matter.
        let _ = log.write_all(&bytes);
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if !take(line) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn shell(script: &str, log: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command, log).unwrap()
    }

    #[test]
    fn lines_are_read_and_kept() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut process = shell("echo a; printf b; exit 3", log.path());
        assert_eq!(process.next(60 * SECOND), Next::Line("a".to_owned()));
        assert_eq!(process.next(60 * SECOND), Next::Line("b".to_owned()));
        assert_eq!(process.next(60 * SECOND), Next::End);
        assert_eq!(process.end().unwrap().code(), Some(3));
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "a\nb");
    }

    #[test]
    fn a_program_that_is_stopped_can_clean_up() {
        let folder = tempfile::tempdir().unwrap();
        let (log, left) = (folder.path().join("log"), folder.path().join("left"));
        let script = format!(
            "trap 'touch {}; exit' TERM; echo a; while :; do sleep 0.01; done",
            left.display()
        );
        let process = shell(&script, &log);
        assert_eq!(process.next(60 * SECOND), Next::Line("a".to_owned()));
        process.stop(60 * SECOND);
        assert!(left.exists());
    }

    #[test]
    fn silence_is_noticed_and_the_program_ended() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let process = shell("exec sleep 1000", log.path());
        assert_eq!(process.next(Duration::from_millis(10)), Next::Silence);
    }
}
