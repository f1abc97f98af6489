//! Generates files from the code and the corpus: `cargo xtask schema`, `overview`, and `reference`
//! without a name.

use std::{fs, path::Path, process::ExitCode};

use case::Corpus;
use runner::{
    findings, lab::load_corpus, options::cases_folder, root::findings as findings_folder, say,
};

/// Writes `cases/schema.json`.
pub fn schema() -> ExitCode {
    from_corpus(|corpus, folder| {
        let text = case::schema_text(&corpus.preludes);
        write(&folder.join("schema.json"), &text)
    })
}

/// Writes `cases/REFERENCE.md`.
pub fn reference() -> ExitCode {
    write(&cases_folder().join("REFERENCE.md"), &case::reference())
}

/// Writes `cases/OVERVIEW.md`, and the index of the findings.
pub fn overview() -> ExitCode {
    from_corpus(|corpus, folder| {
        let index = findings_folder().join("README.md");
        let overview = case::overview(corpus, folder);
        let written = [
            write(&index, &findings::index(corpus)),
            write(&folder.join("OVERVIEW.md"), &overview),
        ];
        let failed = written.into_iter().find(|code| *code != ExitCode::SUCCESS);
        failed.unwrap_or(ExitCode::SUCCESS)
    })
}

fn from_corpus(generate: impl Fn(&Corpus, &Path) -> ExitCode) -> ExitCode {
    let folder = cases_folder();
    match load_corpus(&folder) {
        Ok(corpus) => generate(&corpus, &folder),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(path: &Path, text: &str) -> ExitCode {
    match fs::write(path, text) {
        Ok(()) => {
            say!("wrote {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: writing {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
