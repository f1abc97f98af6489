//! The commands of `cargo xtask`.

mod commands;
mod lists;
mod run_options;
mod signal;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::{
    baseline, bench, bisect, compare, coverage, explore, export_c, full, generate, mutants,
    reference, run_conformance,
};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Conformance tests for iommufd and vfio"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run cases on a real kernel in QEMU, and report a verdict for each.
    RunConformance(Box<run_conformance::RunConformanceOptions>),
    /// Write the failures of a run as a file for `run-conformance --baseline`.
    Baseline(baseline::BaselineOptions),
    /// Run the same cases on two kernels, and report what differs.
    Compare(Box<compare::CompareOptions>),
    /// Find the commit that makes a case fail.
    Bisect(Box<bisect::BisectOptions>),
    /// Run cases and measure kernel code coverage.
    Coverage(Box<coverage::CoverageOptions>),
    /// Walk every transition of the staged protocol's model on a real kernel.
    Explore(Box<explore::ExploreOptions>),
    /// Write a case as a C program that needs only the kernel's headers.
    ExportC(export_c::ExportOptions),
    /// Measure the time to boot and the time to run the corpus on this machine.
    Bench(Box<bench::BenchOptions>),
    /// Mutation testing: put small bugs into the kernel and see which cases fail.
    Mutants(Box<mutants::MutantsOptions>),
    /// Run all that takes too long for each change, in named parts.
    Full(full::FullOptions),
    /// Show one step of the case language, or write cases/REFERENCE.md.
    Reference(reference::ReferenceOptions),
    /// Write cases/schema.json, the JSON schema of the case language for editors.
    Schema,
    /// Write cases/OVERVIEW.md (every ioctl with its errnos and the cases that expect them) and the
    /// index of findings.
    Overview,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::RunConformance(options) => run_conformance::main(&options),
        Command::Baseline(options) => baseline::main(&options),
        Command::Compare(options) => compare::main(&options),
        Command::Bisect(options) => bisect::main(&options),
        Command::Coverage(options) => coverage::main(&options),
        Command::Explore(options) => explore::main(&options),
        Command::ExportC(options) => export_c::main(&options),
        Command::Bench(options) => bench::main(&options),
        Command::Mutants(options) => mutants::main(*options),
        Command::Full(options) => full::main(options),
        Command::Reference(options) => reference::main(&options),
        Command::Schema => generate::schema(),
        Command::Overview => generate::overview(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use super::*;

    #[test]
    fn each_part_of_full_is_a_command() {
        for part in ::full::parts::table().unwrap() {
            let words = ["xtask"].into_iter().chain(part.words());
            let words = words.chain(["--record", "folder"]);
            let parsed = Arguments::try_parse_from(words).map(|_| ());
            assert!(parsed.is_ok(), "{}: {}", part.name, parsed.unwrap_err());
        }
    }
}
