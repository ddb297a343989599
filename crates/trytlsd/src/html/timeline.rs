//! Attempts, successes and decisions over time, as one inline picture (SVG). It carries a title and a description for those
//! who cannot see it, and takes its colours from the stylesheet.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

use super::{count, minute};
use crate::overview::Overview;

/// Columns.
const COLUMNS: usize = 84;

const WIDTH: f64 = 840.0;
const COLUMN: f64 = 10.0;
/// Where the words of a lane begin, above it.
const HEIGHT: f64 = 172.0;

/// What is drawn: three lanes of moments, each with how many it stands for.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) attempts: Vec<(Timestamp, u32)>,
    pub(crate) successes: Vec<(Timestamp, u32)>,
    pub(crate) decisions: Vec<(Timestamp, u32)>,
}

/// Where a lane stands: its class, its name, its top and its height.
const PLACES: [(&str, &str, f64, f64); 3] = [
    ("attempt", "stuck attempts", 18.0, 44.0),
    ("success", "last successes", 80.0, 24.0),
    ("decision", "decisions", 122.0, 24.0),
];

impl Lanes {
    /// What the picture shows, of one relay or of all.
    pub(crate) fn of(overview: &Overview, relay: Option<&str>) -> Self {
        let is = |name: &str| relay.is_none_or(|relay| relay == name);
        let decides = |what: &str| !matches!(what, "probed" | "proof" | "candidate");
        let attempts = overview.attempts.iter().filter(|row| is(&row.relay));
        let successes = overview.successes.iter().filter(|row| is(&row.relay));
        let decisions = overview
            .happened
            .iter()
            .filter(|row| decides(&row.what) && row.relay.as_deref().map_or(relay.is_none(), is));
        Self {
            attempts: attempts.map(|row| (row.at, row.count)).collect(),
            successes: successes.map(|row| (row.at, 1)).collect(),
            decisions: decisions.map(|row| (row.at, 1)).collect(),
        }
    }

    /// The picture from `from` to `to`.
    pub(crate) fn draw(&self, id: &str, from: Timestamp, to: Timestamp) -> Markup {
        let span = (to.as_second() - from.as_second()).max(1);
        let lanes = [&self.attempts, &self.successes, &self.decisions];
        let counted: Vec<[u32; COLUMNS]> =
            lanes.iter().map(|lane| columns(lane, from.as_second(), span)).collect();
        let sum = |lane: usize| {
            let column = counted.get(lane).map_or(&[][..], |lane| lane.as_slice());
            column.iter().fold(0usize, |sum, n| sum.saturating_add(*n as usize))
        };
        let (title, words) = (format!("{id}-title"), format!("{id}-desc"));
        html! {
            svg.timeline viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(format!("{title} {words}")) {
                title id=(title) { "Attempts, successes and decisions over time" }
                desc id=(words) {
                    "From " (minute(from)) " to " (minute(to)) ": " (count(sum(0), "stuck attempt")) ", "
                    (sum(1)) " last successes, " (count(sum(2), "decision")) "."
                }
                @for ((class, name, top, height), columns) in PLACES.iter().zip(&counted) {
                    text.lane x="0" y=(top - 5.0) { (name) @let most = columns.iter().max().copied().unwrap_or(0);
                        @if most > 0 { ", at most " (most) " in a column" } }
                    line.base x1="0" x2=(WIDTH) y1=(top + height) y2=(top + height) {}
                    path class=(class) d=(bars(columns, *top, *height)) {}
                }
                @for (at, x, anchor) in ticks(from, to) {
                    text.axis x=(x) y=(HEIGHT - 8.0) text-anchor=(anchor) { (at) }
                }
            }
        }
    }
}

/// How many there are in each column.
fn columns(lane: &[(Timestamp, u32)], from: i64, span: i64) -> [u32; COLUMNS] {
    let mut columns = [0u32; COLUMNS];
    for (at, count) in lane {
        let offset = at.as_second() - from;
        if offset < 0 || offset > span {
            continue;
        }
        let column = i128::from(offset) * COLUMNS as i128 / i128::from(span);
        let column = usize::try_from(column).unwrap_or(0).min(COLUMNS - 1);
        if let Some(sum) = columns.get_mut(column) {
            *sum = sum.saturating_add(*count);
        }
    }
    columns
}

/// A bar for each column that has any; the highest fills the lane.
fn bars(columns: &[u32; COLUMNS], top: f64, height: f64) -> String {
    let most = f64::from(columns.iter().max().copied().unwrap_or(0).max(1));
    let mut path = String::new();
    let mut x = 0.0;
    for count in columns {
        if *count > 0 {
            // Never so low that one attempt cannot be seen beside a thousand.
            let high = (f64::from(*count) / most * height).max(3.0);
            let (left, wide, y) = (x + 1.0, COLUMN - 2.0, top + height - high);
            let _infallible = write!(path, "M{left:.0} {y:.1}h{wide:.0}v{high:.1}h-{wide:.0}z");
        }
        x += COLUMN;
    }
    path
}

/// The words below: beginning, middle and end.
fn ticks(from: Timestamp, to: Timestamp) -> [(String, f64, &'static str); 3] {
    let middle = i64::midpoint(from.as_second(), to.as_second());
    let middle = Timestamp::from_second(middle).unwrap_or(to);
    let word = |at: Timestamp| at.strftime("%b %d, %H:%MZ").to_string();
    [(word(from), 0.0, "start"), (word(middle), WIDTH / 2.0, "middle"), (word(to), WIDTH, "end")]
}
