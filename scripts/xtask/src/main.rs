//! `cargo xtask`: the project's commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Run cases on a real kernel in QEMU and judge them.
    RunConformance(Box<runner::options::Options>),
    /// Run cases and measure which code of the kernel they reached.
    Coverage(Box<runner::coverage::CoverageOptions>),
    /// Walk every transition of the staged protocol's model on a real kernel.
    Explore(runner::explore::ExploreOptions),
    /// Write a case as a C program that needs nothing but the kernel's headers.
    ExportC(runner::export_c::ExportOptions),
    /// Measure boot and corpus times on this machine.
    Bench(Box<runner::bench::BenchOptions>),
    /// Put small bugs into the kernel, one at a time: does the corpus notice them?
    Mutants(Box<mutants::options::Options>),
    /// Prove what takes too long for each change: the suite on a host with KVM.
    Full(full::options::FullOptions),
    /// Write cases/schema.json anew: what editors know of the case language.
    Schema,
    /// Write cases/OVERVIEW.md: every ioctl with every errno, and the cases that state it.
    Overview,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::RunConformance(options) => runner::cli::main(&options),
        Command::Coverage(options) => runner::coverage::main(&options),
        Command::Explore(options) => runner::explore::main(&options),
        Command::ExportC(options) => runner::export_c::main(&options),
        Command::Bench(options) => runner::bench::main(&options),
        Command::Mutants(options) => mutants::cli::main(&options),
        Command::Full(options) => full::cli::main(&options),
        Command::Schema => runner::cli::write_schema(),
        Command::Overview => runner::cli::write_overview(),
    }
}
