//! A page table as a kernel under test keeps it: real descriptors, stored by a CPU.

use super::descriptor::{
    ACCESSED, INNER_SHAREABLE, Kind, NOT_GLOBAL, READ_ONLY, Rights, TABLE_OR_PAGE, USER, VALID,
    decode, level_shift,
};
use crate::model::Model;
use alloc::vec::Vec;

/// A table of four levels, 4 KiB granule, 48 bits. Its edits store descriptors and invalidate nothing.
#[derive(Clone, Debug)]
pub struct Tables {
    model: Model,
    root: u64,
}

/// How a page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The frame.
    pub pa: u64,
    /// What may be done.
    pub rights: Rights,
    /// Level of the leaf entry: 3 for 4 KiB, 2 for 2 MiB, 1 for 1 GiB.
    pub level: u8,
    /// Shared by all address spaces (nG clear).
    pub global: bool,
}

impl Mapping {
    /// A 4 KiB page of one address space.
    pub const fn page(pa: u64, rights: Rights) -> Self {
        Self {
            pa,
            rights,
            level: 3,
            global: false,
        }
    }

    fn descriptor(&self) -> u64 {
        let kind = if self.level == 3 { TABLE_OR_PAGE } else { 0 };
        let rights = match self.rights {
            Rights::ReadOnly => READ_ONLY,
            Rights::ReadWrite => 0,
        };
        let tagged = if self.global { 0 } else { NOT_GLOBAL };
        self.pa | VALID | kind | USER | rights | INNER_SHAREABLE | ACCESSED | tagged
    }
}

impl Tables {
    pub(crate) fn new(model: Model) -> Self {
        let root = model.allocate(0x1000);
        Self { model, root }
    }

    /// The physical address of the root.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Maps a page, making the tables on the way. All stores are made by `cpu`.
    pub fn map(&self, cpu: usize, va: u64, mapping: Mapping) {
        let mut table = self.root;
        for level in 0..mapping.level {
            let at = slot(table, level, va);
            table = match decode(level, self.load(at)) {
                Kind::Table(next) => next,
                _ => self.hang_table(cpu, at),
            };
        }
        let at = slot(table, mapping.level, va);
        self.edit(cpu, at, mapping.descriptor(), va, mapping.level);
    }

    /// Changes what an existing page allows.
    ///
    /// # Panics
    /// Where the page is not mapped.
    pub fn protect(&self, cpu: usize, va: u64, rights: Rights) {
        let (at, level, old) = self.leaf(va).expect("the page is mapped");
        let new = match rights {
            Rights::ReadOnly => old | READ_ONLY,
            Rights::ReadWrite => old & !READ_ONLY,
        };
        self.edit(cpu, at, new, va, level);
    }

    /// Unmaps a page, and says which frame it led to; nothing where it was not mapped.
    pub fn unmap(&self, cpu: usize, va: u64) -> Option<u64> {
        let (at, level, old) = self.leaf(va)?;
        self.edit(cpu, at, 0, va, level);
        match decode(level, old) {
            Kind::Leaf(leaf) => Some(leaf.pa),
            _ => None,
        }
    }

    /// Takes the lowest table on the way to `va` out of the tree, and says where it is; nothing where there is none but the
    /// root. It is the caller's to free.
    pub fn unhang_table(&self, cpu: usize, va: u64) -> Option<u64> {
        let (at, level, table) = self.path(va).pop()?;
        self.edit(cpu, at, 0, va, level);
        Some(table)
    }

    /// The leaf descriptor of a page as last stored; 0 where there is none.
    pub fn descriptor(&self, va: u64) -> u64 {
        self.leaf(va).map_or(0, |(_, _, raw)| raw)
    }

    /// Where, at which level and what the leaf entry is.
    fn leaf(&self, va: u64) -> Option<(u64, u8, u64)> {
        let (level, table) = match self.path(va).last() {
            Some(&(_, level, table)) => (level + 1, table),
            None => (0, self.root),
        };
        let at = slot(table, level, va);
        let raw = self.load(at);
        matches!(decode(level, raw), Kind::Leaf(_)).then_some((at, level, raw))
    }

    /// Every table entry on the way: where it is, its level, and the table it leads to.
    fn path(&self, va: u64) -> Vec<(u64, u8, u64)> {
        let mut path = Vec::new();
        let mut table = self.root;
        for level in 0..3 {
            let at = slot(table, level, va);
            let Kind::Table(next) = decode(level, self.load(at)) else {
                break;
            };
            path.push((at, level, next));
            table = next;
        }
        path
    }

    fn hang_table(&self, cpu: usize, at: u64) -> u64 {
        let table = self.model.allocate(0x1000);
        let raw = table | VALID | TABLE_OR_PAGE;
        self.model.with(|world| world.store(cpu, at, raw));
        table
    }

    fn edit(&self, cpu: usize, at: u64, raw: u64, va: u64, level: u8) {
        let span = (1_u64 << level_shift(level)) - 1;
        self.model.with(|world| {
            world
                .ground
                .oracle
                .changed(self.root, va & !span, va | span);
            world.store(cpu, at, raw);
        });
    }

    fn load(&self, at: u64) -> u64 {
        self.model
            .with(|world| world.ground.memory.frames.latest(at))
    }
}

fn slot(table: u64, level: u8, va: u64) -> u64 {
    table + (va >> level_shift(level) & 0x1ff) * 8
}
