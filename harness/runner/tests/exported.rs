//! Cases as C programs: every case can be written as one, what comes out compiles without a warning,
//! and in the guest a program ends as the case does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use case::{Case, Compiled, Corpus, Role, RoleBindings};
use common::{fixtures, lab};
use export::{Argument, Program};
use runner::{
    agent,
    guest::Guest,
    judge::{Judgement, Known, Steps, judge},
    lab::{Lab, load_case_file, load_corpus},
    options::{cases_folder, default_build},
    program::Platforms,
    verdict::Verdict,
};
use vm_images::{Entry, Image, Silent, Source};
use wire::{Limit, Observed, Op, PciOp, Plan, ProcessOp};

/// Cases of different kinds; what each is here for.
const SAMPLE: [&str; 30] = [
    "contract/ioas-map/as-given",            // ioctls, their undoing
    "contract/ioas-map/size-long-garbage",   // a tail of the struct
    "contract/ioas-map/size-short",          // a struct that is cut
    "contract/ioas-map/pointer-read-only",   // memory that is not to be written to
    "contract/ioas-map/pointer-unmapped",    // no memory
    "contract/device-set-irqs/as-given",     // an array behind the struct
    "contract/ioas-map/ioas_id-is-a-viommu", // objects of the mock
    "stage2/second-ioas-refused/bridge",     // DMA of two devices, errno
    "stage1/access-before-bind/mmap-of-a-bar/singleton", // mmap
    "stage1/kernel-driver-returns/attached/bridge", // drivers, random bytes
    "stage2/kernel-driver-refused/both-bound/functions", // a driver's probe that fails
    "type1/map/read-and-a-new-address",      // the legacy container
    "type1/locked-process/another-process-maps", // a process, accounts
    "iommufd/process-died/pin",              // a process that dies
    "iommufd/mmap-holds-object",             // a process with the other's mapping
    "iommufd/fork-after-map/the-child-writes-first", // memory of two processes
    "fail-nth/ioas-alloc",                   // failures
    "fail-nth/ioas-map-copy/map-with-a-device", // failures, and what is done after each
    "vfio-group/names/its-name-and-a-space", // a string
    "vfio-device/ioeventfd-limit",           // a step many times over
    "vfio-pci/config-chain/messages",        // capabilities of a device
    "vfio-pci/mmap/whole",                   // loads and stores
    "iommufd/map-file-sealed/sealed",        // a memfd
    "mdev/attach/replace",                   // an mdev
    "stage1/default-domain-locked/bound/singleton", // files
    "iommufd/accounting-user/one-page-more", // limits, capabilities
    "stage2/race-of-binds/functions",        // threads
    "vfio-device/mmap-zap-reset",            // faults of a mapping
    "vfio-group/removed-reopen",             // the file of a descriptor
    "compat/cut-huge-pages",                 // a process that sleeps in the kernel
];

/// Every step is wrong in another way; programs have to see it.
const WRONG: &str = "wrong_exported.yaml";

fn image() -> Image {
    vm_images::obtain(&Source::Release(None), &default_build().unwrap(), &Silent).unwrap()
}

/// Compiles a program as strictly as it is promised to be compilable.
fn compile(image: &Image, source: &Path, options: &[&str]) {
    let mut gcc = Command::new("gcc");
    gcc.args(["-Wall", "-Wextra", "-Werror"]).args(options);
    gcc.arg("-isystem").arg(image.headers.as_deref().unwrap());
    // The mock's header is of the kernel's source, as the program says.
    let mock = image.source.as_deref().unwrap();
    gcc.arg("-I").arg(mock.join("drivers/iommu/iommufd"));
    let done = gcc.arg(source).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}:\n{said}", source.display());
}

/// A number that a case has for ever.
fn hash(id: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    id.bytes().fold(0x811c_9dc5, step)
}

/// One case in so many is compiled.
const ONE_IN: u32 = 80;

