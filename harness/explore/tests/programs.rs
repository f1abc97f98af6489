//! What is kept of a divergence can be sent: a walk is a C program that compiles without a warning.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics to fail"
)]

mod common;

use std::{fs, process::Command};

use common::intel;
use explore::{Traversal, walk_cases, write};
use model::{Reading, World};
use runner::{lab::load_case_file, options::cases_folder, program::Platforms};
use vm_images::{Flavour, Silent, Source};

#[test]
fn a_walk_is_a_program() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::all().into_iter().next().unwrap();
    let traversal = Traversal::new(world, &Reading::Stage2.rules()).unwrap();
    let walked = walk_cases(&mut [traversal], &[0], &intel());
    write(&walked[..1], folder.path()).unwrap();
    let walk = folder.path().join(format!("{}.yaml", walked[0].id()));
    let corpus = load_case_file(&cases_folder(), &walk).unwrap();
    let platforms = Platforms::load(None).unwrap();
    let program = platforms.program(&corpus.cases[0], &corpus.clauses);
    let path = folder.path().join("walk.c");
    fs::write(&path, program.unwrap().text).unwrap();

    let image = vm_images::obtain(&Source::Release(None), Flavour::Plain, &Silent).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-Wall", "-Wextra", "-Werror", "-c", "-o", "/dev/null"]);
    gcc.arg("-isystem").arg(image.headers.unwrap());
    let done = gcc.arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}
