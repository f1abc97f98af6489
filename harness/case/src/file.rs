//! Case files. Each is read into one [`Case`] per row and group shape.

use std::collections::BTreeSet;

use crate::{
    At,
    build::{Builder, Compiled},
    contract::{Contract, ContractCase, Deviates},
    expand::{Preludes, Row},
    fields::Fields,
    findings::{Findings, Known},
    folder::Folder,
    input::Input,
    mistakes::Mistakes,
    needs::{Condition, Needs, texts},
    node::{Name, Node, Tree},
    plan_rules::About,
    problem::Problem,
    role::{Guest, RoleBindings, Shape},
    steps::{Step, accesses::check_accesses, control::process::check_calls},
    xfail::{Shows, Xfail, read_names},
};

/// One test: a row of a case file on one group shape.
#[derive(Debug, Clone)]
pub struct Case {
    /// Path of the file without its extension, then the row, then the shape.
    pub id: String,
    /// Path of the file without its extension.
    pub file: String,
    /// Former ids, from `renamed.yaml`.
    pub former: Vec<String>,
    /// Location of the file or row.
    pub at: At,
    /// The rule it proves, in a sentence.
    pub summary: String,
    /// Clauses that it proves literally.
    pub proves: Vec<String>,
    /// Clauses that it shows Linux to deviate from.
    pub deviations: Vec<Deviation>,
    /// What it requires.
    pub needs: Needs,
    /// Group shape it is about.
    pub shape: Option<Shape>,
    /// Known failures, each with its finding and the guests that it applies to.
    pub xfails: Vec<Xfail>,
    /// Findings that it shows by passing, because it expects what the kernel does.
    pub shows: Vec<String>,
    /// Whether its transcript is compared with a snapshot.
    pub snapshot: bool,
    /// Whether it stops at the first failed step. Used if later steps would wait for events that do
    /// not come.
    pub fail_fast: bool,
    /// Deadline in ms on an idle machine without emulation.
    pub timeout_ms: u64,
    /// What it does.
    pub steps: Vec<Step>,
}

/// How Linux deviates from a clause, as shown by a passing case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// Id of the clause, such as S2.7a.
    pub clause: String,
    /// Whether the uAPI lacks what the clause describes.
    pub absent: bool,
    /// The deviation and its reason.
    pub reason: String,
}

/// Default deadline of a case.
const TIMEOUT_MS: u64 = 20_000;

/// Reads all cases of a file. The error has every mistake that can be found in one pass: one for
/// each step and each key of the header.
pub fn read(
    stem: &str,
    node: &Node,
    folder: &Folder,
    findings: &Findings,
) -> Result<Vec<Case>, Vec<Problem>> {
    let mut mistakes = Mistakes::default();
    let Some(fields) = mistakes.keep(Fields::of(node, "case file")) else {
        return mistakes.unless(Vec::new());
    };
    let cases = read_cases(stem, fields, folder, findings, &mut mistakes);
    mistakes.unless(cases)
}

fn read_cases(
    stem: &str,
    mut fields: Fields<'_>,
    folder: &Folder,
    findings: &Findings,
    mistakes: &mut Mistakes,
) -> Vec<Case> {
    let at = fields.at();
    let header = Header::read(stem, &mut fields, folder, findings, mistakes);
    let shapes = mistakes.keep(read_shapes(&mut fields)).unwrap_or_default();
    let contract = fields.take("contract");
    let table = mistakes.keep(fields.take("table").map(Node::entries).transpose());
    let steps = mistakes.keep(fields.need("steps"));
    fields
        .unknown()
        .into_iter()
        .for_each(|key| mistakes.add(key));
    // Without the table, each `row.NAME` in the steps would be a mistake.
    let (Some(steps), Some(table)) = (steps, table) else {
        return Vec::new();
    };
    let preludes = &folder.preludes;
    match (contract, table) {
        (Some(node), Some(_)) => {
            let text = "a case with `contract` cannot have a `table`: the contract generates the \
                        rows";
            mistakes.add(Problem::other(node.at, text));
            Vec::new()
        }
        (Some(node), None) => {
            let setup = expand_steps(steps, preludes, mistakes);
            let rows = Contract::read(node, findings).and_then(|it| it.cases(preludes));
            let Some(rows) = mistakes.keep(rows) else {
                return Vec::new();
            };
            let names = rows.iter().map(|row| row.name.text.as_str());
            header.check_rows(names, mistakes);
            header.contract_cases(&shapes, &setup, &rows)
        }
        (None, table) => {
            let names = table.unwrap_or_default().iter();
            header.check_rows(names.map(|(row, _)| row.text.as_str()), mistakes);
            let rows = rows(table, &header.needs, mistakes);
            let each = rows.iter().flat_map(|row| {
                let read = read_row(row, steps, at, preludes, mistakes);
                header.row_cases(row, &shapes, at, &read)
            });
            let cases: Vec<_> = each.collect();
            if mistakes.is_empty() {
                cases.iter().for_each(|case| case.check(mistakes));
            }
            cases
        }
    }
}