#[test]
fn every_case_is_a_program() {
    let corpus = load_corpus(&cases_folder()).unwrap();
    let platforms = Platforms::load(None).unwrap();
    let image = image();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program.c");
    let mut compiled = 0;
    // A program is written for the series of the tables, whose headers have no other names.
    let of_series =
        |case: &&Case| case.needs.admits(Some(uapi::SERIES)) && !case.needs.is_of_headers();
    for case in corpus.cases.iter().filter(of_series) {
        let program = platforms.program(case, &corpus.clauses);
        let program = program.unwrap_or_else(|error| panic!("{error}"));
        if hash(&case.id).is_multiple_of(ONE_IN) {
            fs::write(&path, program.text).unwrap();
            compile(&image, &path, &["-c", "-o", "/dev/null"]);
            compiled += 1;
        }
    }
    assert!(compiled > 20, "only {compiled} were compiled");
}

/// A program, ready for the guest.
struct Ready {
    case: Case,
    program: Program,
    path: PathBuf,
}

/// Makes the programs, with two compilers at a time.
fn ready(cases: &[Case], corpus: &Corpus, image: &Image, folder: &Path) -> Vec<Ready> {
    let platforms = Platforms::load(None).unwrap();
    let make = |index: usize, case: &Case| {
        let program = platforms.program(case, &corpus.clauses).unwrap();
        let source = folder.join(format!("{index}.c"));
        let path = folder.join(index.to_string());
        fs::write(&source, &program.text).unwrap();
        let output = path.to_str().unwrap();
        compile(image, &source, &["-static", "-s", "-o", output]);
        let case = case.clone();
        Ready {
            case,
            program,
            path,
        }
    };
    let half = cases.len() / 2;
    let make_all = |cases: &[Case], first: usize| -> Vec<Ready> {
        let numbered = cases.iter().enumerate();
        numbered.map(|(at, case)| make(first + at, case)).collect()
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| make_all(&cases[half..], half));
        let mut all = make_all(&cases[..half], 0);
        all.extend(second.join().unwrap());
        all
    })
}

/// The arguments that a program takes, as this guest has them.
fn arguments(ready: &Ready, guest: &Guest) -> Vec<String> {
    let roles = RoleBindings::new(&guest.offer, ready.case.shape).unwrap();
    let argument = |argument: &Argument| {
        let role = Role::named(&argument.role).unwrap();
        let device = roles.device(role).unwrap();
        match device.signature.rsplit_once(':') {
            Some((_, serial)) if argument.signs => format!("{},{serial}", device.name),
            _ => device.name.clone(),
        }
    };
    ready.program.arguments.iter().map(argument).collect()
}

/// Exit code of a program in the guest, and what it said.
fn run(ready: &Ready, name: usize, guest: &mut Guest) -> (u64, String) {
    let program = ProcessOp::Program {
        path: format!("/exported/{name}"),
        args: arguments(ready, guest),
        limit: Limit(60_000),
    };
    let plan = Plan {
        name: format!("exported {}", ready.case.id),
        ops: vec![program.into()],
        restore: Vec::new(),
        timeout_ms: 90_000,
    };
    let compiled = Compiled {
        plan,
        checks: Vec::new(),
    };
    let observation = guest.run(&compiled);
    let outcome = observation.outcomes.last().cloned().flatten();
    match outcome.map(|outcome| outcome.observed) {
        Some(Observed::Ok { ret, data }) if !observation.left_changes() => {
            (ret, String::from_utf8_lossy(&data).into_owned())
        }
        other => (u64::MAX, format!("{other:?} {:?}", observation.end)),
    }
}

/// What the agent sees of the case.
fn judged(lab: &Lab, case: &Case, guest: &mut Guest) -> (Judgement, Option<Compiled>) {
    let compiled = match lab.compile(case, guest) {
        Ok(compiled) => compiled,
        Err(need) => return (Judgement::skip(&need), None),
    };
    let observation = guest.run(&compiled);
    let known = Known::default();
    let steps = Steps::of(&compiled, &observation.outcomes, &lab.corpus.sources);
    let judgement = judge(&compiled, &observation, &steps, known, || None);
    (judgement, Some(compiled))
}

