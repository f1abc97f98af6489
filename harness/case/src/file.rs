//! A case file: header, table, steps; read into one [`Case`] per row and group shape.

use crate::{
    At,
    build::{Builder, Compiled},
    contract::{Contract, ContractCase},
    expand::{Preludes, Row},
    fields::Fields,
    input::Input,
    needs::{Condition, Needs},
    node::{Name, Node},
    problem::Problem,
    role::{Cast, Guest, Shape},
    steps::{Step, accesses::check_accesses, control::process::check_calls},
};

/// One test: a row of a case file on one group shape.
#[derive(Debug, Clone)]
pub struct Case {
    /// Path of the file without its ending, then the row, then the shape.
    pub id: String,
    /// Where the file or row stands.
    pub at: At,
    /// The rule it proves, in a sentence.
    pub summary: String,
    /// Clauses whose text it proves as it stands.
    pub proves: Vec<String>,
    /// Clauses from which it shows Linux to deviate.
    pub deviations: Vec<Deviation>,
    /// What it requires.
    pub needs: Needs,
    /// Group shape it is about.
    pub shape: Option<Shape>,
    /// Known failures.
    pub xfails: Vec<Xfail>,
    /// Whether its transcript is compared with a snapshot.
    pub snapshot: bool,
    /// Whether it stops at the first step that is not as expected: where the steps after it
    /// would wait for what does not come.
    pub fail_fast: bool,
    /// Deadline on an unloaded machine, without emulation.
    pub timeout_ms: u64,
    /// What it does.
    pub steps: Vec<Step>,
}

/// How Linux deviates from a clause, as shown by a passing case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// The clause.
    pub clause: String,
    /// Whether the uAPI has no such thing at all.
    pub absent: bool,
    /// In what, and why.
    pub reason: String,
}

/// A known failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xfail {
    /// Where it is known.
    pub when: Condition,
    /// What is wrong.
    pub reason: String,
    /// The failure is a complaint of the kernel with this text in it, and nothing else is
    /// excused.
    pub splat: Option<String>,
}

impl Xfail {
    /// Wherever the case runs.
    fn always(reason: String) -> Self {
        Self {
            when: Condition::default(),
            reason,
            splat: None,
        }
    }
}

/// Deadline of a case that names none.
const TIMEOUT_MS: u64 = 20_000;

/// Reads all cases of a file.
///
/// # Errors
/// With the first thing that is wrong.
pub fn read(stem: &str, node: &Node, preludes: &Preludes) -> Result<Vec<Case>, Problem> {
    let mut fields = Fields::of(node, "case file")?;
    let header = Header::read(&mut fields)?;
    let shapes = read_shapes(&mut fields)?;
    let contract = fields.take("contract");
    let table = fields.take("table").map(Node::entries).transpose()?;
    let steps = fields.need("steps")?;
    fields.finish()?;
    if let Some(node) = contract {
        if table.is_some() {
            let text = "a contract makes the rows of its case: there is no table beside it";
            return Err(Problem::other(node.at, text));
        }
        let setup = expand_steps(steps, preludes)?;
        let rows = Contract::read(node)?.cases(preludes)?;
        return Ok(header.contract_cases(stem, &shapes, &setup, &rows));
    }
    let mut cases = Vec::new();
    for (name, row) in rows(table)? {
        let row_steps = Row {
            prefix: "row.",
            entries: row,
            complete: false,
            at: node.at,
        };
        let filled = row_steps.fill(steps)?.unwrap_or_else(|| steps.clone());
        let read = read_steps(&filled, preludes)?;
        for shape in &shapes {
            let at = name.map_or(node.at, |name| name.at);
            let id = id(stem, name, *shape, shapes.len());
            cases.push(header.case(id, at, *shape, read.clone()));
        }
    }
    Ok(cases)
}

type Entries<'a> = &'a [(Name, Node)];

fn rows(table: Option<Entries<'_>>) -> Result<Vec<(Option<&Name>, Entries<'_>)>, Problem> {
    match table {
        None => Ok(vec![(None, &[])]),
        Some(rows) => rows
            .iter()
            .map(|(name, row)| Ok((Some(name), row.entries()?)))
            .collect(),
    }
}

fn expand_steps(node: &Node, preludes: &Preludes) -> Result<Vec<Step>, Problem> {
    let expanded = preludes.expand(node.items())?;
    expanded.iter().map(Step::read).collect()
}

fn read_steps(node: &Node, preludes: &Preludes) -> Result<Vec<Step>, Problem> {
    let steps = expand_steps(node, preludes)?;
    if !steps.iter().any(Step::asserts) {
        return Err(Problem::other(
            node.at,
            "no step of this case asserts anything",
        ));
    }
    check_calls(&steps)?;
    check_accesses(&steps)?;
    Ok(steps)
}

fn read_shapes(fields: &mut Fields<'_>) -> Result<Vec<Option<Shape>>, Problem> {
    match fields.take("shapes") {
        None => Ok(vec![None]),
        Some(node) => node
            .items()
            .iter()
            .map(|item| Shape::read(item).map(Some))
            .collect(),
    }
}

fn id(stem: &str, row: Option<&Name>, shape: Option<Shape>, shapes: usize) -> String {
    let row = row.map(|name| format!("/{}", slug(&name.text)));
    let shape = shape
        .filter(|_| shapes > 1)
        .map(|shape| format!("/{shape}"));
    format!(
        "{stem}{}{}",
        row.unwrap_or_default(),
        shape.unwrap_or_default()
    )
}

