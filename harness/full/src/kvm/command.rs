//! `cargo xtask full kvm`, step by step.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use runner::{
    exit::Exit,
    lab::load_corpus,
    options::{cases_folder, vm_images_folder},
    platform::Platform,
    qemu::{Accel, Machine, Qemu, QemuError},
    qemu_choice::{self, Distribution},
    record::timestamp,
    records::records,
    root::runs,
    say,
    snapshot::REFERENCE_PLATFORM,
};
use serde_json::json;
use vm_images::{HostParts, Progress, Terminal};

use crate::{
    FullError,
    interrupt::Interrupt,
    kvm::{
        host::{self, Host, Suite},
        jobs::{Job, Kind, jobs},
        lines::Line,
        work::{Go, Work},
    },
    options::KvmOptions,
    process::{Next, Process},
};

/// Time without output after which the host is lost. It prints a line every few seconds; each job
/// has its own deadlines.
const SILENCE: Duration = Duration::from_secs(60);
/// Maximum number of hosts in a row that are lost without doing any work.
const IN_VAIN: usize = 3;
/// Interval at which Ctrl-C is checked.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the jobs under TCG on this machine and under KVM on the emulated host, and compares the
/// results.
pub fn prove(options: &KvmOptions) -> Result<Exit, FullError> {
    let start = Instant::now();
    let jobs = jobs(options)?;
    let interrupt = Interrupt::catch()?;
    let progress = Terminal::new();
    let folder = folder(options)?;
    let copies = tempfile::tempdir_in(&folder).map_err(FullError::file("creating", &folder))?;
    let qemu = qemu(options, &jobs, &progress)?;
    let suite = host::suite(&options.guest, &qemu, copies.path(), &progress)?;
    let parts = vm_images::host_parts(&progress)?;
    let proof = Proof {
        folder,
        progress,
        interrupt,
        parts,
        suite,
    };
    let (host, qemu) = (&proof.parts.name, proof.suite.guest.qemu.display());
    proof
        .progress
        .line(&format!("emulated host: {host}, {qemu}"));
    let volatile = volatile_cases()?;
    let jobs = proof.possible(options, jobs)?;
    let mut works = Vec::new();
    for job in jobs {
        works.push(proof.begin(job, &volatile)?);
    }
    let mut hosts = 0;
    let ended = proof.under_kvm(&mut works, &mut hosts);
    let Proof {
        folder, progress, ..
    } = proof;
    // End the progress bar before the report is printed to standard output.
    drop(progress);
    let exit = report(&works, &folder, hosts, start.elapsed())?;
    say!("record: {}", folder.display());
    ended.map(|()| exit)
}

/// Returns a QEMU that has the platforms of all jobs. If there is none, and no platform is named on
/// the command line, one that has the reference platform: the others are left out then.
fn qemu(options: &KvmOptions, jobs: &[Job], progress: &dyn Progress) -> Result<Qemu, FullError> {
    let names: BTreeSet<_> = jobs.iter().map(|job| job.platform.as_str()).collect();
    let load = |name: &&str| Platform::load(&vm_images_folder(), name);
    let platforms: Vec<_> = names.iter().map(load).collect::<Result<_, _>>()?;
    let given = options.guest.qemu.as_deref();
    let all = qemu_choice::choose(given, &platforms, &Distribution, progress);
    match all {
        Err(QemuError::Lacks { .. } | QemuError::None(_)) if options.platforms.is_empty() => {
            let reference = [load(&REFERENCE_PLATFORM)?];
            let supply = &Distribution;
            Ok(qemu_choice::choose(given, &reference, supply, progress)?)
        }
        all => Ok(all?),
    }
}

/// Returns the cases without a snapshot, whose transcripts differ in each run.
fn volatile_cases() -> Result<BTreeSet<String>, FullError> {
    let corpus = load_corpus(&cases_folder())?;
    let volatile = corpus.cases.into_iter().filter(|case| !case.snapshot);
    Ok(volatile.map(|case| case.id).collect())
}

fn folder(options: &KvmOptions) -> Result<PathBuf, FullError> {
    let usual = || runs().join(format!("{}-kvm", timestamp()));
    let path = options.record.clone().unwrap_or_else(usual);
    fs::create_dir_all(&path).map_err(FullError::file("creating", &path))?;
    Ok(path)
}

struct Proof {
    folder: PathBuf,
    progress: Terminal,
    interrupt: Interrupt,
    parts: HostParts,
    suite: Suite,
}

