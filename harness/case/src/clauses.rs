//! The clauses of the staged protocol: `cases/clauses.yaml`.

use crate::{fields::Fields, node::Node, problem::Problem};

/// One clause. Its id never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// `S1.5`, or `C4` for a numbered claim about a kernel release.
    pub id: String,
    /// What it demands.
    pub text: String,
    /// Why no case can prove or refute it, if so.
    pub untestable: Option<String>,
}

/// Reads `ID: text` or `ID: {text: .., untestable: reason}`.
pub fn read(node: &Node) -> Result<Vec<Clause>, Problem> {
    let entries = node.entries()?;
    entries
        .iter()
        .map(|(name, body)| {
            let id = name.text.clone();
            if let Ok(text) = body.text() {
                return Ok(Clause {
                    id,
                    text: text.trim().to_owned(),
                    untestable: None,
                });
            }
            let mut fields = Fields::of(body, "clause")?;
            let text = fields.need("text")?.text()?.trim().to_owned();
            let untestable = fields.text("untestable")?.map(|why| why.trim().to_owned());
            fields.finish()?;
            Ok(Clause {
                id,
                text,
                untestable,
            })
        })
        .collect()
}
