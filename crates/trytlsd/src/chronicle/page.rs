//! The report as one page that can be mailed: nothing in it refers to anything outside.

use jiff::Timestamp;
use maud::{Markup, html};

use super::Chronicle;
use super::row::{Done, Row};
use crate::html::timeline::Lanes;
use crate::html::{Foreign, alone, length, minute};
use crate::overview::Overview;

/// Relays in the picture at most; the table has all.
const DRAWN: usize = 60;

/// Of the picture, in its own units.
const WIDTH: f64 = 840.0;
const NAMES: f64 = 260.0;
const ROW: f64 = 18.0;

/// Decisions about one relay that are shown at most: the latest.
const DECISIONS: usize = 50;

pub(super) fn page(chronicle: &Chronicle, overview: &Overview) -> Markup {
    let Chronicle { since, until, relays, .. } = chronicle;
    let title = format!("trytlsd: {} to {}", minute(*since), minute(*until));
    let body = html! {
        header { h1 { (title) } @if chronicle.dry_run { span.mid { "dry run: entries are only shown" } } }
        @for line in chronicle.sums.lines() { p { (line) } }
        main {
            h2 { "Attempts, successes and decisions" }
            (Lanes::of(overview, None).draw("all", *since, *until))
            h2 { "When TLS was off" }
            (spans(chronicle))
            h2 { "Relays" }
            @if relays.is_empty() { p.empty { "Nothing happened with any relay." } } @else { (table(relays)) }
            h2 { "What was done" }
            @for row in relays.iter().filter(|row| !row.done.is_empty()) { (of_relay(row)) }
            @if !chronicle.of_all.is_empty() {
                h3 { "All relays" }
                (list(chronicle.of_all.iter()))
            }
        }
        footer { "trytlsd " (env!("CARGO_PKG_VERSION")) ", as of " (minute(*until)) ". Times are UTC." }
    };
    alone(&title, &body)
}

/// A bar for each time without TLS, a line for each relay.
fn spans(chronicle: &Chronicle) -> Markup {
    let rows: Vec<&Row> =
        chronicle.relays.iter().filter(|row| !row.off.is_empty()).take(DRAWN).collect();
    if rows.is_empty() {
        return html! { p.empty { "TLS was never off." } };
    }
    let (from, to) = (chronicle.since, chronicle.until);
    let x = |at: Timestamp| NAMES + share(from, to, at) * (WIDTH - NAMES);
    let lines = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let height = f64::from(lines) * ROW + ROW;
    html! {
        svg.timeline viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby="spans-title spans-desc" {
            title id="spans-title" { "When TLS was off, by relay" }
            desc id="spans-desc" {
                (rows.len()) " relays, from " (minute(from)) " to " (minute(to)) "."
            }
            @for (n, row) in (0u32..).zip(&rows) {
                @let y = f64::from(n) * ROW;
                text x="0" y=(y + 13.0) { (Foreign(&shortened(&row.relay))) }
                line.base x1=(NAMES) x2=(WIDTH) y1=(y + ROW) y2=(y + ROW) {}
                @for off in &row.off {
                    @let (begin, end) = (x(off.from), x(off.to.unwrap_or(to)));
                    rect.span x=(format!("{begin:.1}")) y=(y + 4.0) width=(format!("{:.1}", (end - begin).max(1.5))) height="10" {
                        title { (minute(off.from)) " to " (off.to.map_or("now".to_owned(), minute)) }
                    }
                }
            }
            text x=(NAMES) y=(height - 4.0) { (minute(from)) }
            text x=(WIDTH) y=(height - 4.0) text-anchor="end" { (minute(to)) }
        }
    }
}

/// A name that fits beside the bars.
fn shortened(relay: &str) -> String {
    const MOST: usize = 34;
    match relay.chars().count() {
        ..=MOST => relay.to_owned(),
        _ => relay.chars().take(MOST - 3).collect::<String>() + "...",
    }
}

fn table(rows: &[Row]) -> Markup {
    html! {
        table {
            thead { tr { th { "Relay" } th { "State" } th.num { "TLS off for" } th.num { "Waiting" } th.num { "Delivered in clear" } th { "Held by" } } }
            tbody {
                @for row in rows {
                    tr {
                        td.head { (Foreign(&row.relay)) }
                        td data-label="State" { (row.state) }
                        td.num data-label="TLS off for" { @if row.off.is_empty() { span.none { "–" } } @else { (length(row.off_for)) } }
                        td.num data-label="Waiting" { (row.waiting) @if row.waiting_at_least { "+" } }
                        td.num data-label="In clear" { (row.sent) }
                        td data-label="Held by" { @match &row.held { Some(held) => (Foreign(held)), None => span.none { "–" } } }
                    }
                }
            }
        }
    }
}

fn of_relay(row: &Row) -> Markup {
    let skipped = row.done.len().saturating_sub(DECISIONS);
    html! {
        h3 { (Foreign(&row.relay)) }
        @if skipped > 0 { p.faint { (skipped) " earlier ones are left out." } }
        (list(row.done.iter().skip(skipped)))
    }
}

fn list<'a>(done: impl Iterator<Item = &'a Done>) -> Markup {
    html! {
        ul { @for done in done {
            li { (minute(done.at)) " " strong { (Foreign(&done.what)) } " " (Foreign(&done.detail)) }
        } }
    }
}

/// The share of a span, 0 to 1, that lies before the moment.
fn share(from: Timestamp, to: Timestamp, at: Timestamp) -> f64 {
    let (all, part) = (to.duration_since(from), at.duration_since(from));
    (part.as_secs_f64() / all.as_secs_f64().max(1.0)).clamp(0.0, 1.0)
}
