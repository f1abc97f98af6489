//! The command: worlds to walks, walks to cases, verdicts to covered transitions.

use std::{
    collections::HashSet,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use model::{Reading, Unruled, World};
use vm_images::Terminal;

use crate::{
    cli::Exit,
    event::{Event, Sink},
    explore::{
        picture::{Picture, PictureError, Target},
        plan::{Plan, Walked, scripts, take_records, write},
    },
    lab::{Lab, LabError, load_corpus},
    options::Options,
    platform::Platform,
    run::{Cancel, run},
    snapshot::Mode,
    verdict::Verdict,
};

/// Options of `explore`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExploreOptions {
    /// Worlds whose name contains one of these. Default: all.
    #[arg(value_name = "WORLD")]
    pub worlds: Vec<String>,

    /// The machine to run on: a file of vm-images/platforms.
    #[arg(long, default_value = "intel")]
    pub platform: String,

    /// Guests at a time. Default: the number of processors.
    #[arg(long, short)]
    pub jobs: Option<usize>,

    /// Kernel source tree to build; it stays clean.
    #[arg(long, value_name = "TREE", conflicts_with = "kernel")]
    pub linux: Option<PathBuf>,

    /// Ready kernel image (bzImage).
    #[arg(long, value_name = "IMAGE")]
    pub kernel: Option<PathBuf>,

    /// Print the worlds with the numbers of their states and transitions, and boot nothing.
    #[arg(long)]
    pub list: bool,

    /// Draw states and transitions, coloured by what became of them; .dot gives graphviz's text.
    #[arg(long, value_name = "FILE.svg")]
    pub graph: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask explore                        every world, on a real kernel
  cargo xtask explore bridge                 one of them
  cargo xtask explore --list                 how many states and transitions there are
  cargo xtask explore --linux ~/linux        a kernel tree with your patch
  cargo xtask explore --graph all.svg        every world, as a picture of what the kernel did
  cargo xtask explore --list --graph m.svg   the model alone, as a picture

Exit codes: those of run-conformance; 1 when a transition diverges or is not covered.";

/// Why an exploration did not come to a result.
#[derive(Debug, thiserror::Error)]
enum ExploreError {
    #[error("no world is called like {0}; `--list` shows all")]
    NoWorld(String),
    #[error("the rules of the model have a hole: {0}")]
    Rules(#[from] Unruled),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("writing the walks, or to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &ExploreOptions) -> ExitCode {
    let exit = go(options).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        match error {
            ExploreError::NoWorld(_) => Exit::Nothing,
            ExploreError::Lab(LabError::Platform(_)) | ExploreError::Picture(_) => Exit::Usage,
            _ => Exit::NoMachine,
        }
    });
    exit.code(false)
}

fn go(options: &ExploreOptions) -> Result<Exit, ExploreError> {
    let worlds = selected(&options.worlds)?;
    let target = options.graph.as_deref().map(Target::new).transpose()?;
    let rules = Reading::Stage2.rules();
    let plans: Vec<_> = worlds
        .into_iter()
        .map(|world| Plan::new(world, &rules))
        .collect::<Result<_, _>>()?;
    if options.list {
        draw(target, &plans, None)?;
        return list(&plans);
    }
    let folder = tempfile::tempdir()?;
    let walked = walk_all(options, &plans, folder.path())?;
    let exit = report(&plans, &walked)?;
    if exit != Exit::Ok {
        // A divergence names a line of its walk.
        let kept = folder.keep();
        writeln!(io::stdout(), "the walks are in {}", kept.display())?;
    }
    draw(target, &plans, Some(&walked))?;
    Ok(exit)
}

fn draw(
    target: Option<Target>,
    plans: &[Plan],
    walked: Option<&[Walked]>,
) -> Result<(), PictureError> {
    target.map_or(Ok(()), |it| it.write(&Picture::new(plans, walked)))
}

fn selected(names: &[String]) -> Result<Vec<World>, ExploreError> {
    let mut worlds = World::all();
    if names.is_empty() {
        return Ok(worlds);
    }
    let unknown = |name: &&String| {
        !worlds
            .iter()
            .any(|world| world.name.contains(name.as_str()))
    };
    if let Some(name) = names.iter().find(unknown) {
        return Err(ExploreError::NoWorld(name.clone()));
    }
    worlds.retain(|world| names.iter().any(|name| world.name.contains(name.as_str())));
    Ok(worlds)
}

