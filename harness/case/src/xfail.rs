//! Known failures, and exactly how they show.

use crate::{
    fields::Fields,
    findings::{Findings, Known},
    needs::{Condition, texts},
    node::{Name, Node},
    problem::Problem,
    steps::Step,
};

/// Name of the place after the last step, where the kernel closes what the case has left open.
pub const AFTER_THE_STEPS: &str = "after the last step";

/// A known failure. It excuses what it names and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xfail {
    /// Where it applies.
    pub when: Condition,
    /// The rows that it applies to; all, if none is given.
    pub(crate) rows: Vec<Name>,
    /// The finding that it shows.
    pub finding: String,
    /// Name and title of the finding.
    pub reason: String,
    /// How it shows.
    pub shows: Shows,
}

/// Everything of a case that is not as expected. Each part has to be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shows {
    /// Every step that does not end as expected.
    pub steps: Vec<FailingStep>,
    /// Every complaint of the kernel.
    pub complaints: Vec<KnownComplaint>,
    /// Texts of everything that the case leaves changed in the guest.
    pub leaves: Vec<String>,
    /// The step in which the kernel kills the process of the case.
    pub killed_in: Option<Name>,
}

/// A step that does not end as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingStep {
    /// The step: its label, with a number behind it if several steps have the same label.
    pub step: Name,
    /// Everything that differs from what is expected, in the words of a failure.
    pub observed: Vec<String>,
}

/// A complaint of the kernel: a text in its lines, or several of which one is there. Compilers that
/// inline differently name different functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownComplaint(pub Vec<String>);

impl KnownComplaint {
    /// Whether a complaint is this one.
    pub fn is(&self, complaint: &str) -> bool {
        self.0.iter().any(|text| has_in_order(complaint, text))
    }
}

/// Stands for anything in a text of a complaint, such as the folder of a source file, which is there
/// if the kernel was built elsewhere.
const ANYTHING: &str = " ... ";

/// Whether a complaint has the parts of a text, one after the other.
fn has_in_order(complaint: &str, text: &str) -> bool {
    let mut rest = Some(complaint);
    for part in text.split(ANYTHING) {
        rest = rest.and_then(|rest| Some(rest.split_once(part)?.1));
    }
    rest.is_some()
}

impl std::fmt::Display for KnownComplaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.0.join("` or `"))
    }
}

impl Xfail {
    /// Returns a known failure that applies wherever the case runs.
    pub fn always(finding: Known, shows: Shows) -> Self {
        Self {
            when: Condition::default(),
            rows: Vec::new(),
            finding: finding.name,
            reason: finding.reason,
            shows,
        }
    }

    /// Reads an entry of `xfail`.
    pub(crate) fn read(item: &Node, findings: &Findings) -> Result<Self, Problem> {
        let mut fields = Fields::of(item, "xfail")?;
        let when = fields
            .take("when")
            .map_or(Ok(Condition::default()), Condition::read)?;
        let rows = fields.take("rows").map_or(Ok(Vec::new()), read_names)?;
        let finding = findings.read(fields.need("finding")?)?;
        let shows = Shows::read(&mut fields)?;
        fields.finish()?;
        if shows == Shows::default() {
            let what = "steps`, `splat`, `leaves` or `killed_in";
            return Err(Problem::missing(item.at, what, "xfail")
                .help("say how the failure shows: with any text there, a run says what to write"));
        }
        Ok(Self {
            when,
            rows,
            ..Self::always(finding, shows)
        })
    }

    /// Checks that the steps that it names are among these.
    pub(crate) fn check(&self, steps: &[Step]) -> Result<(), Problem> {
        let failing = self.shows.steps.iter().map(|failing| &failing.step);
        let killed_in = self.shows.killed_in.iter();
        let killed_in = killed_in.filter(|step| step.text != AFTER_THE_STEPS);
        let known = step_names(labels(steps));
        for name in failing.chain(killed_in) {
            if !known.contains(&name.text) {
                let known = known.iter().map(String::as_str);
                return Err(Problem::unknown_name(name.at, "step", &name.text, known));
            }
        }
        Ok(())
    }
}

impl Shows {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        let steps = fields.take("steps").map_or(Ok(&[][..]), Node::entries)?;
        let steps = steps.iter().map(|(step, observed)| {
            let (step, observed) = (step.clone(), some_texts(observed)?);
            Ok(FailingStep { step, observed })
        });
        let splat = fields.take("splat").map_or(&[][..], Node::items).iter();
        let splat = splat.map(|item| some_texts(item).map(KnownComplaint));
        Ok(Self {
            steps: steps.collect::<Result<_, Problem>>()?,
            complaints: splat.collect::<Result<_, _>>()?,
            leaves: fields.take("leaves").map_or(Ok(Vec::new()), some_texts)?,
            killed_in: fields.take("killed_in").map(read_name).transpose()?,
        })
    }
}

/// Reads at least one text. An empty one would be in everything.
fn some_texts(node: &Node) -> Result<Vec<String>, Problem> {
    let texts = texts(Some(node))?;
    match texts.is_empty() || texts.iter().any(String::is_empty) {
        true => Err(Problem::other(node.at, "a text is missing here")),
        false => Ok(texts),
    }
}

/// Reads names of rows or steps.
pub(crate) fn read_names(node: &Node) -> Result<Vec<Name>, Problem> {
    node.items().iter().map(read_name).collect()
}

fn read_name(node: &Node) -> Result<Name, Problem> {
    let text = node.text()?.to_owned();
    Ok(Name { at: node.at, text })
}

/// Names steps by their labels, which are given in order with the index of each step. The second
/// step with a label has `(2)` behind it, and so on: such a name survives when other steps come or
/// go.
pub fn step_names(labels: impl IntoIterator<Item = (usize, String)>) -> Vec<String> {
    let mut had: Vec<(String, Vec<usize>)> = Vec::new();
    let mut name = |(step, label): (usize, String)| {
        let at = had.iter().position(|(known, _)| *known == label);
        let at = at.unwrap_or_else(|| {
            had.push((label.clone(), Vec::new()));
            had.len() - 1
        });
        let Some((_, steps)) = had.get_mut(at) else {
            return label;
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
        match steps.len() {
            1 => label,
            number => format!("{label} ({number})"),
        }
    };
    labels.into_iter().map(&mut name).collect()
}

/// Labels of steps as their checks have them.
fn labels(steps: &[Step]) -> Vec<(usize, String)> {
    let numbered = steps.iter().enumerate();
    let of = |(index, step): (usize, &Step)| step.labels().into_iter().map(move |it| (index, it));
    numbered.flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("shift", true)]
    #[case("shift in ... b/c.c", true)]
    #[case("WARN ... shift ... call", true)]
    #[case("b/c.c ... shift in", false)]
    #[case("shift in ... shift in", false)]
    #[case("shift in b/c.c", false)]
    fn parts_of_a_complaint_follow_each_other(#[case] text: &str, #[case] is: bool) {
        let known = KnownComplaint(vec!["other".to_owned(), text.to_owned()]);
        assert_eq!(known.is("WARN\nshift in /a/b/c.c:1\n call"), is);
    }

    #[test]
    fn steps_with_one_label_are_counted_and_ops_of_one_step_are_not() {
        let labels = [(0, "a"), (1, "b"), (1, "b"), (2, "a"), (3, "b"), (5, "a")];
        let labels = labels.map(|(step, label)| (step, label.to_owned()));
        let names = ["a", "b", "b", "a (2)", "b (2)", "a (3)"];
        assert_eq!(step_names(labels), names);
    }
}
