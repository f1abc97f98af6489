//! What the model writes is the case language, and can be sent as a C program. No guest is booted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

mod common;

use std::{fs, process::Command};

use common::intel;
use explore::{Observability, Orders, RandomWalks, Script, Traversal, walk_cases, write};
use model::{Reading, World};
use runner::{
    lab::{load_case_file, load_corpus},
    options::{cases_folder, default_build},
    program::Platforms,
};
use vm_images::{Silent, Source};

#[test]
fn every_walk_of_every_world_is_a_valid_case() {
    let rules = Reading::Stage2.rules();
    let traversals = World::all().into_iter();
    let traversals = traversals.map(|world| Traversal::new(world, &rules).unwrap());
    let traversals: Vec<_> = traversals.collect();
    let from = vec![0; traversals.len()];
    let walks = walk_cases(&traversals, &from, &intel());
    let folder = tempfile::tempdir().unwrap();
    write(&walks, folder.path()).unwrap();
    let corpus = load_corpus(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(corpus.cases.len(), walks.len());
    for walk in &walks {
        let of_walk = |case: &&case::Case| case.id.split('/').next() == Some(&walk.id());
        let case = corpus.cases.iter().find(of_walk).unwrap();
        assert_eq!(case.steps.len(), walk.script.transition_of.len());
    }
}

#[test]
fn a_random_walk_is_a_valid_case() {
    let walks = RandomWalks {
        world: World::large(),
        rules: Reading::Stage2.rules(),
        walks: 20,
        first: 0,
        seed: 7,
        length: 60,
    };
    let observability = Observability::of(&walks.world, &intel());
    let folder = tempfile::tempdir().unwrap();
    for number in 0..walks.walks {
        let moves = walks.draw(number).unwrap();
        let script = Script::of_moves(&walks.begin(), &moves, &observability, &Orders::default());
        fs::write(
            folder.path().join(format!("walk-{number}.yaml")),
            script.text,
        )
        .unwrap();
    }
    let corpus = load_corpus(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(corpus.cases.len() as u64, walks.walks);
}

#[test]
fn a_walk_is_a_program() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::all().into_iter().next().unwrap();
    let traversal = Traversal::new(world, &Reading::Stage2.rules()).unwrap();
    let walked = walk_cases(&[traversal], &[0], &intel());
    write(&walked[..1], folder.path()).unwrap();
    let walk = folder.path().join(format!("{}.yaml", walked[0].id()));
    let corpus = load_case_file(&cases_folder(), &walk).unwrap();
    let platforms = Platforms::load(None).unwrap();
    let program = platforms.program(&corpus.cases[0], &corpus.clauses);
    let path = folder.path().join("walk.c");
    fs::write(&path, program.unwrap().text).unwrap();

    let image =
        vm_images::obtain(&Source::Release(None), &default_build().unwrap(), &Silent).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-Wall", "-Wextra", "-Werror", "-c", "-o", "/dev/null"]);
    gcc.arg("-isystem").arg(image.headers.unwrap());
    let done = gcc.arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}
