//! The files of a divergence: a case that can be committed, and a C program that can be sent.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use runner::{
    lab::{Lab, load_case_file},
    options::cases_folder,
    program::Platforms,
};

use crate::script::Script;

/// The files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    case: PathBuf,
    /// Path of the C program, or why the case cannot be written as one.
    program: Result<PathBuf, String>,
}

impl fmt::Display for Artifacts {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "  as a case: {}", self.case.display())?;
        match &self.program {
            Ok(path) => write!(to, "  as a C program: {}", path.display()),
            Err(why) => write!(to, "  it cannot be written as a C program: {why}"),
        }
    }
}

impl Artifacts {
    /// Writes both files into the folder of the run.
    pub fn write(lab: &Lab, name: &str, script: &Script) -> io::Result<Self> {
        let case = lab.path().join(format!("{name}.yaml"));
        fs::write(&case, &script.text)?;
        let program = match program(lab, &case) {
            Ok(text) => {
                let path = case.with_extension("c");
                fs::write(&path, text)?;
                Ok(path)
            }
            Err(why) => Err(why),
        };
        Ok(Self { case, program })
    }
}

fn program(lab: &Lab, case: &Path) -> Result<String, String> {
    let corpus = load_case_file(&cases_folder(), case);
    let corpus = corpus.map_err(|error| error.to_string())?;
    let platforms = Platforms::load(Some(&lab.platform.name)).map_err(|error| error.to_string())?;
    let case = corpus.cases.first().ok_or("the file has no case")?;
    let program = platforms.program(case, &corpus.clauses);
    program
        .map(|program| program.text)
        .map_err(|error| error.to_string())
}
