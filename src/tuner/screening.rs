//! Screening: after some trials only the parameters that matter go on being searched, and the others stay as they were
//! in the best trial.
//!
//! Searching is hard in many dimensions, and in most spaces few of them matter (Bergstra, Bengio 2012, JMLR 13:281; the
//! survey's answer: find out which, and drop the rest). [`importance`](super::importance()) says which, from the first
//! trials alone: nothing later changes it, so a study with screening tries the same trials for any number of workers,
//! too. From then on the sampler sees a smaller space, and of earlier trials the part that lies in it. A parameter that
//! depends on a frozen one follows the frozen value: where that makes it inactive, it is gone.

use super::distribution::Value;
use super::importance::of_past;
use super::samplers::{self, Ask, Sampler, Setting};
use super::space::{Parameter, Point, Space};
use super::trial::Past;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// When to screen, and how much to keep: `50:3` on the command line.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `after` | required | number of trials at the start that decide | 10 to 1000000 |
/// | `keep` | required | number of parameters that are searched from then on | 1 to 10000 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// Number of trials at the start that decide.
    pub after: usize,
    /// Number of parameters that are searched from then on.
    pub keep: usize,
}

/// A text that is not TRIALS:PARAMETERS.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{text}` must be TRIALS:PARAMETERS, with {}", Screen::ALLOWED)]
pub struct ScreenError {
    /// The text.
    text: String,
}

impl FromStr for Screen {
    type Err = ScreenError;

    fn from_str(text: &str) -> Result<Self, ScreenError> {
        let parse = |text: &str| text.trim().parse().ok();
        let read = || {
            let (after, keep) = text.split_once(':')?;
            Some(Self { after: parse(after)?, keep: parse(keep)? })
        };
        read().filter(|screen| screen.is_in_range()).ok_or_else(|| ScreenError { text: text.into() })
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.after, self.keep)
    }
}

impl Screen {
    /// Values that are allowed, for messages.
    pub(super) const ALLOWED: &str = "10 to 1000000 trials and 1 to 10000 parameters, as 50:3";

    pub(super) fn is_in_range(self) -> bool {
        (10..=1_000_000).contains(&self.after) && (1..=10_000).contains(&self.keep)
    }
}

/// A sampler that is asked about fewer parameters after the first trials.
pub(super) struct Screened {
    screen: Screen,
    /// How the sampler is named, to make one for the smaller space.
    name: String,
    whole: Box<dyn Sampler>,
    /// The smaller space; None before it is decided, Some(None) where all parameters stay.
    part: Option<Option<Part>>,
}

/// The space that is left, and its sampler.
struct Part {
    space: Space,
    sampler: Box<dyn Sampler>,
    /// Where its parameters stand in the whole space.
    places: Vec<usize>,
    /// Values of the others, where they are active.
    frozen: Point,
    /// Settled trials that are points of it.
    settled: Vec<Past>,
    /// Number of settled trials that have been looked at.
    n_seen: usize,
}

impl Screened {
    pub fn new(screen: Screen, name: &str, whole: Box<dyn Sampler>) -> Self {
        Self { screen, name: name.into(), whole, part: None }
    }
}

impl Sampler for Screened {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        // All trials that decide must be settled: these never change.
        let is_open = ask.pending.iter().any(|past| past.number < self.screen.after);
        if ask.number < self.screen.after || is_open || ask.space.len() <= self.screen.keep {
            return self.whole.propose(ask);
        }
        match self.part.get_or_insert_with(|| Part::new(self.screen, &self.name, ask)) {
            Some(part) => part.propose(ask),
            None => self.whole.propose(ask),
        }
    }
}

