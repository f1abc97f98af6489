//! Draws a picture and writes it to a file.

use std::{
    ffi::OsStr,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::NamedTempFile;

use crate::picture::{dot::dot, graph::Picture, svg::svg};

/// Why the picture could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file name has an unknown extension.
    #[error("--graph {}: the file name has to end in .svg, or in .dot for graphviz source",
             .0.display())]
    Ending(PathBuf),
    /// A folder does not exist, for example.
    #[error("--graph {}: the file cannot be written: {why}; the folder has to exist and be \
             writable", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        why: io::ErrorKind,
    },
}

/// How graphviz failed although it is installed.
#[derive(Debug, thiserror::Error)]
enum GraphvizError {
    #[error("running `dot -Tsvg`: {0}")]
    Run(#[from] io::Error),
    #[error("`dot -Tsvg` ended with {0}: {1}")]
    Failed(std::process::ExitStatus, String),
    #[error("`dot -Tsvg` did not write SVG")]
    NoSvg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Svg,
    Dot,
}

/// The file for the picture. It is checked to be writable before any walk, and an existing file is
/// kept until the picture is written.
#[derive(Debug)]
pub struct PictureFile {
    path: PathBuf,
    format: Format,
    file: NamedTempFile,
}

impl PictureFile {
    /// Chooses the format from the extension of the path.
    pub fn new(path: &Path) -> Result<Self, PictureError> {
        let format = match path.extension().and_then(OsStr::to_str) {
            Some("svg") => Format::Svg,
            Some("dot" | "gv") => Format::Dot,
            _ => return Err(PictureError::Ending(path.to_owned())),
        };
        let file = beside(path).map_err(unwritable(path))?;
        Ok(Self {
            path: path.to_owned(),
            format,
            file,
        })
    }

    /// Writes the picture.
    pub fn write(mut self, picture: &Picture) -> Result<(), PictureError> {
        let text = match self.format {
            Format::Dot => dot(picture),
            Format::Svg => drawn(picture),
        };
        let written = self.file.write_all(text.as_bytes());
        written.map_err(unwritable(&self.path))?;
        let kept = self.file.persist(&self.path).map_err(|it| it.error);
        kept.map(drop).map_err(unwritable(&self.path))
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> PictureError {
    let path = path.to_owned();
    // The text of the error has the name of the temporary file, which means nothing to the user.
    |error| PictureError::Unwritable {
        path,
        why: error.kind(),
    }
}

/// A temporary file in the folder of the path, with the rights that a new file has.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
}

/// Draws with graphviz, or with a crate if graphviz is not installed or fails.
fn drawn(picture: &Picture) -> String {
    match graphviz(OsStr::new("dot"), &dot(picture)) {
        Ok(Some(text)) => text,
        Ok(None) => svg(picture),
        Err(error) => {
            eprintln!("warning: {error}; the picture is drawn without graphviz");
            svg(picture)
        }
    }
}

/// Runs graphviz. Returns `None` if it is not installed.
fn graphviz(program: &OsStr, text: &str) -> Result<Option<String>, GraphvizError> {
    let mut input = NamedTempFile::new()?;
    input.write_all(text.as_bytes())?;
    let run = Command::new(program)
        .arg("-Tsvg")
        .arg(input.path())
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = match run {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        run => run?,
    };
    // Only the first line: hundreds of lines about graphviz internals may follow.
    let said = String::from_utf8_lossy(&stderr);
    let said = said.lines().next().unwrap_or("no error message").to_owned();
    if !status.success() {
        return Err(GraphvizError::Failed(status, said));
    }
    let text = String::from_utf8_lossy(&stdout).into_owned();
    if text.trim_end().ends_with("</svg>") {
        Ok(Some(text))
    } else {
        Err(GraphvizError::NoSvg)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A fake graphviz. Another process writes the program: if this one did, a child that another
    /// test starts meanwhile could hold the file open for writing, and nobody could execute it.
    fn fake(folder: &Path, script: &str) -> PathBuf {
        let (text, program) = (folder.join("text"), folder.join("dot"));
        std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mut install = Command::new("install");
        let done = install.args(["-m", "755"]).args([&text, &program]).status();
        assert!(done.unwrap().success());
        program
    }

    #[rstest]
    #[case::fails("echo syntax error >&2; exit 3", "syntax error")]
    #[case::is_killed("kill -9 $$", "signal: 9")]
    #[case::says_nothing("exit 0", "did not write SVG")]
    #[case::is_cut_short("echo '<svg>'", "did not write SVG")]
    fn a_graphviz_that_fails_is_told(#[case] script: &str, #[case] says: &str) {
        let folder = tempfile::tempdir().unwrap();
        let program = fake(folder.path(), script);
        let error = graphviz(program.as_os_str(), "digraph {}").unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn graphviz_gets_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let program = fake(folder.path(), "echo \"$1\"; cat \"$2\"; echo '</svg>'");
        let text = graphviz(program.as_os_str(), "digraph {}").unwrap();
        assert_eq!(text.unwrap(), "-Tsvg\ndigraph {}</svg>\n");
    }

    #[test]
    fn a_graphviz_that_is_not_there_is_no_error() {
        assert!(graphviz(OsStr::new("/nowhere/dot"), "").unwrap().is_none());
    }
}
