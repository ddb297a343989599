//! The first page: all relays.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::path::of_relay;
use crate::fleet::Fleet;
use crate::html::table::Column::{Number, Text};
use crate::html::table::table;
use crate::html::timeline::Lanes;
use crate::html::{Foreign, Name, count, distance, document, length, minute, time, time_or};
use crate::overview::{
    Alarm, ClientRow, Daemon, Entry, Happened, Held, Lifted, Overview, Proposed, Stuck,
};

/// How far back the picture goes.
const DAYS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Happenings at most.
const HAPPENINGS: usize = 40;

/// A commit that is older is worth a word: the clock is noted each hour.
const STALE: i64 = 2 * 3600;

/// The page.
pub(super) fn page(overview: &Overview) -> Markup {
    let now = overview.at;
    let body = html! {
        header {
            h1 { "trytlsd" @if overview.daemon.dry_run { " " span.mid { "dry run" } } }
            (daemon(&overview.daemon, now))
        }
        @if !overview.ledger {
            p.note { "There is no ledger yet: nothing is known of any relay." }
        }
        (alarms(&overview.alarms, now))
        (sums(overview))
        main {
            (stuck(overview))
            (holds(&overview.holds, now))
            (entries(&overview.entries, now))
            (proposed(overview))
            (lifted(&overview.lifted, now))
            (clients(&overview.clients, now))
            @if let Some(fleet) = &overview.fleet { (said(fleet, now)) }
            h2 { "The last seven days" }
            (Lanes::of(overview, None).draw("all", before(now, DAYS), now))
            p.faint { small {
                "Attempts are remembered while they count, of each relay its last success, and every decision."
            } }
            h2 { "What happened" }
            (happened(overview.happened.iter().rev().take(HAPPENINGS), now, true))
        }
        (footer(overview))
    };
    document("trytlsd: what is stuck", &body)
}

