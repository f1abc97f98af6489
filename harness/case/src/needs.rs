//! What a case requires, in terms a machine can check.

use crate::{
    fields::Fields,
    node::Node,
    problem::Problem,
    role::{Guest, Shape},
};

/// Requirements of a case. A guest that does not meet one gives a SKIP that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    features: Vec<String>,
    config: Vec<String>,
    platforms: Vec<String>,
    since: Option<Release>,
    until: Option<Release>,
}

/// Where something is the case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    platforms: Vec<String>,
    shapes: Vec<Shape>,
    since: Option<Release>,
    until: Option<Release>,
}

/// Major and minor number of a kernel release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32);

impl Release {
    /// The first two numbers of `7.3.4-1~bpo`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        Some(Self(
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        ))
    }

    /// The two numbers.
    #[must_use]
    pub fn numbers(self) -> (u32, u32) {
        (self.0, self.1)
    }

    /// Reads it from a case file.
    pub(crate) fn read(node: &Node) -> Result<Self, Problem> {
        let text = node.text()?;
        Self::parse(text)
            .ok_or_else(|| Problem::expected(node.at, "a kernel release such as \"7.3\"", text))
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Needs {
    /// Reads `needs:`.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(node, "needs")?;
        let needs = Self {
            features: texts(fields.take("features"))?,
            config: texts(fields.take("config"))?,
            platforms: texts(fields.take("platforms"))?,
            since: fields.take("since").map(Release::read).transpose()?,
            until: fields.take("until").map(Release::read).transpose()?,
        };
        fields.finish()?;
        Ok(needs)
    }

    /// These needs and those of what they stand in.
    ///
    /// # Errors
    /// With what is needed there already.
    pub fn within(mut self, above: &Self) -> Result<Self, String> {
        add(&mut self.features, &above.features)?;
        add(&mut self.config, &above.config)?;
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

    /// Options of the kernel's configuration.
    #[must_use]
    pub fn config(&self) -> &[String] {
        &self.config
    }

    /// Platforms of which one has to be there; none means any.
    #[must_use]
    pub fn platforms(&self) -> &[String] {
        &self.platforms
    }

    /// First and last release.
    #[must_use]
    pub fn releases(&self) -> (Option<Release>, Option<Release>) {
        (self.since, self.until)
    }

    /// Compares with what a guest offers.
    ///
    /// # Errors
    /// With the first need that is not met.
    pub fn check(&self, guest: &Guest) -> Result<(), String> {
        for feature in &self.features {
            guest.need_feature(feature)?;
        }
        for option in &self.config {
            if !guest.config.contains_key(option) {
                return Err(format!("{option}=y in the kernel's configuration"));
            }
        }
        if !self.platforms.is_empty() && !self.platforms.contains(&guest.platform) {
            return Err(format!("platform {}", self.platforms.join(" or ")));
        }
        let release = Release::parse(&guest.release);
        match (release, self.since, self.until) {
            (Some(own), Some(since), _) if own < since => Err(format!("kernel {since} or later")),
            (Some(own), _, Some(until)) if own > until => Err(format!("kernel {until} or earlier")),
            _ => Ok(()),
        }
    }
}

impl Condition {
    /// Reads `when:`.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(node, "when")?;
        let shapes = fields.take("shapes").map_or(&[][..], Node::items);
        let condition = Self {
            platforms: texts(fields.take("platforms"))?,
            shapes: shapes.iter().map(Shape::read).collect::<Result<_, _>>()?,
            since: fields.take("since").map(Release::read).transpose()?,
            until: fields.take("until").map(Release::read).transpose()?,
        };
        fields.finish()?;
        Ok(condition)
    }

    /// Whether it holds for a case about `shape` on this guest.
    #[must_use]
    pub fn holds(&self, guest: &Guest, shape: Option<Shape>) -> bool {
        let release = Release::parse(&guest.release);
        let within = release.is_none_or(|own| {
            self.since.is_none_or(|since| own >= since)
                && self.until.is_none_or(|until| own <= until)
        });
        let platform = self.platforms.is_empty() || self.platforms.contains(&guest.platform);
        let shaped =
            self.shapes.is_empty() || shape.is_some_and(|shape| self.shapes.contains(&shape));
        within && platform && shaped
    }
}

/// Adds what is needed above; none of it may be there already.
fn add(own: &mut Vec<String>, above: &[String]) -> Result<(), String> {
    match own.iter().find(|name| above.contains(name)) {
        Some(name) => Err(name.clone()),
        None => {
            own.extend_from_slice(above);
            Ok(())
        }
    }
}

fn texts(node: Option<&Node>) -> Result<Vec<String>, Problem> {
    let items = node.map_or(&[][..], Node::items);
    items
        .iter()
        .map(|item| item.text().map(str::to_owned))
        .collect()
}
