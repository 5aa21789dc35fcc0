//! Looking for inputs that break a body of `fuzz/bodies`: with libFuzzer where it is there, else with drawn bytes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// The package of the bodies; its example runs them without a fuzzer.
const BODIES: &str = "tlb-shootdown-fuzz-bodies";
const EXAMPLE: &str = "drawn";

/// `cargo fuzz --version` compiles nothing.
const LIMIT: Duration = Duration::from_secs(60);

/// What a target may take beside its time: it is built first.
const BUILD: Duration = Duration::from_secs(600);

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
    let has_libfuzzer =
        cargo_fuzz_is_there() && process::run(&mut cargo_fuzz("build", &targets[0])).is_ok();
    if !has_libfuzzer {
        println!("no libFuzzer here (`cargo install cargo-fuzz`): bytes are drawn at random");
    }
    for target in &targets {
        let (inputs, by) = match has_libfuzzer {
            true => (with_libfuzzer(target, each)?, "libFuzzer"),
            false => (drawn(target, each)?, "drawn"),
        };
        println!("{target}: {inputs} inputs in {each} s, {by}");
    }
    Ok(())
}

/// The names of the targets, as the bodies list them.
fn targets() -> Result<Vec<String>> {
    let listed = process::capture(&mut example(), BUILD)?;
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

fn with_libfuzzer(target: &str, seconds: u64) -> Result<u64> {
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
    inputs_of(&mut cargo, seconds, executed)
}

fn drawn(target: &str, seconds: u64) -> Result<u64> {
    let mut cargo = example();
    cargo.args(["--", target, &seconds.to_string()]);
    inputs_of(&mut cargo, seconds, |said| said.trim().parse().ok())
}

/// Runs it to its end; how many inputs it says that it has run.
fn inputs_of(
    command: &mut Command,
    seconds: u64,
    read: impl Fn(&str) -> Option<u64>,
) -> Result<u64> {
    let ended = process::capture(command, Duration::from_secs(seconds) + BUILD)?;
    if !ended.success() {
        bail!(
            "{}: {}{}",
            process::shown(command),
            ended.stdout,
            ended.stderr
        );
    }
    let said = [&ended.stdout, &ended.stderr];
    let inputs = said.into_iter().find_map(|text| read(text));
    inputs.with_context(|| format!("{} does not say how many inputs", process::shown(command)))
}

/// libFuzzer's line `stat::number_of_executed_units: N`.
fn executed(said: &str) -> Option<u64> {
    let mut lines = said.lines();
    let line = lines.find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_many_inputs_were_run() {
        let said = "Done 7 runs\nstat::number_of_executed_units: 974654\nstat::peak_rss_mb:  40\n";
        assert_eq!(executed(said), Some(974_654));
        assert_eq!(executed("Done 7 runs\n"), None);
    }
}
