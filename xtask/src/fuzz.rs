//! Looking for inputs that break a body of `fuzz/bodies`: with libFuzzer where it is there, else with drawn bytes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{process, workspace};

/// The package of the bodies; its example runs them without a fuzzer.
const BODIES: &str = "tlb-shootdown-fuzz-bodies";
const EXAMPLE: &str = "drawn";

/// `cargo fuzz --version` compiles nothing.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// One target alone; all of them where it is left out.
    #[arg(long)]
    target: Option<String>,
    /// How long, all targets together.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Fuzzes as the options say.
pub(crate) fn run_options(options: &Options) -> Result<()> {
    fuzz(options.target.as_deref(), options.seconds)
}

/// Fuzzes every target, for so many seconds together.
pub(crate) fn run(seconds: u64) -> Result<()> {
    fuzz(None, seconds)
}

fn fuzz(target: Option<&str>, seconds: u64) -> Result<()> {
    let targets = match target {
        Some(target) => vec![target.to_owned()],
        None => targets()?,
    };
    let each = (seconds / targets.len() as u64).max(1);
    if cargo_fuzz_is_there() && process::run(&mut cargo_fuzz("build", &targets[0])).is_ok() {
        println!("fuzzing with libFuzzer, {each} s for each target");
        return targets
            .iter()
            .try_for_each(|target| with_libfuzzer(target, each));
    }
    println!(
        "no libFuzzer here (`cargo install cargo-fuzz`): bytes are drawn at random, {each} s for each target"
    );
    targets.iter().try_for_each(|target| {
        let seconds = each.to_string();
        process::run(example().args(["--", target, &seconds]))
    })
}

/// The names of the targets, as the bodies list them.
fn targets() -> Result<Vec<String>> {
    let listed = process::capture(&mut example(), Duration::from_secs(600))?;
    if !listed.success() {
        bail!("the bodies do not build: {}", listed.stderr.trim());
    }
    Ok(listed.stdout.lines().map(str::to_owned).collect())
}

fn example() -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--quiet", "--package", BODIES, "--example", EXAMPLE]);
    cargo
}

fn cargo_fuzz_is_there() -> bool {
    let mut cargo = workspace::cargo();
    let asked = process::capture(cargo.args(["fuzz", "--version"]), LIMIT);
    asked.is_ok_and(|answer| answer.success())
}

/// Without a sanitizer a stable compiler will do.
fn cargo_fuzz(command: &str, target: &str) -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["fuzz", command, "--sanitizer", "none", target]);
    cargo
}

fn with_libfuzzer(target: &str, seconds: u64) -> Result<()> {
    let corpus = format!("fuzz/corpus/{target}");
    std::fs::create_dir_all(workspace::root().join(&corpus))?;
    let mut cargo = cargo_fuzz("run", target);
    // What is found goes to the first folder.
    cargo.args([&corpus, &format!("fuzz/seeds/{target}"), "--"]);
    cargo.args([
        &format!("-max_total_time={seconds}"),
        "-print_final_stats=1",
        "-verbosity=0",
    ]);
    process::run(&mut cargo)
}
