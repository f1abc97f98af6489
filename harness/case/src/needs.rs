//! The requirements of a case, which the harness checks.

use uapi::Series;

use crate::{
    fields::Fields,
    node::Node,
    problem::Problem,
    role::{Guest, Shape},
};

/// Requirements of a case. If a guest does not meet one, the verdict is SKIP with the requirement
/// named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    features: Vec<String>,
    config: Vec<String>,
    unset: Vec<String>,
    /// Names that the headers of the kernel under test have and the tables need not have.
    headers: Vec<String>,
    platforms: Vec<String>,
    since: Option<Series>,
    until: Option<Series>,
}

/// A condition on platform, shape, configuration and release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    platforms: Vec<String>,
    shapes: Vec<Shape>,
    /// Options that the kernel has to have, all of them.
    config: Vec<String>,
    since: Option<Series>,
    until: Option<Series>,
}

/// Ends the name of an option that must not be set.
const UNSET: &str = "=n";

/// Reads a kernel series from a case file.
pub(crate) fn read_series(node: &Node) -> Result<Series, Problem> {
    let text = node.text()?;
    Series::of_release(text)
        .ok_or_else(|| Problem::expected(node.at, "a kernel release such as \"7.3\"", text))
}

impl Needs {
    /// Reads the mapping behind `needs:`.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(node, "needs")?;
        let (unset, config) = texts(fields.take("config"))?
            .into_iter()
            .partition(|option| option.ends_with(UNSET));
        let needs = Self {
            features: texts(fields.take("features"))?,
            config,
            unset,
            headers: texts(fields.take("headers"))?,
            platforms: texts(fields.take("platforms"))?,
            since: fields.take("since").map(read_series).transpose()?,
            until: fields.take("until").map(read_series).transpose()?,
        };
        fields.finish()?;
        Ok(needs)
    }

    /// Adds the needs of the folder or case that contains these.
    ///
    /// # Errors
    /// The need that is already there.
    pub fn within(mut self, above: &Self) -> Result<Self, String> {
        add(&mut self.features, &above.features)?;
        add(&mut self.config, &above.config)?;
        add(&mut self.unset, &above.unset)?;
        add(&mut self.headers, &above.headers)?;
        if self.since.is_some() && self.since <= above.since {
            return Err("since".to_owned());
        }
        self.since = self.since.max(above.since);
        self.until = match (self.until, above.until) {
            (Some(own), Some(of_above)) => Some(own.min(of_above)),
            (own, of_above) => own.or(of_above),
        };
        if self.platforms.is_empty() {
            self.platforms.clone_from(&above.platforms);
        }
        Ok(self)
    }

    /// Options that the kernel's configuration has to set.
    pub fn config(&self) -> &[String] {
        &self.config
    }

    /// Whether it is about names that only the headers of a kernel have.
    pub fn is_of_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Returns the allowed platforms; if empty, all.
    pub fn platforms(&self) -> &[String] {
        &self.platforms
    }

    /// First and last release.
    pub fn releases(&self) -> (Option<Series>, Option<Series>) {
        (self.since, self.until)
    }

    /// Returns whether a kernel of this series, or of an unknown one, is neither too old nor too
    /// new.
    pub fn admits(&self, series: Option<Series>) -> bool {
        within(series, self.since, self.until)
    }

    /// Compares with what a guest offers.
    pub fn check(&self, guest: &Guest) -> Result<(), String> {
        for feature in &self.features {
            guest.need_feature(feature)?;
        }
        for option in &self.config {
            if !guest.config.contains_key(option) {
                return Err(format!("{option}=y in the kernel's configuration"));
            }
        }
        for option in &self.unset {
            // An empty configuration is one that nobody knows.
            let name = option.trim_end_matches(UNSET);
            if guest.config.is_empty() || guest.config.contains_key(name) {
                return Err(format!("{option} in the kernel's configuration"));
            }
        }
        for name in &self.headers {
            guest.need_declared(name)?;
        }
        if !self.platforms.is_empty() && !self.platforms.contains(&guest.platform) {
            return Err(format!("platform {}", self.platforms.join(" or ")));
        }
        let release = Series::of_release(&guest.release);
        match (release, self.since, self.until) {
            (Some(own), Some(since), _) if own < since => Err(format!("kernel {since} or later")),
            (Some(own), _, Some(until)) if own > until => Err(format!("kernel {until} or earlier")),
            _ => Ok(()),
        }
    }
}

impl Condition {
    /// Reads the mapping behind `when:`.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(node, "when")?;
        let shapes = fields.take("shapes").map_or(&[][..], Node::items);
        let condition = Self {
            platforms: texts(fields.take("platforms"))?,
            shapes: shapes.iter().map(Shape::read).collect::<Result<_, _>>()?,
            config: texts(fields.take("config"))?,
            since: fields.take("since").map(read_series).transpose()?,
            until: fields.take("until").map(read_series).transpose()?,
        };
        fields.finish()?;
        Ok(condition)
    }

    /// Whether it holds for a case about `shape` on this guest.
    pub fn holds(&self, guest: &Guest, shape: Option<Shape>) -> bool {
        let series = Series::of_release(&guest.release);
        let within = within(series, self.since, self.until);
        let platform = self.platforms.is_empty() || self.platforms.contains(&guest.platform);
        let shaped =
            self.shapes.is_empty() || shape.is_some_and(|shape| self.shapes.contains(&shape));
        let mut options = self.config.iter();
        let configured = options.all(|option| guest.config.contains_key(option));
        within && platform && shaped && configured
    }
}

fn within(series: Option<Series>, since: Option<Series>, until: Option<Series>) -> bool {
    series.is_none_or(|own| {
        since.is_none_or(|since| own >= since) && until.is_none_or(|until| own <= until)
    })
}

/// Adds the needs of the level above. The error is a need that is already there.
fn add(own: &mut Vec<String>, above: &[String]) -> Result<(), String> {
    match own.iter().find(|name| above.contains(name)) {
        Some(name) => Err(name.clone()),
        None => {
            own.extend_from_slice(above);
            Ok(())
        }
    }
}

pub(crate) fn texts(node: Option<&Node>) -> Result<Vec<String>, Problem> {
    let items = node.map_or(&[][..], Node::items);
    items
        .iter()
        .map(|item| item.text().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_may_have_to_be_unset() {
        let needs = Needs {
            unset: vec!["CONFIG_A=n".to_owned()],
            ..Needs::default()
        };
        let with = |options: &[&str]| Guest {
            config: options
                .iter()
                .map(|name| ((*name).to_owned(), "y".to_owned()))
                .collect(),
            ..Guest::default()
        };
        assert_eq!(needs.check(&with(&["CONFIG_B"])), Ok(()));
        for guest in [with(&["CONFIG_A", "CONFIG_B"]), with(&[])] {
            let why = needs.check(&guest).unwrap_err();
            assert_eq!(why, "CONFIG_A=n in the kernel's configuration");
        }
    }
}
