//! What needs a person now: alarms, and holds that will not end by themselves.

use jiff::Timestamp;

use super::advice::{self, Advice};
use super::mail::foreign;
use crate::html::{count, distance, minute};
use crate::overview::{Alarm, Held, Overview};

/// One thing. Foreign text in it is harmless already.
pub(super) struct Need {
    /// The number of the happening with which it began.
    pub(super) id: i64,
    /// What it is, in a line.
    pub(super) what: String,
    /// Why it is so.
    pub(super) why: String,
    pub(super) since: Timestamp,
    /// What waits for it, in words.
    pub(super) waits: Option<String>,
    pub(super) advice: Advice,
}

/// All of them: alarms, then holds, the one whose mail bounces first on top.
pub(super) fn of(overview: &Overview) -> Vec<Need> {
    let held = overview.holds.iter().filter(|held| held.needs_a_person);
    let mut holds: Vec<(Timestamp, Need)> = held.map(|held| of_hold(overview, held)).collect();
    holds.sort_by(|(a, first), (b, second)| (a, first.id).cmp(&(b, second.id)));
    overview.alarms.iter().map(of_alarm).chain(holds.into_iter().map(|(_, need)| need)).collect()
}

fn of_alarm(alarm: &Alarm) -> Need {
    let (what, advice) = advice::of_alarm(alarm.about);
    Need {
        id: alarm.id,
        what: what.to_owned(),
        why: format!("{}; {}", foreign(&alarm.says), alarm.meanwhile),
        since: alarm.since,
        waits: None,
        advice,
    }
}

/// With when the first of its messages bounces.
fn of_hold(overview: &Overview, held: &Held) -> (Timestamp, Need) {
    let stuck = overview.stuck.iter().find(|stuck| stuck.relay == held.relay);
    let waits = stuck.filter(|stuck| stuck.messages > 0).map(|stuck| {
        let least = if stuck.messages_at_least { "at least " } else { "" };
        let bounces = stuck.bounces.map_or(String::new(), |at| {
            format!("; the first bounces {} ({})", distance(at, overview.at), minute(at))
        });
        format!("{least}{} known to wait{bounces}", count(stuck.messages, "message"))
    });
    let by = held.guard.as_ref().map_or(String::new(), |guard| format!(" by the guard {guard}"));
    let need = Need {
        id: held.id,
        what: format!("{} is held{by}", foreign(&held.relay)),
        why: foreign(&held.says),
        since: held.since,
        waits,
        advice: advice::of_hold(&held.relay, held.guard.as_deref()),
    };
    (stuck.and_then(|stuck| stuck.bounces).unwrap_or(Timestamp::MAX), need)
}
