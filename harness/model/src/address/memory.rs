//! The memory of a walk's process.

use std::fmt;

/// Bytes of a page of the process.
pub const PAGE: u64 = 4096;

/// A run of pages of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Buffer {
    /// Private anonymous memory.
    Private,
    /// Shared anonymous memory.
    Shared,
    /// A memfd, which `IOMMU_IOAS_MAP_FILE` maps. The process has mapped it too.
    File,
    /// Part of a huge page of the pool.
    Huge,
    /// Private memory whose pages follow one another in physical memory for a few pages at a time.
    Pieces,
}

impl Buffer {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Private,
        Self::Shared,
        Self::File,
        Self::Huge,
        Self::Pieces,
    ];

    /// Its size in bytes.
    pub const fn size(self) -> u64 {
        match self {
            Self::Private => 48 * PAGE,
            Self::Shared => 24 * PAGE,
            Self::File => 32 * PAGE,
            Self::Huge => 64 * PAGE,
            Self::Pieces => 40 * PAGE,
        }
    }

    /// Its name in a case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::File => "filed",
            Self::Huge => "huge",
            Self::Pieces => "pieces",
        }
    }

    /// How much of its address is known before it is mapped: the address is a multiple of this.
    pub(crate) const fn known(self) -> u64 {
        match self {
            Self::Private | Self::Shared | Self::Pieces => PAGE,
            // What counts is the offset in the file.
            Self::File => u64::MAX,
            Self::Huge => 0x20_0000,
        }
    }

    /// Whether the kernel counts the pins of each of its pages apart.
    pub const fn counts_pins_of_pages(self) -> bool {
        !matches!(self, Self::Huge | Self::Pieces)
    }
}

/// A byte of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The buffer.
    pub buffer: Buffer,
    /// Offset of the byte in it.
    pub offset: u64,
}

impl Place {
    /// The place that is this many bytes further on.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self {
            buffer: self.buffer,
            offset: self.offset + bytes,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}+{:#x}", self.buffer.name(), self.offset)
    }
}

/// What a mapping lets devices and drivers do: `IOMMU_IOAS_MAP_READABLE` and
/// `IOMMU_IOAS_MAP_WRITEABLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rights {
    /// Neither, which no mapping may have.
    None,
    /// Reads alone.
    Read,
    /// Writes alone.
    Write,
    /// Reads and writes.
    Both,
}

impl Rights {
    /// Whether it allows a write, or a read.
    pub const fn allow(self, write: bool) -> bool {
        match self {
            Self::None => false,
            Self::Read => !write,
            Self::Write => write,
            Self::Both => true,
        }
    }
}
