//! Who watches: another CPU that learns that a shootdown is over, and then uses the page.

use crate::column::Column;
use crate::page::Page;

/// How the page is used.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Read,
    Write,
}

/// The CPU's column, and the outcome that it sees the flag and then `goes` (faults or does not fault).
pub(super) fn after(
    flag: &str,
    cpu: usize,
    access: Access,
    page: Page,
    goes: Goes,
) -> (Column, String) {
    let mut column = Column::default();
    let outcome = goes_on(&mut column, flag, cpu, access, page, goes);
    (column, outcome)
}

/// The same of a CPU that has done something before.
pub(super) fn goes_on(
    column: &mut Column,
    flag: &str,
    cpu: usize,
    access: Access,
    page: Page,
    goes: Goes,
) -> String {
    let seen = column.acquire(flag);
    let label = format!("L{cpu}");
    match access {
        Access::Read => {
            column.read(&label, page);
        }
        Access::Write => column.write(&label, page, 1),
    }
    let fault = format!("fault(P{cpu}:{label},{})", page.name);
    let went = match goes {
        Goes::Through => format!("~{fault}"),
        Goes::Wrong => fault,
    };
    format!("({cpu}:X{seen}=1 /\\ {went})")
}

/// What must not happen to the access.
#[derive(Clone, Copy)]
pub(super) enum Goes {
    /// It goes through, though the right was taken away.
    Through,
    /// It faults, though the right was given.
    Wrong,
}
