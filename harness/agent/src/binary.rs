//! Runs a program of the initramfs to its end.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::os::fd::AsFd;

use crate::pidfd::pidfd;

/// File for the output of the program. A pipe could be held open by processes that it leaves
/// behind.
const OUTPUT: &str = "/tmp/program-output";
/// Maximum number of bytes of output to report, from its end.
const LIMIT: u64 = 1 << 20;

/// Runs a program with a time limit. Returns its exit code, or 128 plus the signal that ended it,
/// and its output.
pub fn run(program: &str, args: &[String], limit: Duration) -> io::Result<(u64, Vec<u8>)> {
    let output = File::create(OUTPUT)?;
    let mut child = Command::new(program)
        .args(args)
        .current_dir("/tmp")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    let status = wait(&mut child, limit);
    let said = tail();
    let _ = fs::remove_file(OUTPUT);
    Ok((code(status?), said?))
}

/// Waits for the program to end, or kills it at the deadline, together with the processes that it
/// started.
fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let id = Pid::from_raw(child.id().cast_signed());
    let deadline = Instant::now() + limit;
    let exit = pidfd(id)?;
    let mut fds = [PollFd::new(exit.as_fd(), PollFlags::POLLIN)];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            _ => break,
        }
    }
    let _ = killpg(id, Signal::SIGKILL);
    child.wait()
}

fn tail() -> io::Result<Vec<u8>> {
    let mut file = File::open(OUTPUT)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LIMIT)))?;
    let mut said = Vec::new();
    file.take(LIMIT).read_to_end(&mut said)?;
    Ok(said)
}

/// Returns the exit code as a shell does.
fn code(status: ExitStatus) -> u64 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(255);
    u64::from(code.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_it_ended_and_what_it_said() {
        let shell = |script: &str, limit| {
            let args = ["-c".to_owned(), script.to_owned()];
            let (code, said) = run("/bin/sh", &args, limit).unwrap();
            (code, String::from_utf8(said).unwrap())
        };
        let long = Duration::from_secs(20);
        assert_eq!(
            shell("echo a; echo b >&2; exit 3", long),
            (3, "a\nb\n".to_owned())
        );
        assert_eq!(shell("kill -9 $$", long), (137, String::new()));
        let short = Duration::from_millis(200);
        assert_eq!(shell("echo a; sleep 100", short), (137, "a\n".to_owned()));
        assert!(run("/nonexistent", &[], long).is_err());
    }
}