/// Reads the steps with the values of a row.
fn read_row(
    row: &TableRow<'_>,
    steps: &Node,
    at: At,
    preludes: &Preludes,
    mistakes: &mut Mistakes,
) -> Vec<Step> {
    let values = Row {
        prefix: "row.",
        entries: &row.values,
        complete: false,
        at,
    };
    match mistakes.keep(values.fill(steps)) {
        Some(filled) => read_steps(filled.as_ref().unwrap_or(steps), preludes, mistakes),
        None => Vec::new(),
    }
}

/// A row of a table. A case without a table has one row.
struct TableRow<'a> {
    name: Option<&'a Name>,
    /// The needs of the case and of the row.
    needs: Needs,
    values: Vec<(Name, Node)>,
}

/// Key of a row that is not a value for steps.
const NEEDS: &str = "needs";

fn rows<'a>(
    table: Option<&'a [(Name, Node)]>,
    needs: &Needs,
    mistakes: &mut Mistakes,
) -> Vec<TableRow<'a>> {
    let Some(rows) = table else {
        return vec![TableRow {
            name: None,
            needs: needs.clone(),
            values: Vec::new(),
        }];
    };
    let row = |(name, row): &'a (Name, Node)| {
        let mut values = row.entries()?.to_vec();
        let own = values.iter().position(|(key, _)| key.text == NEEDS);
        let own = own.map(|index| values.remove(index).1);
        Ok(TableRow {
            name: Some(name),
            needs: read_needs(own.as_ref(), needs)?,
            values,
        })
    };
    rows.iter()
        .filter_map(|entry| mistakes.keep(row(entry)))
        .collect()
}

fn expand_steps(node: &Node, preludes: &Preludes, mistakes: &mut Mistakes) -> Vec<Step> {
    let mut steps = Vec::new();
    for item in node.items() {
        let expanded = preludes.expand(std::slice::from_ref(item));
        for step in mistakes.keep(expanded).unwrap_or_default() {
            steps.extend(mistakes.keep(Step::read(&step)));
        }
    }
    steps
}

fn read_steps(node: &Node, preludes: &Preludes, mistakes: &mut Mistakes) -> Vec<Step> {
    let mut own = Mistakes::default();
    let steps = expand_steps(node, preludes, &mut own);
    // What steps mean together is known only if each could be read.
    if own.is_empty() {
        if !steps.iter().any(Step::asserts) {
            let text = "no step of this case asserts anything";
            own.add(Problem::other(node.at, text));
        }
        own.keep(check_calls(&steps));
        own.keep(check_accesses(&steps));
    }
    mistakes.extend(own);
    steps
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

/// Converts text to lower case, with single dashes in place of characters other than letters and
/// digits.
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
    file: String,
    summary: String,
    proves: Vec<String>,
    deviations: Vec<Deviation>,
    needs: Needs,
    xfails: Vec<Xfail>,
    shows: Vec<Shown>,
    snapshot: bool,
    fail_fast: bool,
    timeout_ms: u64,
}

/// A finding that passing cases of a file show.
struct Shown {
    finding: Known,
    /// The rows that show it; all, if none is given.
    rows: Vec<Name>,
}

impl Shown {
    fn read(item: &Node, findings: &Findings) -> Result<Self, Problem> {
        if item.text().is_ok() {
            let (finding, rows) = (findings.read(item)?, Vec::new());
            return Ok(Self { finding, rows });
        }
        let (name, rows) = item.single()?;
        let tree = Tree::Text(name.text.clone());
        let finding = findings.read(&Node { at: name.at, tree })?;
        let rows = read_names(rows)?;
        Ok(Self { finding, rows })
    }
}

/// Whether a row is one of these; without any, each is.
fn is_one_of(rows: &[Name], row: Option<&Name>) -> bool {
    rows.is_empty() || row.is_some_and(|row| rows.iter().any(|it| it.text == row.text))
}