fn list(plans: &[Plan]) -> Result<Exit, ExploreError> {
    let mut out = io::stdout().lock();
    for plan in plans {
        let steps: usize = plan.walks.iter().map(Vec::len).sum();
        writeln!(
            out,
            "{:<28} {:>5} states {:>6} transitions, {:>3} walks of {:>6} steps",
            plan.world.name,
            plan.graph.states.len(),
            plan.graph.edges.len(),
            plan.walks.len(),
            steps
        )?;
    }
    writeln!(out, "left out:")?;
    for (what, why) in model::event::LEFT_OUT {
        writeln!(out, "  {what}: {why}")?;
    }
    Ok(Exit::Ok)
}

fn walk_all(
    options: &ExploreOptions,
    plans: &[Plan],
    folder: &Path,
) -> Result<Vec<Walked>, ExploreError> {
    let cancel = Arc::new(Cancel::default());
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || on_signal.cancel())?;
    let run_options = Options {
        platform: options.platform.clone(),
        jobs: options.jobs,
        linux: options.linux.clone(),
        kernel: options.kernel.clone(),
        ..Options::standard()
    };
    let platform = Platform::load(&crate::options::root().join("vm-images"), &options.platform)
        .map_err(LabError::from)?;
    let mut walked = scripts(plans, &platform);
    write(&walked, folder)?;
    let corpus = load_corpus(folder).map_err(LabError::from)?;
    let progress = Terminal::new();
    let lab = Lab::open(&run_options, corpus, Mode::Ignore, &progress)?;
    drop(progress);
    let cases: Vec<_> = lab.corpus.cases.iter().collect();
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(Progress::new(cases.len()))];
    let summary = run(&lab, &cases, run_options.jobs(), &mut sinks, &cancel)?;
    take_records(&mut walked, &summary.cases);
    Ok(walked)
}

/// Counts walks on standard error.
struct Progress(ProgressBar);

impl Progress {
    fn new(walks: usize) -> Self {
        let style = ProgressStyle::with_template("{msg} {pos} of {len} {wide_bar} {elapsed}");
        let bar = ProgressBar::new(walks as u64).with_message("walk");
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }
}

impl Sink for Progress {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        if let Event::CaseEnded(record) = event {
            self.0.inc(1);
            if record.verdict != Verdict::Pass {
                self.0.println(format!("{}: {}", record.id, record.verdict));
            }
        }
        Ok(())
    }
}

fn report(plans: &[Plan], walked: &[Walked]) -> Result<Exit, ExploreError> {
    let mut out = io::stdout().lock();
    let mut whole = (0, 0);
    for (number, plan) in plans.iter().enumerate() {
        let mut taken: HashSet<usize> = HashSet::new();
        for one in walked.iter().filter(|one| one.plan == number) {
            let walk = &plan.walks[one.walk];
            taken.extend(&walk[..one.covered(plan)]);
        }
        let reachable = plan.graph.edges.len();
        writeln!(
            out,
            "{:<28} {:>6} / {:>6}",
            plan.world.name,
            taken.len(),
            reachable
        )?;
        whole = (whole.0 + taken.len(), whole.1 + reachable);
    }
    writeln!(out, "transitions: {} / {}", whole.0, whole.1)?;
    for one in walked {
        divergence(&mut out, plans, one)?;
    }
    Ok(if whole.0 == whole.1 {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn divergence(out: &mut impl Write, plans: &[Plan], one: &Walked) -> io::Result<()> {
    let Some(record) = one.record.as_ref().filter(|it| it.verdict != Verdict::Pass) else {
        return Ok(());
    };
    let plan = &plans[one.plan];
    writeln!(
        out,
        "{} in {} of {}",
        record.verdict,
        one.id(),
        plan.world.name
    )?;
    if let Some(at) = record
        .failed_step
        .and_then(|step| *one.script.transition_of.get(step)?)
    {
        let edge = &plan.graph.edges[plan.walks[one.walk][at]];
        writeln!(out, "  after {at} transitions, at: {}", edge.event)?;
        writeln!(
            out,
            "  rule: {} {:?}: {}",
            edge.rule.name, edge.rule.clauses, edge.rule.says
        )?;
        writeln!(out, "  state before: {:?}", plan.graph.states[edge.from])?;
    }
    writeln!(out, "  {}", record.reason.as_deref().unwrap_or_default())
}
