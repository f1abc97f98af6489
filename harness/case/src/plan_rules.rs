//! The rules about the clauses of the plan that are not about one case.

use crate::role::Shape;

/// The clause that each member with a requester id of its own has its own page table.
pub const OWN_TABLES: &str = "S3.1";
/// Clauses about parts of a group. They are for groups whose members have requester ids of their own;
/// in others the rules of stage 2 hold for ever.
const OF_PARTS: [&str; 2] = [OWN_TABLES, "S3.3"];
/// The clauses that they replace in such groups.
const REPLACED: [&str; 4] = ["S2.0", "S2.7a", "S2.7b", "S2.7c"];

/// Whether a clause is one of stage 3 about parts of a group.
pub fn has_stage_3(clause: &str) -> bool {
    OF_PARTS.contains(&clause)
}

/// Whether a kernel that follows the plan of a clause need not do what another clause says.
pub fn replaces(planned: &str, other: &str) -> bool {
    OF_PARTS.contains(&planned) && REPLACED.contains(&other)
}

/// Whether the plan of a clause is for groups of this shape. This is the one place that decides
/// between stage 3 and stage 2.
pub fn is_for(clause: &str, shape: Option<Shape>) -> bool {
    let of_own_ids = [
        Shape::Functions,
        Shape::Port,
        Shape::Ports,
        Shape::DirectMapped,
    ];
    !OF_PARTS.contains(&clause) || shape.is_some_and(|shape| of_own_ids.contains(&shape))
}

/// Returns the clauses that a kernel has together with this one, or not at all.
pub fn go_together(clause: &str) -> Vec<&str> {
    match OF_PARTS.contains(&clause) {
        true => OF_PARTS.to_vec(),
        false => vec![clause],
    }
}

/// What a case is about, which decides whose plans it is judged by.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The clauses that it shows Linux to deviate from.
    pub deviations: Vec<String>,
    /// The shape of its group.
    pub shape: Option<Shape>,
}

impl About {
    /// Returns the clauses that a plan of one of its steps belongs to: the given one, or without
    /// one those that the case shows Linux to deviate from.
    pub fn clauses(&self, given: Option<&str>) -> Vec<String> {
        let clauses = match given {
            Some(clause) => vec![clause.to_owned()],
            None => self.deviations.clone(),
        };
        let own = clauses.into_iter();
        own.filter(|clause| is_for(clause, self.shape)).collect()
    }
}
