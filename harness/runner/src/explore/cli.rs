//! The command: from options to an exit code.

use std::{process::ExitCode, sync::Arc};

use model::{Reading, World};

use crate::{
    exit::Exit,
    explore::{
        drawn,
        error::ExploreError,
        options::ExploreOptions,
        picture::{Picture, PictureError, Target},
        plan::Plan,
        report,
        walking::Walking,
    },
    run::Cancel,
};

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &ExploreOptions) -> ExitCode {
    let exit = go(options).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit()
    });
    exit.code(false)
}

fn go(options: &ExploreOptions) -> Result<Exit, ExploreError> {
    if let Some(walks) = options.random {
        let cancel = cancel_on_signal()?;
        return drawn::go(options, walks, &cancel);
    }
    let worlds = options.selected(World::all())?;
    let target = options.graph.as_deref().map(Target::new).transpose()?;
    let rules = Reading::from(options.reading).rules();
    let plans: Vec<_> = worlds
        .into_iter()
        .map(|world| Plan::new(world, &rules))
        .collect::<Result<_, _>>()?;
    if options.list {
        draw(target, || Picture::of_model(&plans))?;
        return report::list(&plans);
    }
    let cancel = cancel_on_signal()?;
    let mut walking = Walking::open(options, plans, &cancel)?;
    let found = walking.all()?;
    let divergences = walking.reproduce(&rules, &found)?;
    let reduced = walking.reduce_lost(&rules)?;
    let exit = report::report(options, &walking, &divergences, &reduced)?;
    draw(target, || Picture::of_walks(&walking.plans))?;
    Ok(if cancel.is_cancelled() {
        Exit::Interrupted
    } else {
        exit
    })
}

fn draw(target: Option<Target>, picture: impl FnOnce() -> Picture) -> Result<(), PictureError> {
    target.map_or(Ok(()), |it| it.write(&picture()))
}

fn cancel_on_signal() -> Result<Arc<Cancel>, ExploreError> {
    let cancel = Arc::new(Cancel::default());
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || on_signal.cancel())?;
    Ok(cancel)
}
