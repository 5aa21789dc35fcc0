//! The project's own commands, run as `cargo xtask <command>`.

mod kernel;
mod machine;
mod process;
mod run;
mod setup;
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
    Env,
    /// Boot a kernel on the emulated machine.
    Run(run::Options),
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
        Command::Setup { refresh } => setup::run(refresh)?,
        Command::Env => run::print_environment()?,
        Command::Run(options) => return run::run(&options),
    }
    Ok(ExitCode::SUCCESS)
}