impl Proof {
    /// Returns the jobs on platforms that this QEMU has. A platform named on the command line must
    /// be available.
    fn possible(&self, options: &KvmOptions, jobs: Vec<Job>) -> Result<Vec<Job>, FullError> {
        let qemu = Qemu::open(&self.suite.guest.qemu)?;
        let mut possible = Vec::new();
        for job in jobs {
            let platform = Platform::load(&vm_images_folder(), &job.platform)?;
            let argv = qemu.argv(&Machine {
                platform: &platform,
                accel: Accel::Kvm,
                kernel: &self.suite.guest.kernel,
                initramfs: Path::new(""),
                // Only the platform decides whether it is possible.
                memory: 512,
                cmdline: "",
            });
            match argv {
                Ok(_) => possible.push(job),
                Err(error) if options.platforms.is_empty() => {
                    self.progress.line(&format!("left out: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(possible)
    }

    /// Runs the cases of a job under TCG, which determines the cases to run under KVM.
    fn begin(&self, job: Job, volatile: &BTreeSet<String>) -> Result<Work, FullError> {
        let log = self.folder.join("kvm").join(&job.name);
        fs::create_dir_all(&log).map_err(FullError::file("creating", &log))?;
        let made = |name| {
            let path = log.join(name);
            File::create(&path).map_err(FullError::file("creating", &path))
        };
        if job.kind == Kind::Walks {
            return Ok(Work::walks(job, made("output.log")?));
        }
        let log = made("records.jsonl")?;
        let record = self.folder.join("tcg").join(&job.name);
        fs::create_dir_all(&record).map_err(FullError::file("creating", &record))?;
        self.under_tcg(&job, &record)?;
        let here = records(&record)?;
        Ok(Work::cases(job, here, volatile.clone(), log))
    }

    fn under_tcg(&self, job: &Job, record: &Path) -> Result<(), FullError> {
        let log = record.join("output.log");
        let mut command = Command::new(&self.suite.xtask);
        command
            .args(&job.arguments)
            .args(&job.filters)
            .args(["--accel", "tcg"])
            .args(self.suite.guest.arguments())
            .arg("--record")
            .arg(record);
        self.progress.stage(&format!("{} under TCG", job.name));
        let mut process = Process::start(command, &log)?;
        let mut shown = Shown::new(&self.progress, "TCG");
        let mut said = String::new();
        while let Heard::Line(line) = self.hear(&process, None)? {
            let line = Line::read(&line);
            shown.take(&line);
            if let Line::Text(text) = line {
                said = text;
            }
        }
        let status = process
            .end()
            .map_err(FullError::file("waiting for", &log))?;
        // A case that fails under TCG has to fail under KVM, too.
        match status.code() {
            Some(0 | 1) => Ok(()),
            _ => Err(FullError::Tcg {
                name: job.name.clone(),
                status,
                said,
                log,
            }),
        }
    }

    /// Boots hosts, and counts them, until all work is done.
    fn under_kvm(&self, works: &mut [Work], hosts: &mut usize) -> Result<(), FullError> {
        let mut in_vain = 0;
        while left(works) > 0 {
            *hosts += 1;
            let folder = self.folder.join("kvm").join(format!("host-{hosts}"));
            fs::create_dir_all(&folder).map_err(FullError::file("creating", &folder))?;
            let before = (left(works), tries(works));
            let lost = self.host_once(works, &folder)?;
            works.iter_mut().for_each(Work::host_lost);
            let worked = before != (left(works), tries(works));
            in_vain = if worked { 0 } else { in_vain + 1 };
            let why = lost.unwrap_or_else(|| "some cases have no verdict".to_owned());
            if in_vain == IN_VAIN {
                let what = format!(
                    "{IN_VAIN} emulated hosts in a row were lost before any case \
                                    ended: {why}"
                );
                let console = folder.join("console.log");
                return Err(FullError::Host { what, console });
            }
            if left(works) > 0 {
                let line = format!("host {hosts}: {why}; the rest runs in another host");
                self.progress.line(&line);
            }
        }
        Ok(())
    }

    /// Boots the host once. Returns how it was lost, if it was.
    fn host_once(&self, works: &mut [Work], folder: &Path) -> Result<Option<String>, FullError> {
        let scratch = tempfile::tempdir_in(folder).map_err(FullError::file("creating", folder))?;
        let commands: Vec<_> = works.iter().filter_map(Work::command).collect();
        let host = Host::new(
            &self.parts,
            &self.suite,
            &commands,
            scratch.path(),
            &self.progress,
        )?;
        self.progress.stage("booting the emulated host");
        let process = Process::start(
            host.command(&folder.join("console.log")),
            &folder.join("output.log"),
        )?;
        let lost = self.listen(works, &process)?;
        drop(process);
        if lost.is_none() {
            host.records(folder)?;
        }
        Ok(lost)
    }

    /// Reads the host's output until it ends. Returns why another host is needed, if so.
    fn listen(&self, works: &mut [Work], process: &Process) -> Result<Option<String>, FullError> {
        let mut shown = Shown::new(&self.progress, "KVM");
        let mut at = None;
        let mut finished = false;
        loop {
            let line = match self.hear(process, Some(SILENCE))? {
                Heard::Line(line) => Line::read(&line),
                Heard::End if finished => return Ok(None),
                Heard::End => return Ok(Some("it panicked".to_owned())),
                Heard::Silence => return Ok(Some("it stopped responding".to_owned())),
            };
            shown.take(&line);
            match &line {
                Line::Begins(name) => {
                    at = works.iter().position(|work| work.job.name == *name);
                    self.progress.stage(&format!("{name} under KVM"));
                }
                Line::Finished => finished = true,
                _ => {}
            }
            let work = at.and_then(|at| works.get_mut(at));
            if let Some(Go::Elsewhere(why)) = work.map(|work| work.take(line)).transpose()? {
                return Ok(Some(why));
            }
        }
    }

    /// Returns the next line or event.
    fn hear(&self, process: &Process, silence: Option<Duration>) -> Result<Heard, FullError> {
        let start = Instant::now();
        loop {
            if self.interrupt.has_come() {
                return Err(FullError::Interrupted);
            }
            match process.next(LOOK) {
                Next::Line(line) => return Ok(Heard::Line(line)),
                Next::End if self.interrupt.has_come() => {
                    return Err(FullError::Interrupted);
                }
                Next::End => return Ok(Heard::End),
                Next::Silence if silence.is_some_and(|limit| start.elapsed() > limit) => {
                    return Ok(Heard::Silence);
                }
                Next::Silence => {}
            }
        }
    }
}

/// Writes and prints the result of each job.
fn report(works: &[Work], folder: &Path, hosts: usize, took: Duration) -> Result<Exit, FullError> {
    for work in works {
        tell(work);
    }
    let seconds = took.as_secs();
    say!(
        "emulated hosts: {hosts}; {} min {} s",
        seconds / 60,
        seconds % 60
    );
    let jobs: Vec<_> = works.iter().map(Work::summary).collect();
    let report = json!({"jobs": jobs, "hosts": hosts, "seconds": seconds});
    let path = folder.join("report.json");
    let text = serde_json::to_string_pretty(&report).unwrap_or_default();
    fs::write(&path, text).map_err(FullError::file("writing", &path))?;
    Ok(match works.iter().all(Work::is_proved) {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

/// Prints the result of a job.
fn tell(work: &Work) {
    let name = &work.job.name;
    for (what, why) in work.again() {
        say!("{name}: {what} was run again: {why}");
    }
    if work.job.kind == Kind::Walks {
        say!("{name}: {}", work.result());
        return;
    }
    let compared = work.compared();
    for difference in &compared.differences {
        say!("{difference}");
    }
    say!(
        "{name}: {} cases have the same result under KVM as under TCG, {} of them PASS; {} differ",
        compared.alike,
        compared.passed,
        compared.differences.len()
    );
}

/// What was read from a process, within a time limit.
enum Heard {
    Line(String),
    End,
    Silence,
}

/// Returns the number of cases and jobs without a result.
fn left(works: &[Work]) -> usize {
    works.iter().map(Work::left).sum()
}

/// Returns the number of tries without a verdict.
fn tries(works: &[Work]) -> usize {
    works.iter().map(Work::tries).sum()
}

/// Progress of a run.
struct Shown<'a> {
    progress: &'a dyn Progress,
    place: &'static str,
    done: u64,
    all: Option<u64>,
}

impl<'a> Shown<'a> {
    fn new(progress: &'a dyn Progress, place: &'static str) -> Self {
        Self {
            progress,
            place,
            done: 0,
            all: None,
        }
    }

    fn take(&mut self, line: &Line) {
        match line {
            Line::Cases { cases, .. } => (self.done, self.all) = (0, Some(*cases)),
            Line::Judged(record) => {
                self.done += 1;
                self.progress.steps(self.done, self.all);
                if !record.verdict.is_expected() {
                    let (id, verdict, place) = (&record.id, record.verdict, self.place);
                    self.progress.line(&format!("{verdict} {id} under {place}"));
                }
            }
            Line::Text(text) if !text.is_empty() => self.progress.line(text),
            _ => {}
        }
    }
}
