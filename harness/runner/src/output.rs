//! Standard output, which may be closed by its reader.

use std::io::{self, ErrorKind, Write};

/// Ignores a closed pipe (`| head`), as if the output had been written.
///
/// So a run continues: its record is complete, and its exit code is that of the verdicts. Death by
/// SIGPIPE (141) would only show that the reader has stopped.
#[derive(Debug)]
pub struct Output<W>(W);

impl Output<io::Stdout> {
    /// Standard output.
    pub fn stdout() -> Self {
        Self(io::stdout())
    }
}

/// Writes a line to standard output, as `println!` does, and ignores a closed pipe.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::output::line(::core::format_args!($($words)*))
    };
}

/// Implements [`say!`](crate::say). Ignores errors such as a full disk, because they cannot be
/// reported.
pub fn line(words: std::fmt::Arguments<'_>) {
    let _ = writeln!(Output::stdout(), "{words}");
}

impl<W: Write> Output<W> {
    /// Wraps another writer.
    pub fn new(to: W) -> Self {
        Self(to)
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_closed(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_closed(self.0.flush(), ())
    }
}

fn unless_closed<T>(written: io::Result<T>, otherwise: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(otherwise),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use rstest::rstest;

    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[rstest]
    #[case::closed_pipe(ErrorKind::BrokenPipe, true)]
    #[case::full_disk(ErrorKind::StorageFull, false)]
    fn only_a_closed_pipe_is_no_error(#[case] kind: ErrorKind, #[case] dropped: bool) {
        let mut output = Output::new(Fails(kind));
        let written = writeln!(output, "text").and_then(|()| output.flush());
        assert_eq!(written.is_ok(), dropped);
    }
}
