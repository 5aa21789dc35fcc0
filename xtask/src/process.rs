//! Starting other programs, each with a limit in wall-clock time.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a finished program left behind.
pub(crate) struct Captured {
    /// `None` where the program was stopped because its time was over.
    pub status: Option<ExitStatus>,
    /// Everything it wrote to its standard output.
    pub stdout: String,
    /// Everything it wrote to its standard error.
    pub stderr: String,
}

impl Captured {
    /// Whether it ended by itself and with status 0.
    pub(crate) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// The program and its arguments as one would type them.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a program in the foreground, its output going where ours goes; any status but 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a program without input and keeps what it writes.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<Captured> {
    capture_lines(command, limit, |_| {})
}

/// Like [`capture`], and shows each line of standard output to `seen` as it arrives.
pub(crate) fn capture_lines(
    command: &mut Command,
    limit: Duration,
    seen: impl FnMut(&str),
) -> Result<Captured> {
    command.stderr(Stdio::piped());
    follow(command, limit, seen)
}

/// Like [`capture_lines`], with standard error going where ours goes.
pub(crate) fn stream_lines(
    command: &mut Command,
    limit: Duration,
    seen: impl FnMut(&str),
) -> Result<Captured> {
    command.stderr(Stdio::inherit());
    follow(command, limit, seen)
}

fn follow(command: &mut Command, limit: Duration, mut seen: impl FnMut(&str)) -> Result<Captured> {
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    let out = child.stdout.take().context("no pipe for standard output")?;
    let errors = child
        .stderr
        .take()
        .map(|pipe| thread::spawn(move || read_all(pipe)));
    let (send, lines) = mpsc::channel();
    thread::spawn(move || forward_lines(BufReader::new(out), &send));

    let mut stdout = String::new();
    // Ends when the program closes its output as well as when the time is over.
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        seen(&line);
        stdout.push_str(&line);
        stdout.push('\n');
    }
    let status = wait_until(&mut child, deadline)?;
    // After a kill, a grandchild may still hold the pipe open: its end is not waited for.
    let stderr = errors
        .filter(|_| status.is_some())
        .and_then(|reader| reader.join().ok());
    let stderr = stderr.unwrap_or_default();
    Ok(Captured {
        status,
        stdout,
        stderr,
    })
}

/// All that comes through a pipe; a broken one only cuts the text short, and the exit status tells the rest.
fn read_all(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn forward_lines(mut from: impl BufRead, to: &mpsc::Sender<String>) {
    let mut bytes = Vec::new();
    while from
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|count| count > 0)
    {
        let line = String::from_utf8_lossy(&bytes);
        if to
            .send(line.trim_end_matches(['\n', '\r']).to_owned())
            .is_err()
        {
            return;
        }
        bytes.clear();
    }
}

/// The status of the child, or `None` after killing it at the deadline.
fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_outputs_and_the_status() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo one; echo two >&2; exit 3"]);
        let captured = capture(&mut shell, Duration::from_secs(20)).unwrap();
        assert_eq!(captured.stdout, "one\n");
        assert_eq!(captured.stderr, "two\n");
        assert_eq!(captured.status.and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn stops_a_program_at_its_limit() {
        let mut sleeper = Command::new("sleep");
        sleeper.arg("600");
        let captured = capture(&mut sleeper, Duration::from_millis(20)).unwrap();
        assert!(captured.status.is_none());
    }
}
