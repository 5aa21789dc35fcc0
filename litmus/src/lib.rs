//! Litmus tests of the AArch64 sequences that the library emits, for herd7 with Arm's model of virtual memory.
//!
//! Each scenario drives the engine through a public call on the recorder and writes down what was executed as the column of one CPU,
//! with the page-table store in front and another CPU that watches beside it ([`properties`]). So that it is known to be able to fail, each
//! has twins: one instruction left out, weakened, or executed by the wrong CPU. The text of all of them is committed
//! ([`committed`]) and can be read without herd7; `cargo xtask verify --only litmus` asks herd7.
//!
//! What this cannot show is said in the folder's README.

mod column;
pub mod committed;
mod interleaved;
mod lower;
mod machine;
mod page;
mod scenarios;
mod test;
mod twin;
mod verdict;

use anyhow::{Context, Result};

pub use test::{Model, Test};
pub use verdict::Verdict;

use scenarios::{Scenario, Written};
use test::Sequence;

/// A scenario: what holds, and its tests, the emitted sequence first.
#[derive(Clone, Debug)]
pub struct Property {
    /// The name of the scenario.
    pub name: &'static str,
    /// What the emitted sequence has to show.
    pub claim: &'static str,
    /// The sequence and its twins.
    pub tests: Vec<Test>,
}

/// Every scenario, played now.
///
/// # Errors
/// Where the engine refused a call, or emitted an instruction that names nothing of the test.
pub fn properties() -> Result<Vec<Property>> {
    scenarios::ALL.iter().map(property).collect()
}

fn property(scenario: &Scenario) -> Result<Property> {
    let Written { sequence, twins } =
        (scenario.write)().with_context(|| format!("in scenario {}", scenario.name))?;
    let unchanged = "as emitted";
    let mut tests = vec![test(
        scenario,
        "emitted",
        unchanged,
        Verdict::Never,
        &sequence,
    )];
    let of_any = twin::all(&sequence).into_iter();
    let of_any = of_any.map(|twin| (twin, Verdict::Sometimes));
    for (twin, expected) in of_any.chain(twins) {
        let what = &twin.what;
        tests.push(test(scenario, &twin.name, what, expected, &twin.sequence));
    }
    Ok(Property {
        name: scenario.name,
        claim: scenario.property,
        tests,
    })
}

fn test(
    scenario: &Scenario,
    variant: &str,
    what: &str,
    expected: Verdict,
    sequence: &Sequence,
) -> Test {
    let mut remarks = vec![scenario.property.to_owned()];
    for (cpu, column) in sequence.columns.iter().enumerate() {
        if !column.recorded.is_empty() {
            remarks.push(format!("Emitted on P{cpu}: {}.", column.shown()));
        }
    }
    remarks.push(format!("Here: {what}. Expected: {expected}."));
    let name = format!("{}+{variant}", scenario.name);
    Test {
        scenario: scenario.name,
        variant: variant.to_owned(),
        expected,
        model: scenario.model,
        text: sequence.text(&name, &remarks),
    }
}