/// Reads the needs of a case or row, and adds those of its folder or case.
fn read_needs(node: Option<&Node>, above: &Needs) -> Result<Needs, Problem> {
    let Some(node) = node else {
        return Ok(above.clone());
    };
    Needs::read(node)?.within(above).map_err(|twice| {
        let text = format!("the whole case or folder already needs `{twice}`");
        Problem::other(node.at, text).help("remove it here")
    })
}

impl Header {
    fn read(
        stem: &str,
        fields: &mut Fields<'_>,
        folder: &Folder,
        findings: &Findings,
        mistakes: &mut Mistakes,
    ) -> Self {
        let summary = fields.need("summary").and_then(Node::text);
        let summary = mistakes.keep(summary).unwrap_or_default().to_owned();
        let proves = mistakes.keep(texts(fields.take("proves")));
        let differs = mistakes.keep(read_deviations(fields.take("differs"), false));
        let absent = mistakes.keep(read_deviations(fields.take("absent"), true));
        let needs = mistakes.keep(read_needs(fields.take("needs"), &folder.needs));
        let xfails = fields.take("xfail").map_or(&[][..], Node::items).iter();
        let xfails = xfails.filter_map(|item| mistakes.keep(Xfail::read(item, findings)));
        let xfails = xfails.collect();
        let shows = fields.take("shows").map_or(&[][..], Node::items).iter();
        let shows = shows.filter_map(|item| mistakes.keep(Shown::read(item, findings)));
        let shows = shows.collect();
        let deviations = differs.into_iter().chain(absent).flatten();
        Self {
            file: stem.to_owned(),
            summary,
            proves: proves.unwrap_or_default(),
            deviations: deviations.collect(),
            needs: needs.unwrap_or_default(),
            xfails,
            shows,
            snapshot: mistakes.keep(read_snapshot(fields)).unwrap_or(true),
            fail_fast: mistakes.keep(fields.flag("fail_fast")).unwrap_or_default(),
            timeout_ms: mistakes
                .keep(fields.number("timeout_ms"))
                .flatten()
                .unwrap_or(TIMEOUT_MS),
        }
    }

    /// Checks that each row that `shows` and `xfail` name exists.
    fn check_rows<'a>(&self, rows: impl Iterator<Item = &'a str> + Clone, mistakes: &mut Mistakes) {
        let shown = self.shows.iter().flat_map(|shown| &shown.rows);
        let failing = self.xfails.iter().flat_map(|xfail| &xfail.rows);
        for row in shown.chain(failing) {
            if !rows.clone().any(|known| known == row.text) {
                mistakes.add(Problem::unknown_name(
                    row.at,
                    "row",
                    &row.text,
                    rows.clone(),
                ));
            }
        }
    }

    /// Returns the cases of a row: one for each shape.
    fn row_cases(
        &self,
        row: &TableRow<'_>,
        shapes: &[Option<Shape>],
        file: At,
        steps: &[Step],
    ) -> Vec<Case> {
        let at = row.name.map_or(file, |name| name.at);
        let case = |shape: &Option<Shape>| {
            let id = id(&self.file, row.name, *shape, shapes.len());
            let mut case = self.case(id, at, row.name, *shape, steps.to_vec());
            case.needs.clone_from(&row.needs);
            // A snapshot is of the kernels of a release, whose names the tables have.
            case.snapshot &= !case.needs.is_of_headers();
            case
        };
        shapes.iter().map(case).collect()
    }

    fn contract_cases(
        &self,
        shapes: &[Option<Shape>],
        setup: &[Step],
        rows: &[ContractCase],
    ) -> Vec<Case> {
        let each = |row| shapes.iter().map(move |shape| (row, *shape));
        rows.iter()
            .flat_map(each)
            .map(|(row, shape): (&ContractCase, _)| {
                let id = id(&self.file, Some(&row.name), shape, shapes.len());
                let steps = [setup, &row.steps].concat();
                let mut case = self.case(id, row.name.at, Some(&row.name), shape, steps);
                match row.deviates.clone() {
                    Deviates::Nowhere => {}
                    Deviates::AsExpected(finding) => case.shows.push(finding.name),
                    Deviates::Fails(finding, steps) => {
                        let shows = Shows {
                            steps,
                            ..Shows::default()
                        };
                        case.xfails.push(Xfail::always(finding, shows));
                    }
                }
                case
            })
            .collect()
    }

    fn case(
        &self,
        id: String,
        at: At,
        row: Option<&Name>,
        shape: Option<Shape>,
        steps: Vec<Step>,
    ) -> Case {
        let shows = self.shows.iter();
        let shows = shows.filter(|shown| is_one_of(&shown.rows, row));
        let xfails = self.xfails.iter();
        let xfails = xfails.filter(|xfail| is_one_of(&xfail.rows, row));
        Case {
            id,
            file: self.file.clone(),
            former: Vec::new(),
            at,
            summary: self.summary.clone(),
            proves: self.proves.clone(),
            deviations: self.deviations.clone(),
            needs: self.needs.clone(),
            shape,
            xfails: xfails.cloned().collect(),
            shows: shows.map(|shown| shown.finding.name.clone()).collect(),
            snapshot: self.snapshot,
            fail_fast: self.fail_fast,
            timeout_ms: self.timeout_ms,
            steps,
        }
    }
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

