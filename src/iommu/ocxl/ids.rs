//! The numbers by which a link knows processes and those who act for them.

/// A process: what the CPUs' PID register holds, and entries of the nest MMU are tagged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Pid(u32);

impl Pid {
    /// The process of this number; `None` where it needs more than 20 bits, and for 0, the kernel's own: no link is told of a flush of
    /// kernel mappings.
    pub const fn new(raw: u32) -> Option<Self> {
        if raw != 0 && raw < 1 << 20 {
            Some(Self(raw))
        } else {
            None
        }
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

/// What accesses of a device are tagged with, at most 15 bits: the place of its process element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Pasid(u32);

impl Pasid {
    /// The PASID of this number; `None` where it needs more than 15 bits.
    pub const fn new(raw: u32) -> Option<Self> {
        if raw < 1 << 15 { Some(Self(raw)) } else { None }
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

/// A function of the device: bus 15:8, device 7:3, function 2:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct FunctionId(pub u16);
