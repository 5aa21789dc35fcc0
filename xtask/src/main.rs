//! The project's own commands, run as `cargo xtask <command>`.

mod arch;
mod artifacts;
mod bench;
mod check;
mod demo;
mod disasm;
mod fuzz;
mod kernel;
mod mutants;
mod process;
mod run;
mod setup;
mod test;
mod verify;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The project's own commands",
    disable_version_flag = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or fetch what on-target builds need (QEMU, the sources of `core`); nothing is installed.
    Setup {
        /// Fetch anew what an earlier run has fetched.
        #[arg(long)]
        refresh: bool,
    },
    /// Print shell lines that define QEMU and the variables of a bare-metal build.
    Env(run::Environment),
    /// Boot a kernel on an emulated machine.
    Run(run::Options),
    /// The static checks: form, lints, documentation, builds for bare metal.
    Check,
    /// Compare the machine words of every instruction method with the manual's.
    Disasm,
    /// Every test: host, doc, on-target.
    Test(test::Options),
    /// Put mistakes back into the library, one by one, and see the tests notice each.
    Mutants(mutants::Options),
    /// Properties on the software machine, interleavings under loom, litmus tests under Arm's memory model, mistakes put back, fuzzing.
    Verify(verify::Options),
    /// Time and count the engine's own work on the recorder.
    Bench,
    /// Look for inputs that break a property: libFuzzer where it is installed, drawn bytes elsewhere.
    Fuzz(fuzz::Options),
    /// Show stale translations and their cure on the emulated machines.
    Demo(demo::Options),
}

fn main() -> ExitCode {
    match dispatch(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Setup { refresh } => setup::run(refresh).map(|()| ExitCode::SUCCESS),
        Command::Env(options) => run::print_environment(&options).map(|()| ExitCode::SUCCESS),
        Command::Run(options) => run::run(&options),
        Command::Check => check::run(),
        Command::Disasm => disasm::run(),
        Command::Test(options) => test::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::Bench => bench::run().map(|()| ExitCode::SUCCESS),
        Command::Fuzz(options) => fuzz::run_options(&options).map(|()| ExitCode::SUCCESS),
        Command::Demo(options) => demo::run(&options),
    }
}
