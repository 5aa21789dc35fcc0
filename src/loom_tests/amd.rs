//! The completions of an AMD command buffer: two CPUs submit, and the device takes a step whenever one of them looks at it.
//!
//! Whether some wait is still owed is a question that must not be asked outside the lock, nor answered with a flag: whose commands were
//! sealed by another has to wait for that other's position.

use super::two_cpus_in_part;
use crate::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use crate::cost::Cost;
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::flush::Flush;
use crate::iommu::amd::{
    Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu, Memory, Translation,
};
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Invalidation, SecondaryTlb};
use core::ptr::NonNull;
use core::task::Poll;
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::vec::Vec;

const PAGE: usize = 4096;
const STATUS: usize = 0x2020;
const TAIL: usize = 0x2008;

/// Memory of one execution.
struct Pages(NonNull<u8>);

impl Pages {
    const COUNT: usize = 4;

    fn layout() -> Layout {
        Layout::from_size_align(Self::COUNT * PAGE, PAGE).unwrap()
    }

    fn new() -> Self {
        // SAFETY: the layout is not empty.
        Self(NonNull::new(unsafe { alloc_zeroed(Self::layout()) }).unwrap())
    }

    fn region(&self, page: usize) -> DmaRegion {
        assert!(page < Self::COUNT);
        // SAFETY: within the pages.
        let at = unsafe { self.0.add(page * PAGE) };
        // SAFETY: each page is given away once, and outlives the driver, which is dropped first.
        unsafe { DmaRegion::new(at, PhysAddr::new(at.as_ptr() as u64), PAGE) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.as_ptr(), Self::layout()) };
    }
}

#[derive(Default)]
struct Device {
    base: u64,
    head: u32,
    tail: u32,
    on: bool,
    /// What was executed: opcode and page.
    done: Vec<(u64, u64)>,
}

impl Device {
    fn step(&mut self) {
        if !self.on || self.head == self.tail {
            return;
        }
        let at = (self.base + u64::from(self.head)) as *const u64;
        // SAFETY: the entry lies in the buffer that the driver gave, and every access is under a lock.
        let [w0, w1] = [0, 1].map(|word| unsafe { at.add(word).read_volatile() });
        if w0 >> 60 == 1 {
            let place = (w0 & 0xf_ffff_ffff_fff8) as *mut u64;
            // SAFETY: the completion word of the same driver.
            unsafe { place.write_volatile(w1) };
        } else {
            self.done.push((w0 >> 60, w1 >> 12));
        }
        self.head = (self.head + 16) % PAGE as u32;
    }
}

struct Registers(Arc<Mutex<Device>>);

// SAFETY: each access is one access to the modelled registers, under their lock.
unsafe impl Mmio for Registers {
    fn len(&self) -> usize {
        0x4000
    }
    fn read32(&self, offset: usize) -> u32 {
        let mut device = self.0.lock().unwrap();
        if offset != STATUS {
            return 0;
        }
        device.step();
        if device.on { 0x18 } else { 0 }
    }
    fn write32(&self, offset: usize, value: u32) {
        if offset == TAIL {
            self.0.lock().unwrap().tail = value;
        }
    }
    fn read64(&self, offset: usize) -> u64 {
        // IASup.
        if offset == 0x30 { 1 << 6 } else { 0 }
    }
    fn write64(&self, offset: usize, value: u64) {
        let mut device = self.0.lock().unwrap();
        match offset {
            0x08 => device.base = value & 0xf_ffff_ffff_f000,
            0x18 => device.on = value & 1 != 0,
            _ => {}
        }
    }
}

struct Ordered;

// SAFETY: every access to shared memory is under the ring lock.
unsafe impl DmaBarriers for Ordered {
    fn publish_tables(&self) {}
    fn before_doorbell(&self) {}
    fn after_completion(&self) {}
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

struct Lock(Mutex<()>);

// SAFETY: a mutex excludes all others.
unsafe impl RingLock for Lock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self.0.lock().unwrap();
        f()
    }
}

struct World {
    iommu: Iommu<Registers, Ordered, Lock, 1, 4>,
    device: Arc<Mutex<Device>>,
    key: AttachKey,
    _pages: Pages,
}

impl World {
    /// One device with a TLB of its own and a host table.
    fn new() -> Arc<Self> {
        let pages = Pages::new();
        let device = Arc::new(Mutex::new(Device::default()));
        let memory = Memory {
            commands: pages.region(0),
            devices: pages.region(1),
            events: Some(pages.region(2)),
            completion: pages.region(3),
        };
        let config = Config::new(1 << 24 | 1 << 27);
        let lock = Lock(Mutex::new(()));
        let registers = Registers(device.clone());
        let iommu = Iommu::new(registers, Ordered, lock, memory, config).unwrap();
        let wait = &mut || true;
        iommu.init(wait).unwrap();
        let setup = DeviceSetup {
            device: DeviceId(1),
            kind: DeviceKind::Host,
            ats: Some(1),
        };
        iommu.add_device(setup, wait).unwrap();
        let context = Context {
            device: DeviceId(1),
            pasid: None,
        };
        let root = PhysAddr::new(0x1000);
        let key = iommu
            .attach(&[context], &Translation::Host { root, levels: 3 }, wait)
            .unwrap();
        device.lock().unwrap().done.clear();
        Arc::new(Self {
            iommu,
            device,
            key,
            _pages: pages,
        })
    }

    /// A shootdown of one page that looks so often and gives up then. A complete one was executed, at the IOMMU before the device.
    fn shoot(&self, page: u64, looks: u32) -> bool {
        let mut cost = Cost::ZERO;
        let range = PageRange::page(VirtAddr::new(page << 12), PageSize::KIB_4);
        let invalidation = Invalidation::Space {
            key: self.key,
            flush: Flush::pages(range),
        };
        self.iommu.queue(&invalidation, &mut cost).unwrap();
        let mut fence = self.iommu.seal(&mut cost);
        for _ in 0..looks {
            if self.iommu.poll(&mut fence, &mut cost) == Poll::Ready(Ok(())) {
                let device = self.device.lock().unwrap();
                let at = |opcode| device.done.iter().position(|&done| done == (opcode, page));
                let own = at(3).expect("returned before its own invalidation was executed");
                let tlb = at(4).expect("returned before the device was asked");
                assert!(own < tlb);
                return true;
            }
        }
        false
    }
}

#[test]
fn loom_promise_03_each_waits_for_its_own_commands() {
    two_cpus_in_part(3, || {
        let world = World::new();
        let other = {
            let world = world.clone();
            thread::spawn(move || world.shoot(2, 3))
        };
        world.shoot(1, 3);
        other.join().unwrap();
        // Whoever gave up has left nothing behind that keeps others from completing.
        assert!(world.shoot(3, 30));
    });
}
