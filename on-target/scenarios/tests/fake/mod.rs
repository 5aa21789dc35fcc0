//! A machine of arrays: one table, one TLB per observer, and switches for what is to go wrong.

use tlb_shootdown_scenarios::{
    Access, Cost, Directory, Flush, Frame, Machine, Mapping, Observer, PAGES, Page, Refusal,
    Rights, Yardstick,
};

/// What the fake machine does wrong, or does otherwise.
#[derive(Default)]
pub(crate) struct Quirks {
    /// Walks again before a permission fault is reported, as TCG's CPUs do.
    pub(crate) rewalks: bool,
    /// How many resets from the start keep no translation at all.
    pub(crate) forgetful_runs: u32,
    /// Whom the flush misses.
    pub(crate) missed: Option<Observer>,
    /// Splits a large page in one store, without an invalid entry before it.
    pub(crate) splits_at_once: bool,
    /// Stores the table of a split before anybody is flushed.
    pub(crate) flushes_split_last: bool,
    /// Splits a large page into pages that all lead to other frames.
    pub(crate) loses_pages: bool,
    /// Counted besides what was done.
    pub(crate) extra_syncs: u32,
    /// What a refusal is reported as, whatever it is.
    pub(crate) misreported: Option<Refusal>,
}

/// The machine.
pub(crate) struct Fake {
    pub(crate) quirks: Quirks,
    yardstick: &'static Yardstick,
    directory: Directory,
    table: [Option<Mapping>; PAGES as usize],
    cached: [[Option<Mapping>; PAGES as usize]; 3],
    memory: [u64; 2 * PAGES as usize],
    shared: bool,
}

impl Fake {
    pub(crate) fn new(yardstick: &'static Yardstick, quirks: Quirks) -> Self {
        Self {
            quirks,
            yardstick,
            directory: Directory::Table,
            table: Default::default(),
            cached: Default::default(),
            memory: [0; 2 * PAGES as usize],
            shared: false,
        }
    }

    fn walk(&self, page: usize) -> Option<Mapping> {
        match self.directory {
            Directory::Empty => None,
            Directory::Table => self.table[page],
            Directory::LargePage => Some(Mapping {
                frame: Frame(page as u8),
                rights: Rights::ReadWrite,
            }),
        }
    }

    fn translate(&mut self, observer: Observer, page: Page, write: bool) -> Result<Frame, Refusal> {
        let page = usize::from(page.0);
        let walked = self.walk(page);
        let cached = &mut self.cached[observer as usize][page];
        let refused = |mapping: Mapping| write && mapping.rights == Rights::ReadOnly;
        let rewalk =
            self.quirks.rewalks && observer != Observer::Device && cached.is_some_and(refused);
        let used = cached.filter(|_| !rewalk).or(walked);
        if self.quirks.forgetful_runs == 0 {
            *cached = used;
        }
        let why = match used {
            None => Refusal::Translation,
            Some(mapping) if refused(mapping) => Refusal::Permission,
            Some(mapping) => return Ok(mapping.frame),
        };
        Err(self.quirks.misreported.unwrap_or(why))
    }
}

impl Machine for Fake {
    type Error = core::convert::Infallible;

    fn yardstick(&self) -> &'static Yardstick {
        self.yardstick
    }

    fn reset(&mut self, observer: Observer) -> Result<(), Self::Error> {
        self.quirks.forgetful_runs = self.quirks.forgetful_runs.saturating_sub(1);
        self.directory = Directory::Table;
        self.table = Default::default();
        self.cached = Default::default();
        self.shared = observer == Observer::Device;
        Ok(())
    }

    fn fill(&mut self, frame: Frame, word: u64) {
        self.memory[usize::from(frame.0)] = word;
    }

    fn word(&self, frame: Frame) -> u64 {
        self.memory[usize::from(frame.0)]
    }

    fn change(&mut self, page: Page, mapping: Option<Mapping>) -> Result<(), Self::Error> {
        self.table[usize::from(page.0)] = mapping;
        Ok(())
    }

    fn set_directory(&mut self, to: Directory) -> Result<(), Self::Error> {
        self.directory = to;
        if self.quirks.loses_pages && to == Directory::Table {
            for mapping in self.table.iter_mut().flatten() {
                mapping.frame = Frame(mapping.frame.0 % PAGES + PAGES);
            }
        }
        Ok(())
    }

    fn read(&mut self, observer: Observer, page: Page) -> Result<Access, Self::Error> {
        Ok(match self.translate(observer, page, false) {
            Ok(frame) => Access::Done(self.word(frame)),
            Err(why) => Access::Refused(why),
        })
    }

    fn write(&mut self, observer: Observer, page: Page, word: u64) -> Result<Access, Self::Error> {
        Ok(match self.translate(observer, page, true) {
            Ok(frame) => {
                self.fill(frame, word);
                Access::Done(word)
            }
            Err(why) => Access::Refused(why),
        })
    }

    fn flush(&mut self, flush: Flush) -> Result<Cost, Self::Error> {
        let commands = match flush {
            Flush::Gather(pages) | Flush::Reclaim(pages) => pages.len() as u32,
            _ => 1,
        };
        let spaces = match flush {
            Flush::Reclaim(_) => 2,
            _ => 1,
        };
        let pages = match flush {
            Flush::Page(page) | Flush::Upgrade(page) => page.0..page.0 + 1,
            Flush::Range { first, count } => first.0..first.0 + count,
            Flush::Space | Flush::Gather(_) | Flush::Reclaim(_) => 0..PAGES,
        };
        for observer in Observer::ALL {
            if self.quirks.missed != Some(observer) {
                for page in pages.clone() {
                    self.cached[observer as usize][usize::from(page)] = None;
                }
            }
        }
        let mut cost = Cost {
            store_barriers: 1,
            invalidations: commands * spaces,
            completion_barriers: 1,
            ..Cost::ZERO
        };
        if self.shared {
            (cost.commands, cost.doorbells, cost.queue_barriers) = (commands, 1, 1);
            cost.syncs = 1 + self.quirks.extra_syncs;
        }
        Ok(cost)
    }

    fn split(&mut self, observer: Observer, page: Page) -> Result<(Access, Cost), Self::Error> {
        if !self.quirks.splits_at_once {
            self.set_directory(Directory::Empty)?;
        }
        let all = Flush::Range {
            first: Page(0),
            count: PAGES,
        };
        if self.quirks.flushes_split_last {
            let between = self.read(observer, page)?;
            self.set_directory(Directory::Table)?;
            return Ok((between, self.flush(all)?));
        }
        let cost = self.flush(all)?;
        let between = self.read(observer, page)?;
        self.set_directory(Directory::Table)?;
        Ok((between, cost))
    }
}
