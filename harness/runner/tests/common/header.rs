//! Headers of the kernel, and what a C compiler makes of the numbers in them.

#![allow(clippy::panic, clippy::unwrap_used, dead_code)] // Each test uses its own part.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// Reads a file that has to be there.
pub fn read(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => panic!("reading {}: {error}", path.display()),
    }
}

/// The release whose headers a folder has, by its `linux/version.h`.
pub fn release(headers: &Path) -> String {
    let version = read(&headers.join("linux/version.h"));
    let part = |name: &str| {
        let define = format!("#define LINUX_VERSION_{name} ");
        let value = version.lines().find_map(|line| line.strip_prefix(&define));
        value.unwrap_or_default().trim().to_owned()
    };
    ["MAJOR", "PATCHLEVEL", "SUBLEVEL"].map(part).join(".")
}

/// Macros for a C program that prints numbers for [`compile_and_run`].
pub const PRINT: &str = "#include <stddef.h>\n#include <stdio.h>\n#define __user\n#define __counted_by(n)\n\
    #define P(what, value) printf(\"%s %llx\\n\", what, (unsigned long long)(value))\n\
    #define NUMBER(n) ((n) < 0 && sizeof(n) == 4 ? (unsigned int)(n) : (n))\n\
    #define MEMBER(s, f) (((struct s *)0)->f)\n";

/// What a C program prints: names and numbers.
pub fn compile_and_run(name: &str, include: &Path, program: &str) -> BTreeMap<String, u64> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = dir.join("program.c");
    let binary = dir.join("program");
    fs::create_dir_all(&dir).unwrap();
    fs::write(&source, program).unwrap();

    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-w", "-I"])
        .arg(include)
        .arg("-o")
        .arg(&binary)
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("starting the C compiler: {error}; install cc or set CC"));
    assert!(
        compiled.status.success(),
        "compiling {} against {}; a name the headers lack does not belong into the tables:\n{}",
        source.display(),
        include.display(),
        String::from_utf8_lossy(&compiled.stderr)
    );
    let run = Command::new(&binary).output().unwrap();
    assert!(run.status.success(), "running {}", binary.display());
    let printed = String::from_utf8(run.stdout).unwrap();
    let number = |line: &str| {
        let (what, value) = line.rsplit_once(' ').unwrap();
        (what.to_owned(), u64::from_str_radix(value, 16).unwrap())
    };
    printed.lines().map(number).collect()
}

/// The messages of the `_Static_assert`s that do not hold in a C file.
pub fn failed_assertions(
    name: &str,
    include: &Path,
    program: &str,
    options: &[&str],
) -> BTreeSet<String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = dir.join("program.c");
    fs::create_dir_all(&dir).unwrap();
    fs::write(&source, program).unwrap();
    let checked = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-w", "-fsyntax-only", "-ffreestanding", "-I"])
        .arg(include)
        .args(options)
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("starting the C compiler: {error}; install cc or set CC"));
    let said = String::from_utf8_lossy(&checked.stderr);
    let errors = said.lines().filter(|line| line.contains("error:"));
    let (failed, other): (Vec<_>, Vec<_>) =
        errors.partition(|line| line.contains("static assertion failed"));
    assert!(other.is_empty(), "{}", other.join("\n"));
    let message = |line: &str| line.split('"').nth(1).map(str::to_owned);
    failed.into_iter().filter_map(message).collect()
}