/// Lower case, with single dashes for everything that is no letter or digit.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

struct Header {
    summary: String,
    proves: Vec<String>,
    deviations: Vec<Deviation>,
    needs: Needs,
    xfails: Vec<Xfail>,
    snapshot: bool,
    fail_fast: bool,
    timeout_ms: u64,
}

impl Header {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        let summary = fields.need("summary")?.text()?.to_owned();
        let proves = read_texts(fields.take("proves"))?;
        let mut deviations = read_deviations(fields.take("differs"), false)?;
        deviations.extend(read_deviations(fields.take("absent"), true)?);
        let needs = fields
            .take("needs")
            .map_or(Ok(Needs::default()), Needs::read)?;
        let xfails = fields.take("xfail").map_or(Ok(Vec::new()), read_xfails)?;
        let snapshot = match fields.text("snapshot")? {
            None | Some("compared") => true,
            Some("none") => false,
            Some(_) => {
                return Err(Problem::other(
                    fields.at(),
                    "`snapshot` is `compared` or `none`",
                ));
            }
        };
        let fail_fast = fields.flag("fail_fast")?;
        let timeout_ms = fields.number("timeout_ms")?.unwrap_or(TIMEOUT_MS);
        Ok(Self {
            summary,
            proves,
            deviations,
            needs,
            xfails,
            snapshot,
            fail_fast,
            timeout_ms,
        })
    }

    /// The cases of a contract.
    fn contract_cases(
        &self,
        stem: &str,
        shapes: &[Option<Shape>],
        setup: &[Step],
        rows: &[ContractCase],
    ) -> Vec<Case> {
        let each = |row| shapes.iter().map(move |shape| (row, *shape));
        rows.iter()
            .flat_map(each)
            .map(|(row, shape): (&ContractCase, _)| {
                let id = id(stem, Some(&row.name), shape, shapes.len());
                let steps = [setup, &row.steps].concat();
                let mut case = self.case(id, row.name.at, shape, steps);
                case.xfails.extend(row.xfail.clone().map(Xfail::always));
                case
            })
            .collect()
    }

    fn case(&self, id: String, at: At, shape: Option<Shape>, steps: Vec<Step>) -> Case {
        Case {
            id,
            at,
            summary: self.summary.clone(),
            proves: self.proves.clone(),
            deviations: self.deviations.clone(),
            needs: self.needs.clone(),
            shape,
            xfails: self.xfails.clone(),
            snapshot: self.snapshot,
            fail_fast: self.fail_fast,
            timeout_ms: self.timeout_ms,
            steps,
        }
    }
}

fn read_texts(node: Option<&Node>) -> Result<Vec<String>, Problem> {
    let items = node.map_or(&[][..], Node::items);
    items
        .iter()
        .map(|item| item.text().map(str::to_owned))
        .collect()
}

fn read_deviations(node: Option<&Node>, absent: bool) -> Result<Vec<Deviation>, Problem> {
    let entries = node.map_or(Ok(&[][..]), Node::entries)?;
    entries
        .iter()
        .map(|(name, reason)| {
            let reason = reason.text()?.trim().to_owned();
            Ok(Deviation {
                clause: name.text.clone(),
                absent,
                reason,
            })
        })
        .collect()
}

fn read_xfails(node: &Node) -> Result<Vec<Xfail>, Problem> {
    node.items()
        .iter()
        .map(|item| {
            let mut fields = Fields::of(item, "xfail")?;
            let when = fields
                .take("when")
                .map_or(Ok(Condition::default()), Condition::read)?;
            let reason = fields.need("reason")?.text()?.trim().to_owned();
            let splat = fields.text("splat")?.map(str::to_owned);
            fields.finish()?;
            Ok(Xfail {
                when,
                reason,
                splat,
            })
        })
        .collect()
}

impl Case {
    /// Turns the case into a plan for one guest.
    ///
    /// # Errors
    /// With the one need that the guest does not meet.
    pub fn compile(&self, guest: &Guest) -> Result<Compiled, String> {
        self.needs.check(guest)?;
        let cast = Cast::new(guest, self.shape)?;
        let mut builder = Builder::new(&cast);
        for (index, step) in self.steps.iter().enumerate() {
            step.compile(index, &mut builder)?;
        }
        builder.finish(self.id.clone(), self.timeout_ms)
    }

    /// The failure of this case that is known on this guest.
    #[must_use]
    pub fn xfail(&self, guest: &Guest) -> Option<&Xfail> {
        self.xfails.iter().find(|x| x.when.holds(guest, self.shape))
    }

    /// Whether it is known to fail wherever it runs.
    #[must_use]
    pub fn fails_everywhere(&self) -> bool {
        let everywhere = Condition::default();
        self.xfails.iter().any(|xfail| xfail.when == everywhere)
    }

    /// Whether it replaces the default domain of a group by an identity domain.
    #[must_use]
    pub fn uses_identity(&self) -> bool {
        self.steps.iter().any(Step::uses_identity)
    }

    /// Every clause it says something about.
    pub fn clauses(&self) -> impl Iterator<Item = &str> {
        let deviating = self
            .deviations
            .iter()
            .map(|deviation| deviation.clause.as_str());
        self.proves.iter().map(String::as_str).chain(deviating)
    }
}