pub(super) fn before(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

fn daemon(daemon: &Daemon, now: Timestamp) -> Markup {
    let stale = daemon.last_commit.is_none_or(|at| now.as_second() - at.as_second() > STALE);
    html! {
        span {
            @match daemon.pid {
                Some(_) => span.word.good { "running" },
                None => span.word.bad { "not running" },
            }
            @if let Some(since) = daemon.since { " since " (minute(since)) }
            @if let Some(at) = daemon.last_commit {
                ", ledger written " span.mid[stale] { (distance(at, now)) }
            }
        }
    }
}

fn alarms(alarms: &[Alarm], now: Timestamp) -> Markup {
    html! {
        @for alarm in alarms {
            div.note.bad role="alert" {
                p { strong { "Alarm: " (alarm.about) } " " (time(alarm.since, now)) }
                p { (Foreign(&alarm.says)) "; " (alarm.meanwhile) "." }
            }
        }
    }
}

fn sums(overview: &Overview) -> Markup {
    let (counts, now) = (&overview.counts, overview.at);
    let least = if counts.messages_at_least { "+" } else { "" };
    let (bounces, needs) = (overview.first_bounce(), overview.need_a_person());
    html! {
        dl.sums {
            div { dt { "Messages waiting" } dd { (counts.messages) (least) small { "for " (count(counts.stuck, "relay")) } } }
            div { dt { "Oldest message" } dd {
                @match overview.oldest() {
                    Some(at) => { (length(now.as_second() - at.as_second())) small {
                        @if let Some(at) = bounces { "first bounce " (distance(at, now)) }
                    } },
                    None => { "–" small { "none waits that tells its age" } },
                }
            } }
            div { dt { "Entries in force" } dd { (counts.entries) small { (counts.proposed) " proposed" } } }
            div { dt { "Held" } dd { (counts.holds) small { @if needs > 0 { (needs) " need a person" } @else { "none needs a person" } } } }
            div { dt { "Alarms" } dd.bad[counts.alarms > 0] { (counts.alarms) small { @if counts.alarms == 0 { "all is quiet" } @else { "see above" } } } }
        }
    }
}

fn link(relay: &str) -> Markup {
    html! { a href=(of_relay(relay)) { (Name(relay)) } }
}

/// A heading with a number.
fn heading(title: &str, number: usize) -> Markup {
    html! { h2 { (title) @if number > 0 { " " small { (number) } } } }
}

fn stuck(overview: &Overview) -> Markup {
    let (rows, now) = (&overview.stuck, overview.at);
    html! {
        (heading("Stuck", rows.len()))
        @if rows.is_empty() {
            p.empty { "Nothing is stuck." }
        } @else {
            p.faint { small {
                "A message bounces after " (length(i64::from(overview.queue_return))) " (Timeout.queuereturn, "
                @if overview.queue_return_is_set { "from sendmail.cf" } @else { "sendmail's own default" } ")."
            } }
            (table(&[Text("Relay"), Number("Waiting"), Text("Oldest message"), Text("Bounces"), Number("Attempts"), Text("Kind"), Text("Failing since"), Text("Last attempt")], rows, |row| stuck_row(row, now)))
        }
    }
}

fn stuck_row(row: &Stuck, now: Timestamp) -> Markup {
    let urgent = row.hours_left.is_some_and(|hours| hours < 24.0);
    html! {
        tr {
            td.head { (link(&row.relay)) }
            td.num data-label="Waiting" { (row.messages) @if row.messages_at_least { "+" } }
            td data-label="Oldest message" { (time_or(row.oldest, now, "unknown")) }
            td.bad[urgent] data-label="Bounces" { (time_or(row.bounces, now, "unknown")) }
            td.num data-label="Attempts" { (row.attempts) }
            td data-label="Kind" { (row.kind) }
            td data-label="Failing since" { (time(row.first, now)) }
            td data-label="Last attempt" { (time(row.last, now)) }
        }
    }
}

fn holds(rows: &[Held], now: Timestamp) -> Markup {
    html! {
        (heading("Held", rows.len()))
        @if rows.is_empty() {
            p.empty { "No guard holds anything back." }
        } @else {
            (table(&[Text("Relay"), Text("Guard"), Text("It says"), Text("Since")], rows, |row| html! { tr {
                    td.head { (link(&row.relay)) }
                    td data-label="Guard" { div {
                        span.word { (row.guard.as_deref().unwrap_or("no key")) }
                        @if row.needs_a_person { " " small.mid { "needs a person" } }
                    } }
                    td data-label="It says" { (Foreign(&row.says)) }
                    td data-label="Since" { (time(row.since, now)) }
                } }))
        }
    }
}

fn entries(rows: &[Entry], now: Timestamp) -> Markup {
    html! {
        (heading("Entries in force", rows.len()))
        @if rows.is_empty() {
            p.empty { "No entry is in force: TLS is used with every relay that offers it." }
        } @else {
            (table(&[Text("Relay"), Text("Entry"), Text("Reason"), Text("Since"), Text("Until"), Number("Hits"), Text("Last probe"), Text("Next probe")], rows, |row| entry_row(row, now)))
        }
    }
}

fn entry_row(row: &Entry, now: Timestamp) -> Markup {
    html! {
        tr {
            td.head { (link(&row.relay)) }
            td data-label="Entry" { (lines(&row.lines)) }
            td data-label="Reason" { (Foreign(&row.reason)) }
            td data-label="Since" { (time(row.since, now)) }
            td data-label="Until" { (time_or(row.until, now, "for ever")) }
            td.num data-label="Hits" { div { (row.hits) @if row.hits > 0 { " " small {
                (row.sent) " sent, " (row.deferred) " deferred, " (row.failed) " failed"
            } } } }
            td data-label="Last probe" { div {
                (time_or(row.last_probe, now, "none yet"))
                @if let Some(found) = &row.found { " " (Foreign(found)) }
            } }
            td data-label="Next probe" { (time_or(row.next_probe, now, "none")) }
        }
    }
}

pub(super) fn lines(lines: &[String]) -> Markup {
    let one = |line: &String| line.replace('\t', " ");
    html! { div { @for line in lines { code { (Name(&one(line))) } br; } } }
}

fn proposed(overview: &Overview) -> Markup {
    let (rows, now): (&[Proposed], _) = (&overview.proposed, overview.at);
    html! {
        @if overview.daemon.dry_run || !rows.is_empty() {
            (heading("Proposed", rows.len()))
            @if rows.is_empty() {
                p.empty { "This is a dry run, and it has proposed nothing yet." }
            } @else {
                p.faint { small { "Shown by the dry run, not written. With dry_run = false they would be." } }
                (table(&[Text("Relay"), Text("Entry"), Text("Since")], rows, |row| html! { tr {
                        td.head { (link(&row.relay)) }
                        td data-label="Entry" { (lines(&row.lines)) }
                        td data-label="Since" { (time(row.since, now)) }
                    } }))
            }
        }
    }
}

fn lifted(rows: &[Lifted], now: Timestamp) -> Markup {
    html! {
        @if !rows.is_empty() {
            (heading("Lifted", rows.len()))
            (table(&[Text("Relay"), Text("State"), Text("Until")], rows, |row| html! { tr {
                    td.head { (link(&row.relay)) }
                    td data-label="State" { @match row.state {
                        "held" => "lifted by hand: it gets no entry",
                        _ => "on probation: one stuck attempt brings it back",
                    } }
                    td data-label="Until" { (time(row.until, now)) }
                } }))
        }
    }
}

fn clients(rows: &[ClientRow], now: Timestamp) -> Markup {
    html! {
        @if !rows.is_empty() {
            (heading("Clients (receiving)", rows.len()))
            (table(&[Text("Client"), Text("State"), Text("Entry"), Number("Broken"), Text("Last"), Text("Until")], rows, |row| html! { tr {
                    td.head { (Name(&row.address)) @if let Some(name) = &row.name { " " small { (Foreign(name)) } } }
                    td data-label="State" { (row.state) }
                    td data-label="Entry" { @match &row.line {
                        Some(line) => (lines(std::slice::from_ref(line))),
                        None => span.none { "none" },
                    } }
                    td.num data-label="Broken" { (row.broken) }
                    td data-label="Last" { (time_or(row.last, now, "none")) }
                    td data-label="Until" { (time_or(row.until, now, "–")) }
                } }))
        }
    }
}

/// What the MTAs of the fleet say.
fn said(fleet: &Fleet, now: Timestamp) -> Markup {
    let rows = &fleet.rows;
    html! {
        (heading("The fleet", rows.len()))
        @if let Some(quorum) = fleet.quorum {
            p.faint { small {
                "An entry is made when " (count(quorum as usize, "MTA")) " need it and none objects, and taken out when as many need it no more."
            } }
        }
        @if rows.is_empty() {
            p.empty { "No MTA says anything: nothing is at issue." }
        } @else {
            (table(&[Text("Relay"), Text("MTA"), Text("It says"), Text("Seen"), Text("Said")], rows, |row| html! { tr {
                td.head { (link(&row.relay)) }
                td data-label="MTA" { (Name(&row.mta)) }
                td data-label="It says" { (Name(&row.says)) }
                td data-label="Seen" { (time(row.seen, now)) }
                td data-label="Said" { (time(row.written, now)) }
            } }))
        }
    }
}

/// Rows of the history, the newest on top.
pub(super) fn happened<'a>(
    rows: impl Iterator<Item = &'a Happened>,
    now: Timestamp,
    with_relay: bool,
) -> Markup {
    let rows: Vec<_> = rows.collect();
    html! {
        @if rows.is_empty() {
            p.empty { "Nothing happened within the last 30 days." }
        } @else {
            table {
                thead { tr {
                    th scope="col" { "When" } @if with_relay { th scope="col" { "Relay" } }
                    th scope="col" { "What" } th scope="col" { "Detail" }
                } }
                tbody { @for row in rows { tr {
                    td data-label="When" { (time(row.at, now)) }
                    @if with_relay { td data-label="Relay" { @match &row.relay {
                        Some(relay) => (link(relay)),
                        None => span.none { "all" },
                    } } }
                    td.word data-label="What" { (Foreign(&row.what)) }
                    td data-label="Detail" { (Foreign(&row.detail)) }
                } } }
            }
        }
    }
}

pub(super) fn footer(overview: &Overview) -> Markup {
    html! {
        footer {
            "trytlsd " (env!("CARGO_PKG_VERSION")) ", as of " (overview.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
            ". Read-only. " a href="/metrics" { "Metrics" } ", " a href="/overview.json" { "JSON" } "."
        }
    }
}
