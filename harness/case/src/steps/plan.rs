//! `plan` of a step: what is expected in its place on a kernel that conforms to the plan of 2021.

use crate::{
    node::{Name, Node, Tree},
    problem::Problem,
};

/// Key of a step's body.
pub const PLAN: &str = "plan";
/// Keys that say how a step ends and what it leaves. A plan that has one of them replaces all.
const ENDS: &[&str] = &[
    "errno", "signal", "returns", "expect", "all", "changed", "lands", "blocked", "reads", "unread",
];
/// How a DMA ends, with the key for one that reads.
const DMA: &[(&str, &str)] = &[("lands", "reads"), ("blocked", "unread")];

/// The body of a step under a clause of the plan.
#[derive(Debug)]
pub struct PlanBody {
    /// The clause, if it is named.
    pub clause: Option<String>,
    /// The body.
    pub body: Node,
}

/// Returns a step's body without its plan, and the body under each clause of the plan.
///
/// # Errors
/// If the plan is malformed.
pub fn split(body: &Node) -> Result<(Node, Vec<PlanBody>), Problem> {
    let Tree::Map(entries) = &body.tree else {
        return Ok((body.clone(), Vec::new()));
    };
    let (plan, today): (Vec<_>, Vec<_>) = entries
        .iter()
        .cloned()
        .partition(|(name, _)| name.text == PLAN);
    let today = Node {
        at: body.at,
        tree: Tree::Map(today),
    };
    let bodies = match plan.first() {
        None => Vec::new(),
        Some((_, plan)) => bodies(&today, plan)?,
    };
    Ok((today, bodies))
}

fn bodies(today: &Node, plan: &Node) -> Result<Vec<PlanBody>, Problem> {
    let by_clause = match &plan.tree {
        Tree::Map(entries) if entries.iter().any(|(name, _)| is_clause(&name.text)) => {
            entries.as_slice()
        }
        _ => {
            let (clause, body) = (None, replaced(today, plan)?);
            return Ok(vec![PlanBody { clause, body }]);
        }
    };
    let body = |(name, plan): &(Name, Node)| {
        if !is_clause(&name.text) {
            let text = format!("`{}` is no clause, as the keys beside it are", name.text);
            return Err(Problem::other(name.at, text));
        }
        let clause = Some(name.text.clone());
        let body = replaced(today, plan)?;
        Ok(PlanBody { clause, body })
    };
    by_clause.iter().map(body).collect()
}

/// Whether a key is the id of a clause, such as `S2.7a` or `C4`.
pub fn is_clause(key: &str) -> bool {
    let number = key.strip_prefix(['S', 'C']);
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// The body of a step with what the plan replaces in it.
fn replaced(today: &Node, plan: &Node) -> Result<Node, Problem> {
    let mut entries = today.entries()?.to_vec();
    let new = match &plan.tree {
        Tree::Map(new) => new.clone(),
        _ => vec![ending(&entries, plan)?],
    };
    let ends = |name: &Name| ENDS.contains(&name.text.as_str());
    if new.iter().any(|(name, _)| ends(name)) {
        entries.retain(|(name, _)| !ends(name));
    }
    for (name, value) in new {
        entries.retain(|(known, _)| known.text != name.text);
        if value.tree != Tree::Null {
            entries.push((name, value));
        }
    }
    Ok(Node {
        at: today.at,
        tree: Tree::Map(entries),
    })
}

/// `plan: EINVAL`, `plan: SIGBUS` or `plan: blocked` as the key that it stands for.
fn ending(today: &[(Name, Node)], plan: &Node) -> Result<(Name, Node), Problem> {
    let word = plan.text()?;
    let key = |text: &str| Name {
        at: plan.at,
        text: text.to_owned(),
    };
    let of_dma = |(name, page): &(Name, Node)| {
        let reads = DMA.iter().any(|(_, reads)| *reads == name.text);
        let writes = DMA.iter().any(|(writes, _)| *writes == name.text);
        (reads || writes).then(|| (reads, page.clone()))
    };
    Ok(match today.iter().find_map(of_dma) {
        Some((reads, page)) => {
            let mut words = DMA.iter();
            let (lands, fetched) = words.find(|(end, _)| *end == word).ok_or_else(|| {
                let known = DMA.iter().map(|(end, _)| *end);
                Problem::unknown_name(plan.at, "end of a DMA", word, known)
            })?;
            (key(if reads { fetched } else { lands }), page)
        }
        None if word.starts_with("SIG") => (key("signal"), plan.clone()),
        None => (key("errno"), plan.clone()),
    })
}