fn read_snapshot(fields: &mut Fields<'_>) -> Result<bool, Problem> {
    match fields.text("snapshot")? {
        None | Some("compared") => Ok(true),
        Some("none") => Ok(false),
        Some(_) => {
            let text = "`snapshot` has to be `compared` or `none`";
            Err(Problem::other(fields.at(), text))
        }
    }
}

impl Case {
    /// Checks that the steps that its known failures name exist, and that each plan is one of a
    /// clause.
    fn check(&self, mistakes: &mut Mistakes) {
        let steps = self.steps.iter().flat_map(Step::all);
        let nameless = |step: &&Step| step.plans.iter().any(|plan| plan.clause.is_none());
        let nameless = steps.filter(nameless).map(|step| step.at);
        if let (Some(at), true) = (nameless.min(), self.deviations.is_empty()) {
            let text = "the case deviates from no clause, so that the plan belongs to none";
            let help = "name the clause: `plan: {S3.1: ...}`";
            mistakes.add(Problem::other(at, text).help(help));
        }
        for xfail in &self.xfails {
            mistakes.keep(xfail.check(&self.steps));
        }
    }

    /// Turns the case into a plan for one guest.
    pub fn compile(&self, guest: &Guest) -> Result<Compiled, String> {
        self.needs.check(guest)?;
        let roles = RoleBindings::new(guest, self.shape)?;
        let mut builder = Builder::new(&roles).of(self.about());
        for (index, step) in self.steps.iter().enumerate() {
            step.compile(index, &mut builder)?;
        }
        builder.finish(self.id.clone(), self.timeout_ms)
    }

    fn about(&self) -> About {
        let deviations = self.deviations.iter().map(|it| it.clause.clone());
        About {
            deviations: deviations.collect(),
            shape: self.shape,
        }
    }

    /// Returns the clauses that a step has a plan for: what it shows on a kernel that conforms.
    pub fn planned(&self) -> BTreeSet<String> {
        let about = self.about();
        let steps = self.steps.iter().flat_map(Step::all);
        let plans = steps.flat_map(|step| &step.plans);
        plans
            .flat_map(|plan| about.clauses(plan.clause.as_deref()))
            .collect()
    }

    /// Returns the known failure of this case on this guest, if there is one.
    pub fn xfail(&self, guest: &Guest) -> Option<&Xfail> {
        self.xfails.iter().find(|x| x.when.holds(guest, self.shape))
    }

    /// Whether it is known to fail wherever it runs.
    pub fn fails_everywhere(&self) -> bool {
        let everywhere = Condition::default();
        self.xfails.iter().any(|xfail| xfail.when == everywhere)
    }

    /// Whether it replaces the default domain of a group by an identity domain.
    pub fn uses_identity(&self) -> bool {
        self.steps.iter().any(Step::uses_identity)
    }

    /// Whether devices are in another order on their bus after it.
    pub fn reorders_devices(&self) -> bool {
        self.steps.iter().any(Step::reorders_devices)
    }

    /// Whether some of its steps are executed at once.
    pub fn races(&self) -> bool {
        self.steps.iter().any(Step::races)
    }

    /// Returns every finding that it names.
    pub fn findings(&self) -> impl Iterator<Item = &str> {
        let xfails = self.xfails.iter().map(|xfail| xfail.finding.as_str());
        xfails.chain(self.shows.iter().map(String::as_str))
    }

    /// Returns its folder, if it is in one.
    pub fn folder(&self) -> Option<&str> {
        self.file.split_once('/').map(|(folder, _)| folder)
    }

    /// Whether an id is that of this case, or of its file or table row.
    pub fn is_in(&self, id: &str) -> bool {
        let rest = self.id.strip_prefix(id);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns every clause that it is about.
    pub fn clauses(&self) -> impl Iterator<Item = &str> {
        let deviating = self
            .deviations
            .iter()
            .map(|deviation| deviation.clause.as_str());
        self.proves.iter().map(String::as_str).chain(deviating)
    }
}
