//! What all cases of a folder share: `folder.yaml` beside them, and their preludes.

use crate::{expand::Preludes, fields::Fields, needs::Needs, node::Node, problem::Problem};

/// What the cases of a folder share.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// Sequences of steps that they may use.
    pub(crate) preludes: Preludes,
    /// Needs of each of them; a case adds its own.
    pub needs: Needs,
}

/// Reads `needs: {..}` of `folder.yaml`.
pub fn read_needs(node: &Node) -> Result<Needs, Problem> {
    let mut fields = Fields::of(node, "folder")?;
    let needs = Needs::read(fields.need("needs")?)?;
    fields.finish()?;
    Ok(needs)
}
