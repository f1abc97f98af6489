//! Runs the cases that are compared.

use std::io;

use runner::{
    event::Sink,
    exit::Exit,
    lab::{Lab, LabError, load_corpus},
    options::{MachineOptions, cases_folder},
    output::Output,
    report::{Detail, Human},
    run::{Cancel, run},
    select::{BadFilter, NothingSelected, Selection},
    snapshot::Mode,
    summary::Summary,
};
use vm_images::Terminal;

/// Why cases were not run.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    #[error(transparent)]
    Filter(#[from] BadFilter),
    #[error(transparent)]
    Nothing(#[from] NothingSelected),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("interrupted")]
    Interrupted,
}

impl CasesError {
    /// How a command ends for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Filter(_) => Exit::Usage,
            Self::Nothing(_) => Exit::Nothing,
            Self::Lab(error) => error.exit(),
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// Runs cases on a machine, of which the record tells. What a terminal shows goes to standard error,
/// since standard output is for the result.
pub fn run_cases(
    machine: &MachineOptions,
    filters: &[String],
    mode: Mode,
    cancel: &Cancel,
) -> Result<Summary, CasesError> {
    let selection = Selection::new(filters, &[])?;
    let corpus = load_corpus(&cases_folder()).map_err(LabError::from)?;
    let selected = selection.of(&corpus.cases)?;
    let progress = Terminal::new();
    let lab = Lab::open(machine, corpus, mode, &progress);
    drop(progress);
    if cancel.is_cancelled() {
        return Err(CasesError::Interrupted);
    }
    let lab = lab?;
    let place = lab.path().display().to_string();
    let human = Human::new(Output::new(io::stderr()), place, Detail::Brief);
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(human)];
    let cases: Vec<_> = selected.iter().collect();
    let summary = run(&lab, &cases, machine.jobs(), &mut sinks, cancel)?;
    match summary.run.interrupted {
        true => Err(CasesError::Interrupted),
        false => Ok(summary),
    }
}
