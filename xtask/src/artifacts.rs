//! What a cargo build has made, by cargo's own account.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::process;

/// A cold build for bare metal makes `core` and `alloc` too.
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

/// Runs a cargo build and gives the executables of one kind of target: `bin`, `test` or `bench`.
pub(crate) fn executables(cargo: &mut Command, kind: &str) -> Result<Vec<PathBuf>> {
    cargo.args(["--quiet", "--message-format", "json-render-diagnostics"]);
    let built = process::capture(cargo, BUILD_LIMIT)?;
    if !built.success() {
        bail!(
            "`{}` failed:\n{}",
            process::shown(cargo),
            built.stderr.trim_end()
        );
    }
    eprint!("{}", built.stderr);
    Ok(parse_executables(&built.stdout, kind))
}

/// Cargo builds a package's binaries along with its integration tests: only those of one kind are wanted.
fn parse_executables(lines: &str, kind: &str) -> Vec<PathBuf> {
    let messages = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| {
            let target = message.target.as_ref();
            target.is_some_and(|target| target.kind.iter().any(|one| one == kind))
        })
        .filter_map(|message| message.executable)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executables_among_cargos_messages() {
        let artifact = |kind: &str, path: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{\"kind\":[\"{kind}\"]}},\
                 \"executable\":{path}}}\n"
            )
        };
        let lines = [
            artifact("lib", "null"),
            "{\"reason\":\"build-script-executed\"}\n".into(),
            artifact("bin", "\"/out/demo\""),
            artifact("test", "\"/out/deps/cells-1\""),
            "{\"reason\":\"build-finished\",\"success\":true}\n".into(),
        ];
        let lines = lines.concat();
        assert_eq!(
            parse_executables(&lines, "bin"),
            [PathBuf::from("/out/demo")]
        );
        assert_eq!(
            parse_executables(&lines, "test"),
            [PathBuf::from("/out/deps/cells-1")]
        );
    }
}
