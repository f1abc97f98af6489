//! Mistakes that a test makes in the oracle.

/// A rule of the oracle that is made wrong. A walk has to diverge from a kernel that is right, or
/// the oracle does not look at that rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A mapping may lie over another one.
    MapOverlaps,
    /// A mapping may lie in a reserved range.
    MapReserved,
    /// The IOVA that the kernel chooses may be outside of the allowed ranges.
    ChoiceNotAllowed,
    /// The IOVA that the kernel chooses is not aligned.
    ChoiceNotAligned,
    /// A part of a mapping can be unmapped.
    UnmapSplits,
    /// An unmap that finds nothing succeeds.
    UnmapNothing,
    /// A mapping that a driver has pinned cannot be unmapped.
    UnmapRefusesPins,
    /// A copy may have a gap.
    CopyWithGap,
    /// A copy may allow writes that the mapping does not allow.
    CopyAddsRights,
    /// A device reserves nothing.
    AttachReservesNothing,
    /// The list of allowed ranges does not hold against a device.
    AllowedIgnored,
    /// The domain of an IOAS stays when its last device leaves.
    DomainStays,
    /// An HWPT in use can be destroyed.
    HwptInUse,
    /// A pin looks at no rights.
    PinWithoutRights,
    /// Each holder of a page pins it.
    PinForEachHolder,
    /// A driver's pins stay when its access moves.
    PinsStay,
    /// The pages of a device are not counted.
    PinsOfDevicesFree,
    /// A driver that pins pages leaves the alignment as it is.
    AccessAlignsNothing,
    /// A query of dirty bits leaves them as they are.
    DirtyStays,
    /// What was written before tracking is enabled counts.
    TrackingBeginsDirty,
    /// What is mapped where something dirty was is dirty.
    UnmapKeepsDirty,
    /// A device can write to what only allows reads.
    DmaIgnoresRights,
    /// A device that is detached stays where it was.
    DetachBlocksNothing,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::MapOverlaps,
        Self::MapReserved,
        Self::ChoiceNotAllowed,
        Self::ChoiceNotAligned,
        Self::UnmapSplits,
        Self::UnmapNothing,
        Self::UnmapRefusesPins,
        Self::CopyWithGap,
        Self::CopyAddsRights,
        Self::AttachReservesNothing,
        Self::AllowedIgnored,
        Self::DomainStays,
        Self::HwptInUse,
        Self::PinWithoutRights,
        Self::PinForEachHolder,
        Self::PinsStay,
        Self::PinsOfDevicesFree,
        Self::AccessAlignsNothing,
        Self::DirtyStays,
        Self::TrackingBeginsDirty,
        Self::UnmapKeepsDirty,
        Self::DmaIgnoresRights,
        Self::DetachBlocksNothing,
    ];
}
