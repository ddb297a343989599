//! The page of one relay: how it stands, what counts against it, and what happened.

use jiff::SignedDuration;
use ledger::Line;
use maud::{Markup, html};

use super::main::{before, footer, happened, lines};
use crate::html::timeline::Lanes;
use crate::html::{Foreign, document, time, time_or};
use crate::overview::Overview;

/// How far back the picture goes.
const DAYS: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Rows of the history at most.
const HAPPENINGS: usize = 200;

/// The page, with the last lines of the log that speak against it; none if nothing is known of such a relay.
pub(super) fn page(overview: &Overview, relay: &str, log: &[Line]) -> Option<Markup> {
    let now = overview.at;
    let stuck = overview.stuck.iter().find(|row| row.relay == relay);
    let entry = overview.entries.iter().find(|row| row.relay == relay);
    let proposed = overview.proposed.iter().find(|row| row.relay == relay);
    let held = overview.holds.iter().find(|row| row.relay == relay);
    let lifted = overview.lifted.iter().find(|row| row.relay == relay);
    let worked = overview.successes.iter().find(|row| row.relay == relay);
    let attempts: Vec<_> = overview.attempts.iter().filter(|row| row.relay == relay).collect();
    let of_relay = |row: &&crate::overview::Happened| row.relay.as_deref() == Some(relay);
    let rows: Vec<_> = overview.happened.iter().rev().filter(of_relay).take(HAPPENINGS).collect();
    let known = stuck.is_some() || entry.is_some() || proposed.is_some() || worked.is_some();
    if !known && rows.is_empty() && attempts.is_empty() {
        return None;
    }
    let body = html! {
        header {
            h1 { (Foreign(relay)) }
            a href="/" { "All relays" }
        }
        main {
            h2 { "How it stands" }
            table {
                tbody {
                    @if let Some(row) = stuck {
                        tr { th scope="row" { "Waiting" } td data-label="Waiting" {
                            (row.messages) @if row.messages_at_least { " or more" } " messages"
                        } }
                        tr { th scope="row" { "Oldest message" } td data-label="Oldest message" { (time_or(row.oldest, now, "unknown")) } }
                        tr { th scope="row" { "Bounces" } td data-label="Bounces" { (time_or(row.bounces, now, "unknown")) } }
                        tr { th scope="row" { "Failing since" } td data-label="Failing since" { (time(row.first, now)) } }
                        tr { th scope="row" { "Attempts" } td data-label="Attempts" {
                            (row.attempts) ", " (row.handshake) " of them broken handshakes"
                        } }
                    } @else {
                        tr { th scope="row" { "Waiting" } td data-label="Waiting" { "Nothing is stuck." } }
                    }
                    @if let Some(row) = held {
                        tr { th scope="row" { "Held" } td data-label="Held" { div {
                            span.word { (row.guard.as_deref().unwrap_or("no key")) } ": " (Foreign(&row.says)) " " (time(row.since, now))
                        } } }
                    }
                    @if let Some(row) = entry {
                        tr { th scope="row" { "Entry" } td data-label="Entry" { (lines(&row.lines)) } }
                        tr { th scope="row" { "Reason" } td data-label="Reason" { (Foreign(&row.reason)) } }
                        tr { th scope="row" { "In force since" } td data-label="In force since" { (time(row.since, now)) } }
                        tr { th scope="row" { "Until" } td data-label="Until" { (time_or(row.until, now, "for ever")) } }
                        tr { th scope="row" { "Used" } td data-label="Used" { div {
                            (row.hits) " times: " (row.sent) " sent, " (row.deferred) " deferred, " (row.failed) " failed "
                            @if let Some(at) = row.last_used { (time(at, now)) }
                        } } }
                        tr { th scope="row" { "Last probe" } td data-label="Last probe" { div {
                            (time_or(row.last_probe, now, "none yet"))
                            @if let Some(found) = &row.found { " " (Foreign(found)) }
                        } } }
                        tr { th scope="row" { "Next probe" } td data-label="Next probe" { (time_or(row.next_probe, now, "none")) } }
                    }
                    @if let Some(row) = proposed {
                        tr { th scope="row" { "Proposed" } td data-label="Proposed" { (lines(&row.lines)) } }
                    }
                    @if let Some(row) = lifted {
                        tr { th scope="row" { "Lifted" } td data-label="Lifted" { (row.state) " " (time(row.until, now)) } }
                    }
                    tr { th scope="row" { "TLS last worked" } td data-label="TLS last worked" {
                        (time_or(worked.map(|row| row.at), now, "never, as far as is remembered"))
                    } }
                }
            }
            h2 { "The last fourteen days" }
            (Lanes::of(overview, Some(relay)).draw("relay", before(now, DAYS), now))
            h2 { "Stuck attempts" }
            @if attempts.is_empty() {
                p.empty { "None counts at present." }
            } @else {
                table {
                    thead { tr { th scope="col" { "When" } th.num scope="col" { "Attempts" } } }
                    tbody { @for row in &attempts { tr {
                        td data-label="When" { (time(row.at, now)) }
                        td.num data-label="Attempts" { (row.count) }
                    } } }
                }
            }
            @if !log.is_empty() {
                h2 { "Last lines in the log" }
                pre { @for kept in log { code { (Foreign(&kept.line)) } "\n" } }
            }
            h2 { "What happened" }
            (happened(rows.into_iter(), now, false))
            // To be copied into a shell: only what a shell takes as it is.
            @if relay.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b)) {
                p.faint { small {
                    "What each guard says at this moment: " code { "trytlsd explain '" (relay) "'" }
                } }
            }
        }
        (footer(overview))
    };
    Some(document(&format!("{relay}: trytlsd"), &body))
}
