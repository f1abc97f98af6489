//! The corpus as tests of cargo: each row of each case is one.
//!
//! `cargo test -p runner --test conformance -- bind` filters by id. Guests are shared by all
//! tests of the process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use case::{Case, Corpus};
use libtest_mimic::{Arguments, Failed, Trial};
use runner::{
    boards::Place,
    guest::Guest,
    lab::{Lab, load_corpus},
    options::{MachineOptions, cases_folder},
    snapshot::Mode,
    verdict::Verdict,
};
use vm_images::Terminal;

fn main() {
    let arguments = Arguments::from_args();
    let corpus = match load_corpus(&cases_folder()) {
        Ok(corpus) => corpus,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(101);
        }
    };
    let shared = Arc::new(Shared::of(&arguments, &corpus));
    let trials = corpus
        .cases
        .into_iter()
        .map(|case| trial(case, Arc::clone(&shared)));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    shared.end();
    conclusion.exit();
}

fn trial(case: Case, shared: Arc<Shared>) -> Trial {
    Trial::test(case.id.clone(), move || shared.run(&case))
}

/// What the tests of a process share: a lab, opened by the first one, and idle guests.
#[derive(Default)]
struct Shared {
    lab: OnceLock<Result<Lab, String>>,
    /// What is to run, unless words of the command line select it.
    cases: Vec<Case>,
    /// Where each case runs, by its id.
    places: OnceLock<BTreeMap<String, Place>>,
    idle: Mutex<BTreeMap<Place, Vec<Guest>>>,
}

impl Shared {
    fn of(arguments: &Arguments, corpus: &Corpus) -> Self {
        let cases = match arguments.filter {
            None => corpus.cases.clone(),
            Some(_) => Vec::new(),
        };
        Self {
            cases,
            ..Self::default()
        }
    }

    fn place(&self, lab: &Lab, case: &Case) -> Option<Place> {
        let places = self.places.get_or_init(|| {
            let cases: Vec<_> = self.cases.iter().collect();
            let places = lab.places(&cases).into_iter();
            let ids = self.cases.iter().map(|case| case.id.clone());
            ids.zip(places).collect()
        });
        let alone = || lab.places(&[case]).first().copied();
        places.get(&case.id).copied().or_else(alone)
    }

    fn run(&self, case: &Case) -> Result<(), Failed> {
        let lab = self.lab.get_or_init(open).as_ref()?;
        let place = self.place(lab, case).ok_or("the case has no place")?;
        let mut guest = match self.idle_for(case, place) {
            Some(guest) => guest,
            None => lab.boot_at(place)?.1,
        };
        let ran = lab.run(case, &mut guest);
        if !ran.guest_spoiled {
            self.idle().entry(place).or_default().push(guest);
        }
        if let Some(what) = ran.blessed {
            eprintln!("blessed {what}");
        }
        let reason = ran.record.reason.unwrap_or_default();
        match ran.record.verdict {
            Verdict::Skip => {
                eprintln!("SKIP {}: {reason}", case.id);
                Ok(())
            }
            verdict if verdict.is_expected() => Ok(()),
            verdict => Err(format!("{verdict}: {reason}").into()),
        }
    }

    fn idle_for(&self, case: &Case, place: Place) -> Option<Guest> {
        let mut idle = self.idle();
        let guests = idle.entry(place).or_default();
        let at = guests.iter().rposition(|guest| guest.suits(case))?;
        Some(guests.remove(at))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Vec<Guest>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let idle = std::mem::take(&mut *self.idle());
        idle.into_values().flatten().for_each(|guest| {
            guest.end();
        });
    }
}

fn open() -> Result<Lab, String> {
    let options = MachineOptions::default();
    let corpus = load_corpus(&cases_folder()).map_err(|error| error.to_string())?;
    let mode = Mode::of_environment().map_err(|error| error.to_string())?;
    Lab::open(&options, corpus, mode, &Terminal::new()).map_err(|error| error.to_string())
}
