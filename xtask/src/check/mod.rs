//! The static checks: form, lints, documentation, and builds for bare metal.

mod length;

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::setup::rust_src::{self, TARGETS};
use crate::{arch, kernel, process, workspace};

/// The library's and the model's packages, by their names.
const LIBRARY: &str = "tlb-shootdown";
const MODEL: &str = "tlb-shootdown-model";

/// A check's name and what does it.
type Check = (&'static str, fn() -> Result<()>);

const CHECKS: [Check; 7] = [
    ("form", || {
        process::run(workspace::cargo().args(["fmt", "--all", "--check"]))
    }),
    ("length of files", length::check),
    ("lints", lints),
    ("lints by features", lints_by_features),
    ("documentation", documentation),
    ("no_std builds", no_std_builds),
    ("on-target kernels", kernels),
];

/// Runs every check, whatever the ones before it found.
pub(crate) fn run() -> Result<ExitCode> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("== {name}");
        if let Err(error) = check() {
            println!("FAILED: {name}: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("all checks passed");
        return Ok(ExitCode::SUCCESS);
    }
    println!("failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn clippy(arguments: &[&str]) -> Result<()> {
    let mut cargo = workspace::cargo();
    process::run(
        cargo
            .args(["clippy", "--quiet"])
            .args(arguments)
            .args(["--", "-D", "warnings"]),
    )
}

/// Every default member. Among clippy's own lints is one against whatever is newer than the MSRV.
fn lints() -> Result<()> {
    clippy(&["--all-targets"])
}

fn lints_by_features() -> Result<()> {
    clippy(&[
        "--package",
        LIBRARY,
        "--all-targets",
        "--no-default-features",
    ])?;
    clippy(&["--package", LIBRARY, "--all-targets", "--all-features"])?;
    clippy(&["--package", MODEL, "--no-default-features"])?;
    clippy(&[
        "--package",
        MODEL,
        "--no-default-features",
        "--features",
        "machine",
    ])
}

fn documentation() -> Result<()> {
    let document = |cargo: &mut Command| {
        cargo
            .args(["--quiet", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings");
        process::run(cargo)
    };
    document(workspace::cargo().arg("doc"))?;
    document(workspace::cargo().args(["doc", "--package", LIBRARY, "--all-features"]))?;
    // What only a target has, the instructions themselves, is documented there alone.
    for target in TARGETS {
        let mut cargo = workspace::cargo();
        cargo.args(["doc", "--release", "--package", LIBRARY, "--all-features"]);
        rust_src::find_or_fetch(target)?.apply(&mut cargo, target);
        document(&mut cargo)?;
    }
    Ok(())
}

fn no_std_builds() -> Result<()> {
    for target in TARGETS {
        let core = rust_src::find_or_fetch(target)?;
        // Of the model the conformance suite alone: kernels run it on the target.
        for (package, features) in [
            (LIBRARY, "--no-default-features"),
            (LIBRARY, "--all-features"),
            (MODEL, "--no-default-features"),
        ] {
            let mut cargo = workspace::cargo();
            cargo.args([
                "build",
                "--quiet",
                "--release",
                "--package",
                package,
                features,
            ]);
            core.apply(&mut cargo, target);
            process::run(&mut cargo)?;
        }
    }
    Ok(())
}

fn kernels() -> Result<()> {
    // The library's own tests run on the host: the standard harness does not exist for bare metal.
    let targets = ["--lib", "--bins", "--test", "*"];
    let run = |mut cargo: Command, tail: &[&str]| process::run(cargo.args(targets).args(tail));
    for arch in arch::ALL {
        run(kernel::cargo(arch, &["build", "--quiet"])?, &[])?;
        let clippy = kernel::cargo(arch, &["clippy", "--quiet"])?;
        run(clippy, &["--", "-D", "warnings"])?;
    }
    Ok(())
}
