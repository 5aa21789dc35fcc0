//! What one CPU executes, as a column of a litmus test.

use anyhow::Result;
use tlb_shootdown_model::recorder::aarch64::Executed;

use crate::lower::{Instruction, Operand, lower};
use crate::machine::Machine;
use crate::page::{Page, Place};

/// One step of a column.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// What the kernel or the observer executes.
    Fixed(String),
    /// What the library has executed, with the register of the operand.
    Emitted(Instruction, Option<String>),
}

/// The column under construction. Registers are numbered as they are needed; those with a first value hold it from the beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) steps: Vec<Step>,
    /// The first value of each register.
    pub(crate) registers: Vec<Option<String>>,
    pub(crate) recorded: Vec<Executed>,
}

impl Column {
    fn scratch(&mut self) -> usize {
        self.registers.push(None);
        self.registers.len() - 1
    }

    fn holding(&mut self, value: &str) -> usize {
        let known = self
            .registers
            .iter()
            .position(|first| first.as_deref() == Some(value));
        known.unwrap_or_else(|| {
            self.registers.push(Some(value.to_owned()));
            self.registers.len() - 1
        })
    }

    fn fixed(&mut self, text: String) {
        self.steps.push(Step::Fixed(text));
    }

    /// Stores an entry of the page table.
    pub(crate) fn store_entry(&mut self, page: Page, value: &str) {
        let (entry, value) = (self.holding(&page.entry()), self.holding(value));
        self.fixed(format!("STR X{value},[X{entry}]"));
    }

    /// A barrier of the kernel's own, or a context synchronisation event that it cannot avoid.
    pub(crate) fn kernels(&mut self, barrier: &str) {
        self.fixed(barrier.to_owned());
    }

    /// Says to others that this point was reached, by a plain store.
    pub(crate) fn raise(&mut self, flag: &str) {
        self.set(flag, "STR");
    }

    /// The same by a store-release, as when a lock is dropped.
    pub(crate) fn release(&mut self, flag: &str) {
        self.set(flag, "STLR");
    }

    fn set(&mut self, flag: &str, how: &str) {
        let (flag, one) = (self.holding(flag), self.scratch());
        self.fixed(format!("MOV W{one},#1"));
        self.fixed(format!("{how} W{one},[X{flag}]"));
    }

    /// Looks whether another has reached its point, as when a lock is taken; the register with the answer.
    pub(crate) fn acquire(&mut self, flag: &str) -> usize {
        let (flag, answer) = (self.holding(flag), self.scratch());
        self.fixed(format!("LDAR W{answer},[X{flag}]"));
        answer
    }

    /// The same by a plain load, which orders nothing.
    pub(crate) fn look(&mut self, flag: &str) -> usize {
        let (flag, answer) = (self.holding(flag), self.scratch());
        self.fixed(format!("LDR W{answer},[X{flag}]"));
        answer
    }

    /// Goes on only once that answer is known: a branch that depends on it, as in every loop that waits.
    pub(crate) fn once(&mut self, answer: usize, label: &str) {
        self.fixed(format!("CBNZ W{answer},{label}"));
        self.fixed(format!("{label}:"));
    }

    /// Reads through the page, at this label; the register.
    pub(crate) fn read(&mut self, label: &str, page: Page) -> usize {
        let (address, value) = (self.holding(page.name), self.scratch());
        self.fixed(format!("{label}: LDR W{value},[X{address}]"));
        value
    }

    /// Writes a number through the page, at this label.
    pub(crate) fn write(&mut self, label: &str, page: Page, number: u32) {
        let (address, value) = (self.holding(page.name), self.scratch());
        self.fixed(format!("MOV W{value},#{number}"));
        self.fixed(format!("{label}: STR W{value},[X{address}]"));
    }

    /// Appends what the library has executed since the last time.
    pub(crate) fn take(&mut self, machine: &Machine, places: &[Place]) -> Result<()> {
        self.emitted(&machine.take(), places)
    }

    /// Appends what the library has executed.
    pub(crate) fn emitted(&mut self, executed: &[Executed], places: &[Place]) -> Result<()> {
        for recorded in executed {
            self.recorded.push(*recorded);
            for instruction in lower(recorded, places)? {
                self.emit(instruction);
            }
        }
        Ok(())
    }

    fn emit(&mut self, instruction: Instruction) {
        let operand = match instruction.operand {
            Operand::None => None,
            Operand::Page(page) => {
                let (address, number) = (self.holding(page.name), self.scratch());
                self.fixed(format!("LSR X{number},X{address},#12"));
                Some(number)
            }
        };
        let register = operand.map(|register| format!("X{register}"));
        self.steps.push(Step::Emitted(instruction, register));
    }

    /// The lines of the column.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.steps.iter().map(|step| match step {
            Step::Fixed(text) => text.clone(),
            Step::Emitted(instruction, None) => instruction.name.clone(),
            Step::Emitted(instruction, Some(register)) => {
                format!("{},{register}", instruction.name)
            }
        })
    }

    /// What the recorder kept, operands and all.
    pub(crate) fn shown(&self) -> String {
        let shown = self.recorded.iter().map(|(name, operand)| match operand {
            Some(operand) => format!("{name} {operand:#018x}"),
            None => (*name).to_owned(),
        });
        shown.collect::<Vec<_>>().join("; ")
    }
}
