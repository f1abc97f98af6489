//! Colours (Okabe and Ito, for colour-blind readers) and line styles that also differ in print.

use model::view::{Meets, Stage};

use crate::picture::result::TransitionResult;

/// Colour of text that is not a result.
pub const INK: &str = "#222222";
/// Colour of less important text.
pub const PALE_INK: &str = "#555555";
/// The font of every text.
pub const FONT: &str = "Helvetica,Arial,sans-serif";

/// How a result is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// Of line and text.
    pub colour: &'static str,
    /// In points.
    pub width: f64,
    /// Lengths of dash and gap, if it is not solid.
    pub dash: Option<&'static str>,
    /// Before a text.
    pub mark: &'static str,
}

impl TransitionResult {
    /// In the order of the legend.
    pub(super) const ALL: [Self; 4] = [
        Self::Conforms,
        Self::Diverged,
        Self::NotCovered,
        Self::NotRun,
    ];

    pub(super) const fn stroke(self) -> Stroke {
        let (colour, width, dash, mark) = match self {
            Self::NotRun => ("#444444", 1.0, None, ""),
            Self::Conforms => ("#0072b2", 1.3, None, ""),
            Self::NotCovered => ("#777777", 1.6, Some("5,4"), "? "),
            Self::Diverged => ("#d55e00", 3.5, None, "\u{2260} "),
        };
        Stroke {
            colour,
            width,
            dash,
            mark,
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::NotRun => "not run",
            Self::Conforms => "conforms",
            Self::NotCovered => "not covered",
            Self::Diverged => "diverged",
        }
    }
}

/// Fill of a node, which shows what DMA reaches.
pub const fn fill(meets: Meets) -> &'static str {
    match meets {
        Meets::Default => "#ffffff",
        Meets::Blocking => "#e6e6e6",
        Meets::Ioas => "#fff3c4",
        Meets::Container => "#ecdff5",
    }
}

/// The background of a stage's part of the picture.
pub const fn background(stage: Stage) -> &'static str {
    match stage {
        Stage::One | Stage::Two => "#f7f7f5",
        Stage::GroupPath => "#efefec",
    }
}