impl Part {
    /// None where nothing is to be frozen, or the sampler is not made for what is left.
    fn new(screen: Screen, name: &str, ask: &Ask<'_>) -> Option<Self> {
        let first: Vec<&Past> = ask.settled.iter().filter(|past| past.number < screen.after).collect();
        let cost = |past: &Past| past.values.first().map_or(f64::INFINITY, |&value| ask.directions[0].cost(value));
        let mut ranked: Vec<&Past> = first.iter().copied().filter(|past| past.is_feasible()).collect();
        ranked.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let best = ranked.first()?;
        let shares = of_past(&first, ask.space, ask.directions[0]);
        let mut kept: Vec<usize> = shares.into_iter().take(screen.keep).map(|(i, _)| i).collect();
        kept.sort_unstable();
        let middle = |i: usize| ask.space.parameters()[i].distribution.from_unit(0.5);
        // One that is not active in the best trial may become so: then it is as in the best where it was.
        let value = |i: usize| ranked.iter().find_map(|past| past.point[i]).unwrap_or_else(|| middle(i));
        let frozen: Point = (0..ask.space.len())
            .map(|i| (!kept.contains(&i)).then(|| best.point[i].unwrap_or_else(|| value(i))))
            .collect();
        let (space, places) = reduced(ask.space, &frozen)?;
        let sampler = samplers::build(name, &Setting { space: &space, directions: ask.directions }).ok()?;
        tracing::info!("screening: from trial {} on, only {} are searched", ask.number, space.names());
        Some(Self { space, sampler, places, frozen, settled: Vec::new(), n_seen: 0 })
    }

    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        // The same sampler may be asked with a shorter history: then it begins anew.
        if self.n_seen > ask.settled.len() {
            (self.settled, self.n_seen) = (Vec::new(), 0);
        }
        let new = ask.settled[self.n_seen..].iter().filter_map(|past| self.projected(past)).collect::<Vec<_>>();
        self.settled.extend(new);
        self.n_seen = ask.settled.len();
        let pending: Vec<Past> = ask.pending.iter().filter_map(|past| self.projected(past)).collect();
        let smaller = Ask { space: &self.space, settled: &self.settled, pending: &pending, ..*ask };
        let point = self.sampler.propose(&smaller)?;
        let searched = |i: usize| self.places.iter().position(|&place| place == i).and_then(|place| point[place]);
        let middle = |parameter: &Parameter| parameter.distribution.from_unit(0.5);
        Some(ask.space.fill(|i, parameter| searched(i).or(self.frozen[i]).unwrap_or_else(|| middle(parameter))))
    }

    /// A trial as a point of the smaller space; None where it is none.
    fn projected(&self, past: &Past) -> Option<Past> {
        let mut point = Point::with_capacity(self.places.len());
        for (i, &place) in self.places.iter().enumerate() {
            let value = past.point[place];
            let is_active = self.space.is_active(i, &point);
            point.push(value.filter(|_| is_active));
        }
        self.space.contains(&point).then(|| Past { point, ..past.clone() })
    }
}

/// The parameters that are not frozen, and where they stand in the whole space. What can never be active is left out.
fn reduced(space: &Space, frozen: &[Option<f64>]) -> Option<(Space, Vec<usize>)> {
    let fits = |value: &Value, i: usize| {
        let distribution = &space.parameters()[i].distribution;
        distribution.inner(value).zip(frozen[i]).is_some_and(|(inner, at)| (inner - at).abs() <= 0.0)
    };
    let (mut left, mut is_gone): (Vec<Parameter>, Vec<bool>) = (Vec::new(), Vec::new());
    let mut places = Vec::new();
    for (i, parameter) in space.parameters().iter().enumerate() {
        let parent = |name: &str| space.position(name).unwrap_or(i);
        // Frozen parents decide now, the others later.
        let holds = parameter.when.iter().all(|condition| {
            let at = parent(&condition.parent);
            !is_gone[at] && (frozen[at].is_none() || condition.values.iter().any(|value| fits(value, at)))
        });
        is_gone.push(!holds);
        if holds && frozen[i].is_none() {
            let open = parameter.when.iter().filter(|condition| frozen[parent(&condition.parent)].is_none());
            left.push(Parameter { when: open.cloned().collect(), ..parameter.clone() });
            places.push(i);
        }
    }
    Some((Space::new(left).ok()?, places))
}

#[cfg(test)]
mod tests;
