//! A page table as a kernel under test keeps it: real descriptors, stored by a CPU.

use super::descriptor::{Kind, Mapping, Rights};
use super::format::Format;
use crate::model::Model;
use crate::oracle::{Effect, Span};
use alloc::vec::Vec;

/// A table with four levels for 48 bits (52 on POWER) or five for 57. Its edits store descriptors and invalidate nothing.
#[derive(Clone, Debug)]
pub struct Tables {
    model: Model,
    format: Format,
    /// The root's level.
    top: i8,
    root: u64,
}

impl Tables {
    pub(crate) fn new(model: Model, format: Format, top: i8) -> Self {
        let root = model.allocate(format.table_bytes(top));
        Self {
            model,
            format,
            top,
            root,
        }
    }

    /// The physical address of the root.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Maps a page, making the tables on the way. All stores are made by `cpu`.
    pub fn map(&self, cpu: usize, va: u64, mapping: Mapping) {
        let last = mapping.level as i8;
        let at = self.make_slot(cpu, va, last);
        self.edit(cpu, at, self.format.leaf(&mapping), va, last);
    }

    /// Changes what an existing page allows.
    ///
    /// # Panics
    /// Where the page is not mapped.
    pub fn protect(&self, cpu: usize, va: u64, rights: Rights) {
        let (at, level, old) = self.leaf(va).expect("the page is mapped");
        let new = self.format.permit(old, rights);
        self.edit(cpu, at, new, va, level);
    }

    /// Unmaps a page, and says which frame it led to; nothing where it was not mapped.
    pub fn unmap(&self, cpu: usize, va: u64) -> Option<u64> {
        let (at, level, old) = self.leaf(va)?;
        self.edit(cpu, at, 0, va, level);
        match self.format.decode(level, old) {
            Kind::Leaf(leaf) => Some(leaf.pa),
            _ => None,
        }
    }

    /// Stores this word as the leaf entry of an existing page: software bits, or those that hardware sets.
    ///
    /// # Panics
    /// Where the page is not mapped.
    pub fn set_descriptor(&self, cpu: usize, va: u64, raw: u64) {
        let (at, level, _) = self.leaf(va).expect("the page is mapped");
        self.edit(cpu, at, raw, va, level);
    }

    /// The table that the entry for `va` at this level leads to; nothing where it leads to none.
    pub fn table_at(&self, va: u64, level: u8) -> Option<u64> {
        let on_the_way = |&(_, at, _): &(u64, i8, u64)| at == level as i8;
        let (_, _, table) = self.path(va).into_iter().find(on_the_way)?;
        Some(table)
    }

    /// Hangs a table that is there already under the entry for `va` at this level, making those above: one that was moved, or that
    /// another tree has as well.
    pub fn hang_table(&self, cpu: usize, va: u64, level: u8, table: u64) {
        let level = level as i8;
        let at = self.make_slot(cpu, va, level);
        self.edit(cpu, at, self.format.table(level, table), va, level);
    }

    /// Takes the lowest table on the way to `va` out of the tree, and says where it is; nothing where there is none but the
    /// root. It is the caller's to free.
    pub fn unhang_table(&self, cpu: usize, va: u64) -> Option<u64> {
        let (at, level, table) = self.path(va).pop()?;
        self.edit(cpu, at, 0, va, level);
        Some(table)
    }

    /// Puts a table that [`Tables::unhang_table`] has given back into the tree, below the lowest on the way to `va`.
    pub fn rehang_table(&self, cpu: usize, va: u64, table: u64) {
        let (level, above) = self.lowest(va);
        let at = self.slot(above, level, va);
        self.edit(cpu, at, self.format.table(level, table), va, level);
    }

    /// The leaf descriptor of a page as last stored; 0 where there is none.
    pub fn descriptor(&self, va: u64) -> u64 {
        self.leaf(va).map_or(0, |(_, _, raw)| raw)
    }

    /// Where, at which level and what the leaf entry is.
    fn leaf(&self, va: u64) -> Option<(u64, i8, u64)> {
        let (level, table) = self.lowest(va);
        let at = self.slot(table, level, va);
        let raw = self.load(at);
        matches!(self.format.decode(level, raw), Kind::Leaf(_)).then_some((at, level, raw))
    }

    /// The level of the lowest table on the way, and where it is.
    fn lowest(&self, va: u64) -> (i8, u64) {
        match self.path(va).last() {
            Some(&(_, level, table)) => (level + 1, table),
            None => (self.top, self.root),
        }
    }

    /// Every table entry on the way: where it is, its level, and the table it leads to.
    fn path(&self, va: u64) -> Vec<(u64, i8, u64)> {
        let mut path = Vec::new();
        let mut table = self.root;
        for level in self.top..3 {
            let at = self.slot(table, level, va);
            let Kind::Table(next) = self.format.decode(level, self.load(at)) else {
                break;
            };
            path.push((at, level, next));
            table = next;
        }
        path
    }

    /// Where the entry for `va` at this level is, the tables above it made.
    fn make_slot(&self, cpu: usize, va: u64, last: i8) -> u64 {
        let mut table = self.root;
        for level in self.top..last {
            let at = self.slot(table, level, va);
            table = match self.format.decode(level, self.load(at)) {
                Kind::Table(next) => next,
                _ => self.hang_made_table(cpu, va, level, at),
            };
        }
        self.slot(table, last, va)
    }

    fn hang_made_table(&self, cpu: usize, va: u64, level: i8, at: u64) -> u64 {
        let table = self.model.allocate(self.format.table_bytes(level + 1));
        self.edit(cpu, at, self.format.table(level, table), va, level);
        table
    }

    fn edit(&self, cpu: usize, at: u64, raw: u64, va: u64, level: i8) {
        let within = (1_u64 << self.format.shift(level)) - 1;
        let span = Span {
            root: self.root,
            first: va & !within,
            last: va | within,
        };
        self.model.with(|world| {
            world.foresee(self.root, va);
            let old = world.ground.memory.frames.latest(at);
            let [old, new] = [old, raw].map(|raw| self.format.decode(level, raw));
            world.judge_store(self.format, span.first, old, new);
            world.ground.oracle.changed(span, Effect::of(old, new));
            world.watch_tables(self.format, level, at, raw);
            world.store(cpu, at, raw);
        });
    }

    fn load(&self, at: u64) -> u64 {
        self.model
            .with(|world| world.ground.memory.frames.latest(at))
    }

    fn slot(&self, table: u64, level: i8, va: u64) -> u64 {
        table + self.format.offset(level, va)
    }
}