/// A guest whose initramfs has the programs.
fn boot(lab: &Lab, programs: &[Ready]) -> Guest {
    let mut entries = vec![Entry::Dir {
        name: "exported".to_owned(),
    }];
    let files = programs.iter().enumerate();
    entries.extend(files.map(|(index, ready)| Entry::File {
        name: format!("exported/{index}"),
        mode: 0o755,
        content: fs::read(&ready.path).unwrap(),
    }));
    let initramfs = agent::initramfs(&lab.image.modules, entries).unwrap();
    lab.boot_with(&initramfs, 1024).unwrap().1
}

/// Runs cases and their programs in one guest; in what they differ, and how many passed and failed.
fn compare(lab: &Lab, cases: &[Case]) -> (Vec<String>, [usize; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let programs = ready(cases, &lab.corpus, &lab.image, folder.path());
    let mut guest = boot(lab, &programs);
    let mut differences = Vec::new();
    let mut seen = [0, 0];
    for (index, ready) in programs.iter().enumerate() {
        let (judgement, compiled) = judged(lab, &ready.case, &mut guest);
        let (code, said) = run(ready, index, &mut guest);
        let wanted = match judgement.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            _ => 4,
        };
        let placed = compiled.is_none_or(|compiled| is_told(&judgement, &compiled, &said));
        if code != wanted || !placed {
            let id = &ready.case.id;
            differences.push(format!("{id}: {code}, {judgement:?}\n{said}"));
        }
        if let Some(count) = seen.get_mut(wanted as usize) {
            *count += 1;
        }
    }
    guest.end();
    (differences, seen)
}

/// Whether a program says that the step failed which the judge says has failed.
fn is_told(judgement: &Judgement, compiled: &Compiled, said: &str) -> bool {
    let Some(step) = judgement.failed_step else {
        return true;
    };
    let of_step = compiled.checks.iter().filter(|check| check.step == step);
    let mut lines = of_step.map(|check| format!(" - {}\n# expected: ", check.label));
    lines.any(|line| said.contains(&line))
}

#[test]
fn programs_end_as_their_cases_do() {
    let record = tempfile::tempdir().unwrap();
    let root = cases_folder();
    let lab = lab(&root, record.path());
    let named = |id: &&str| {
        let mut cases = lab.corpus.cases.iter();
        cases.find(|case| case.id == *id).expect(id).clone()
    };
    let mut cases: Vec<_> = SAMPLE.iter().map(named).collect();
    let wrong = load_case_file(&root, &fixtures(WRONG)).unwrap();
    let counts = [cases.len(), wrong.cases.len()];
    cases.extend(wrong.cases);
    let (differences, seen) = compare(&lab, &cases);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(seen, counts, "right ones and wrong ones");
}

/// Programs in one guest: its memory holds them all.
const BATCH: usize = 60;
/// One case in so many is run by the test below.
const ONE_IN_MORE: u32 = 20;

#[test]
#[ignore = "takes minutes: for a change of how programs are written"]
fn more_programs_end_as_their_cases_do() {
    let record = tempfile::tempdir().unwrap();
    let lab = lab(&cases_folder(), record.path());
    let chosen = |case: &&Case| hash(&case.id) % ONE_IN_MORE == 1;
    let guest = lab.boot().unwrap().1;
    let runs =
        |case: &&Case| lab.compile(case, &guest).is_ok() && !waits_for_somebody(case, &guest);
    let cases = lab.corpus.cases.iter().filter(chosen).filter(runs);
    let cases: Vec<_> = cases.cloned().collect();
    guest.end();
    let mut differences = Vec::new();
    for batch in cases.chunks(BATCH) {
        differences.extend(compare(&lab, batch).0);
    }
    let (count, all) = (differences.len(), cases.len());
    assert!(
        differences.is_empty(),
        "{count} of {all}:\n{}",
        differences.join("\n")
    );
}

/// Nobody is at the standard input of a guest.
fn waits_for_somebody(case: &Case, guest: &Guest) -> bool {
    let compiled = case.compile(&guest.offer);
    compiled.is_ok_and(|compiled| {
        let mut ops = compiled.plan.ops.iter();
        ops.any(|op| matches!(op, Op::Pci(PciOp::Host { .. })))
    })
}
