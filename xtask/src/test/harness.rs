//! What the standard test harness prints.

use std::collections::BTreeMap;

use crate::test::tally::Tally;

/// What stands for a test that a filter left out.
pub(crate) const FILTERED_OUT: &str = "a test filtered out";

/// Reads what the standard test harness prints: one line a test, and one line of sums a binary.
pub(crate) fn parse(part: &str, output: &str) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines() {
        if let Some(sums) = line.strip_prefix("test result: ") {
            tally.passed += number_before(sums, " passed");
            let filtered = number_before(sums, " filtered out");
            tally
                .skipped
                .extend((0..filtered).map(|_| FILTERED_OUT.to_owned()));
        } else if let Some((name, end)) = test_line(line) {
            match end.split_once(", ").unwrap_or((end, "no reason given")) {
                ("ok", _) => tally.names.push(name.to_owned()),
                ("FAILED", _) => {
                    tally.failed.push(format!("{part}: {name}"));
                    tally.said.extend(said_by(name, output));
                }
                ("ignored", why) => tally.skipped.push(format!("{part}: {name}: {why}")),
                _ => {}
            }
        }
    }
    tally
}

/// What a test printed, with its headline and up to the backtrace. Where it is kept apart from what was printed long before, nobody has to look for it
/// in a log of which the end alone is at hand.
fn said_by(test: &str, output: &str) -> Option<String> {
    let mut lines = printed(output).filter(|(by, _)| *by == test).peekable();
    lines.peek()?;
    let lines = lines.map(|(_, line)| line);
    let said: Vec<_> = lines
        .take_while(|line| *line != "stack backtrace:")
        .collect();
    let said = said.join("\n");
    Some(format!("---- {test} stdout ----\n{}", said.trim_end()))
}

/// Every line that tests have printed, beside the test's name. The harness shows them test by test, under a headline each.
fn printed(output: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut test = None;
    output.lines().filter_map(move |line| {
        if let Some(headline) = line.strip_prefix("---- ") {
            test = headline.strip_suffix(" stdout ----");
            return None;
        }
        if line == "failures:" || line.starts_with("test result: ") {
            test = None;
        }
        Some((test?, line))
    })
}

fn test_line(line: &str) -> Option<(&str, &str)> {
    let (name, end) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    Some((name, end.trim_end()))
}

fn number_before(sums: &str, what: &str) -> u64 {
    let before = sums.split_once(what).map(|(before, _)| before);
    before
        .and_then(|text| text.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// The rest of one line for each property after its program's name, from what its test prints under `--show-output`: `12 cases`, `512 runs, 40 states`, `7 executions`.
/// Tests that print no amount are one case each, and share the line of their module.
pub(crate) fn amounts(output: &str) -> Vec<String> {
    let told = told(output);
    let passed = output.lines().filter_map(test_line);
    let passed = passed.filter_map(|(name, end)| (end == "ok").then_some(name));
    let mut modules = BTreeMap::<&str, u64>::new();
    let mut lines = Vec::new();
    for name in passed {
        let mine = told.iter().filter(|(test, _)| *test == name);
        let before = lines.len();
        lines.extend(mine.map(|(_, amount)| format!("::{name}: {amount}")));
        if lines.len() == before {
            let module = name.rfind("::").map_or("", |end| &name[..end]);
            *modules.entry(module).or_default() += 1;
        }
    }
    let modules = modules.into_iter();
    lines.extend(modules.map(|(module, cases)| {
        let at = if module.is_empty() { "" } else { "::" };
        format!("{at}{module}: {cases} cases")
    }));
    lines
}

/// The lines with an amount at their end that tests have printed, by the test's name, which need not be said twice.
fn told(output: &str) -> Vec<(&str, &str)> {
    let amounts = printed(output).filter(|(_, line)| has_amount(line));
    let told = amounts.map(|(test, line)| {
        let rest = line
            .strip_prefix(test)
            .and_then(|rest| rest.strip_prefix(": "));
        (test, rest.unwrap_or(line))
    });
    told.collect()
}

/// Whether what follows the last colon begins with a number of tries.
fn has_amount(line: &str) -> bool {
    let amount = line.rsplit_once(": ").map_or(line, |(_, amount)| amount);
    let Some((number, unit)) = amount.split_once(' ') else {
        return false;
    };
    let known = ["cases", "executions", "runs"];
    number.parse::<u64>().is_ok() && known.iter().any(|known| unit.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_harness_prints() {
        let output = "running 4 tests\n\
            test cpu_set::tests::union ... ok\n\
            test flush::tests::wraps ... FAILED\n\
            test slow ... ignored, takes an hour\n\
            test src/lib.rs - Engine (line 12) - compile ... ok\n\
            test src/lib.rs - Other (line 3) ... ignored\n\
            test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 1 filtered out; finished in 0.03s\n\
            test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let tally = parse("host", output);
        assert_eq!(tally.passed, 42);
        assert_eq!(
            tally.names,
            [
                "cpu_set::tests::union",
                "src/lib.rs - Engine (line 12) - compile"
            ]
        );
        assert_eq!(tally.failed, ["host: flush::tests::wraps"]);
        assert_eq!(
            tally.skipped,
            [
                "host: slow: takes an hour",
                "host: src/lib.rs - Other (line 3): no reason given",
                FILTERED_OUT,
            ]
        );
    }

    #[test]
    fn says_at_the_end_what_failed_tests_have_printed() {
        let output = "test right ... ok\n\
            test wrong ... FAILED\n\
            test worse ... FAILED\n\
            \nfailures:\n\n\
            ---- wrong stdout ----\n\
            a kernel of 3 operations\n\n\
            thread 'wrong' panicked at a.rs:1:1:\n\
            stack backtrace:\n\
            0: everything\n\n\
            ---- worse stdout ----\n\
            worse\n\n\
            failures:\n    worse\n    wrong\n\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            parse("host", output).said,
            [
                "---- wrong stdout ----\na kernel of 3 operations\n\nthread 'wrong' panicked at a.rs:1:1:",
                "---- worse stdout ----\nworse",
            ]
        );
    }

    #[test]
    fn says_how_often_each_property_was_tried() {
        let output = "test a::kernels ... ok\n\
            test a::one ... ok\n\
            test a::two ... ok\n\
            test three ... ok\n\
            test explored ... ok\n\
            test wrong ... FAILED\n\
            \nsuccesses:\n\n\
            ---- a::kernels stdout ----\n\
            305 cases\n\
            ---- a::one stdout ----\n\
            two: cases of doubt\n\
            ---- explored stdout ----\n\
            explored: one page, 3 steps: 512 runs, 40 states\n\
            explored: two pages: 64 runs, 9 states\n\
            ---- wrong stdout ----\n\
            3 cases\n";
        assert_eq!(
            amounts(output),
            [
                "::a::kernels: 305 cases",
                "::explored: one page, 3 steps: 512 runs, 40 states",
                "::explored: two pages: 64 runs, 9 states",
                ": 1 cases",
                "::a: 2 cases",
            ]
        );
    }
}
