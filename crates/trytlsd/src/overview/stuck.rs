//! Relays whose mail waits, and how long it has.
//!
//! When a message came stands in its queue id: sendmail (8.12 and later) makes the first six of its 14 characters from
//! year, month, day, hour, minute and second in UTC, each a digit in base 60 (`assign_queueid` in queue.c). A longer or
//! shorter id is another scheme's and tells nothing.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use policy::moment::moment;
use policy::queue::MOST;
use policy::record::Record;
use policy::state::State;
use serde::Serialize;

/// The digits, in their order.
const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx";

/// The length of an id.
const LENGTH: usize = 14;

/// A relay whose mail waits, and that has no entry in force.
#[derive(Debug, Serialize)]
pub(crate) struct Stuck {
    pub(crate) relay: String,
    /// Messages that wait; a least number if `messages_at_least`.
    pub(crate) messages: usize,
    pub(crate) messages_at_least: bool,
    /// When the run of failures began.
    pub(crate) first: Timestamp,
    /// The last stuck attempt.
    pub(crate) last: Timestamp,
    /// Stuck attempts within the window, and of these with a broken handshake.
    pub(crate) attempts: u32,
    pub(crate) handshake: u32,
    /// `handshake`, `network` or `both`.
    pub(crate) kind: &'static str,
    /// When the oldest of the messages came; none if no queue id tells.
    pub(crate) oldest: Option<Timestamp>,
    /// When it bounces.
    pub(crate) bounces: Option<Timestamp>,
    /// The hours until then.
    pub(crate) hours_left: Option<f64>,
}

/// All of them; the one that bounces first on top.
pub(super) fn stuck(state: &State, queue_return: u32, now: Timestamp) -> Vec<Stuck> {
    let mut found: Vec<Stuck> = state
        .records()
        .filter(|(_, record)| record.active().is_empty())
        .filter_map(|(relay, record)| of(state, relay, record, queue_return, now))
        .collect();
    let never = Timestamp::MAX;
    found.sort_by_key(|stuck| (stuck.bounces.unwrap_or(never), stuck.first, stuck.relay.clone()));
    found
}

fn of(
    state: &State,
    relay: &str,
    record: &Record,
    queue_return: u32,
    now: Timestamp,
) -> Option<Stuck> {
    let mut evidence = record.evidence.clone();
    let (first, last) = (moment(evidence.began()?), moment(evidence.last()?));
    let term = i64::from(queue_return);
    // What came so long ago has bounced, whatever became of it.
    let waits = |came: &Timestamp| now.as_second() - came.as_second() < term;
    if !waits(&last) {
        return None;
    }
    let ids = record.queue().map_or(&[][..], |queue| queue.ids());
    let came: Vec<Option<Timestamp>> = ids.iter().map(|id| received(id, now)).collect();
    let messages = came.iter().filter(|came| came.is_none_or(|came| waits(&came))).count();
    let oldest = came.iter().flatten().filter(|came| waits(came)).min().copied();
    let bounces = oldest.and_then(|at| Timestamp::from_second(at.as_second() + term).ok());
    let weight = evidence.weigh(state.rules(), now);
    let kind = match (weight.strong, weight.stuck.saturating_sub(weight.strong)) {
        (1.., 0) => "handshake",
        (0, _) => "network",
        _ => "both",
    };
    Some(Stuck {
        relay: relay.to_owned(),
        messages,
        messages_at_least: ids.len() >= MOST,
        first,
        last,
        attempts: weight.stuck,
        handshake: weight.strong,
        kind,
        oldest,
        bounces,
        hours_left: bounces.map(|at| hours(at, now)),
    })
}

/// From now until then, in hours with one decimal place; never less than none.
fn hours(at: Timestamp, now: Timestamp) -> f64 {
    let tenths = (at.as_second() - now.as_second()).max(0) / 360;
    f64::from(i32::try_from(tenths).unwrap_or(i32::MAX)) / 10.0
}

/// When a message came, by its queue id. One that would come later than now is of another scheme.
fn received(id: &str, now: Timestamp) -> Option<Timestamp> {
    let bytes = id.as_bytes();
    if bytes.len() != LENGTH || !bytes.get(8..)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut digits = bytes.iter().take(6).map(|byte| DIGITS.iter().position(|d| d == byte));
    let mut digit = || digits.next().flatten().and_then(|digit| i8::try_from(digit).ok());
    let (year, month, day) = (digit()?, digit()?, digit()?);
    let (hour, minute, second) = (digit()?, digit()?, digit()?);
    // The year counts from 1900, modulo 60: the latest that is not yet to come.
    let this = TimeZone::UTC.to_datetime(now).year();
    let ago = (this - 1900 - i16::from(year)).rem_euclid(60);
    let date = civil::Date::new(this - ago, month.checked_add(1)?, day).ok()?;
    let time = civil::Time::new(hour, minute, second, 0).ok()?;
    let at = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    // A minute's doubt: the clocks of two hosts.
    (at.as_second() <= now.as_second() + 60).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_ids_tell_when_a_message_came() {
        let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let check = |id: &str, expect: Option<&str>| {
            let expect = expect.map(|at| at.parse::<Timestamp>().unwrap());
            assert_eq!(received(id, now), expect, "{id}");
        };
        // From crates/maillog/testdata: the lines say the same moment.
        check("6ANAoejE000256", Some("2026-11-23T10:50:40Z"));
        check("6ANAp1X7000661", Some("2026-11-23T10:51:01Z"));
        // The second before the year began, in the year before.
        check("5BVNxxjE000256", Some("2025-12-31T23:59:59Z"));
        // Of tomorrow; of another scheme; no day of the calendar.
        check("6AP0oejE000256", None);
        check("4gX5cR2yXz", None);
        check("6ANAoejEabcdef", None);
        check("6A0AoejE000256", None);
        check("6ANAyejE000256", None);
    }
}
