//! `cargo xtask`: the project's commands.

mod commands;
mod run_options;
mod signal;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::{
    bench, coverage, explore, export_c, full, generate, mutants, reference, run_conformance,
};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Conformance of iommufd and vfio"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run cases on a real kernel in QEMU, and judge them.
    RunConformance(Box<run_conformance::RunConformanceOptions>),
    /// Run cases, and measure kernel code coverage.
    Coverage(Box<coverage::CoverageOptions>),
    /// Walk every transition of the staged protocol's model on a real kernel.
    Explore(Box<explore::ExploreOptions>),
    /// Write a case as a C program that needs only the headers of the kernel.
    ExportC(export_c::ExportOptions),
    /// Measure the times of boot and corpus on this machine.
    Bench(Box<bench::BenchOptions>),
    /// Mutation testing: put small bugs into the kernel, and see which cases fail.
    Mutants(Box<mutants::MutantsOptions>),
    /// Proofs that take too long for each change: the suite on a host with KVM.
    Full(full::FullOptions),
    /// Show a step of the case language, or write cases/REFERENCE.md.
    Reference(reference::ReferenceOptions),
    /// Write cases/schema.json, which tells editors about the case language.
    Schema,
    /// Write cases/OVERVIEW.md: every ioctl with every errno, and the cases that state it.
    Overview,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::RunConformance(options) => run_conformance::main(&options),
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
