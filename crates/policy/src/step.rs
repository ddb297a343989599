//! The heart: one input in, changes and effects out. No clock, no file, no socket, and it cannot fail.
//!
//! The way of a relay: stuck attempts gather as evidence; past the threshold it is a candidate and its facts are asked
//! for; a guard holds it, or its keys are chosen and the map is to be changed; the answer to that makes it active, or
//! proposed in dry run. A success clears the evidence on any of these ways.

use std::net::IpAddr;

use access::managed::Managed;
use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::event::{Attempt, End, Event, Recipients, Stuck, Success, Waiting, What};
use maillog::relay::Relay;
use maillog::reply::Reply;

use crate::evidence::Strength;
use crate::hold::Hold;
use crate::input::{Change, Effect, Input, MapState, Request};
use crate::moment::{moment, seconds, whole};
use crate::record::{Record, Work};
use crate::remedy::RelayRemedy;
use crate::rules::Rules;
use crate::state::State;
use crate::{
    adoption, candidate, clients, fallback, fleet, halt, map, probing, requests, successes,
    withdraw,
};

/// What a step brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is so from now on, in order.
    pub changes: Vec<Change>,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

/// Takes one input. `now`: for an event when its line was written or arrived, otherwise the time of day.
pub fn step(state: &mut State, input: Input<'_>, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    match input {
        Input::Event(event) => on_event(state, event, now, &mut outcome),
        Input::Fact(fact) => candidate::on_fact(state, &fact, now, &mut outcome),
        Input::Map(mut found) => {
            let looked = matches!(found, MapState::Loaded(_) | MapState::Seen(_));
            if let MapState::Loaded(look) | MapState::Seen(look) = &found {
                let first = matches!(found, MapState::Loaded(_));
                adoption::on_look(state, &look.admins, first, &mut outcome);
            }
            clients::on_look(state, &mut found, now, &mut outcome);
            map::on_map(state, found, now, &mut outcome);
            if looked {
                clients::go_on(state, now, &mut outcome);
            }
        }
        Input::Client(news) => clients::hear(state, news, now, &mut outcome),
        Input::Proof(relay, proof) => map::on_proof(state, relay, proof, now, &mut outcome),
        Input::Votes(votes) => fleet::hear(state, votes, now, &mut outcome),
        Input::Request(Request::Arm) => {
            requests::arm(state, now, &mut outcome);
            clients::arm(state, now, &mut outcome);
        }
        Input::Request(Request::Disarm) => requests::disarm(state),
        Input::Request(Request::Resume) => {
            requests::resume(state, now, &mut outcome);
            clients::resume(state, now, &mut outcome);
        }
        Input::Request(Request::Approve(relay, approval)) => {
            requests::approve(state, &relay, approval, now, &mut outcome);
        }
        Input::Request(Request::Halt(halt)) => halt::halt(state, halt, now, &mut outcome),
        Input::Request(Request::GoOn) => halt::go_on(state, now, &mut outcome),
        Input::Request(Request::Lift(relay, until)) => {
            adoption::lift_on_word(state, &relay, until, now, &mut outcome);
        }
        Input::Request(Request::ApproveClient(address, approval)) => {
            clients::approve(state, address, approval, now, &mut outcome);
        }
        Input::Request(Request::LiftClient(address, until)) => {
            clients::lift_on_word(state, address, until, now, &mut outcome);
        }
        Input::Request(Request::Adopt(relay, word)) => {
            adoption::adopt(state, &relay, word, now, &mut outcome);
        }
        Input::Request(Request::EndAdoption(relay)) => {
            adoption::end(state, &relay, &mut outcome);
        }
        Input::Trouble(outside, why) => {
            state.hear_of_trouble(outside, why.as_deref(), now, &mut outcome.changes);
        }
        Input::Line(relay, news) => adoption::hear(state, &relay, news, &mut outcome),
        Input::Probed(relay, began, probed) => {
            adoption::on_probed(state, &relay, began, &probed, now, &mut outcome);
            probing::on_probed(state, &relay, began, probed, now, &mut outcome);
        }
        Input::Tick => {
            probing::set_clock(state, now);
            requests::end_terms(state, now);
            clients::end_terms(state, now);
            state.weigh_alarms(now, &mut outcome.changes);
            if state.is_time_to_retry(now) {
                map::remove_again(state, &mut outcome);
                candidate::retry(state, now, &mut outcome);
                requests::go_on(state, now, &mut outcome);
                adoption::retry(state, &mut outcome);
                clients::retry(state, now, &mut outcome);
                clients::go_on(state, now, &mut outcome);
            }
            map::put_back(state, now, &mut outcome);
            fallback::end_idle(state, now, &mut outcome);
            probing::on_tick(state, now, &mut outcome);
            adoption::on_tick(state, now, &mut outcome);
            clients::tick(state, now, &mut outcome);
        }
    }
    outcome
}

fn on_event(state: &mut State, event: &Event<'_>, now: Timestamp, outcome: &mut Outcome) {
    match &event.what {
        What::Attempt(attempt) => on_attempt(state, attempt, now, outcome),
        What::Stuck(stuck) if stuck.attempt.counts() => on_stuck(state, stuck, now, outcome),
        What::Sent(attempt) => fallback::on_end(state, &attempt.relay, End::Sent),
        What::Failed(attempt) => fallback::on_end(state, &attempt.relay, End::Failed),
        What::Waiting(waiting) => on_waiting(state, waiting, now, outcome),
        What::Success(success) => on_success(state, success, now, outcome),
        What::Served(served) => {
            // Of the handshake, not of the delivery that came after: the same success is one.
            if let Some(success) = state.last_success(served.relay.as_str()) {
                state.successes.note_at(served.address, success);
            }
        }
        What::DaneWarning(relay) => on_dane_warning(state, relay, now, outcome),
        What::TryTls(used) => {
            probing::on_use(state, &used.relay, now);
            adoption::on_use(state, used, now);
        }
        What::Freed(freed) => {
            probing::on_freed(state, &freed.relay, freed.end);
            adoption::on_freed(state, &freed.relay, freed.end);
        }
        What::Reply(reply) if reply.counts => on_reply(state, reply, now, outcome),
        what => clients::on_event(state, what, now, outcome),
    }
}

/// Every broken handshake counts for the question whether it is us, whether or not mail is stuck for it.
fn on_attempt(state: &mut State, attempt: &Attempt<'_>, now: Timestamp, outcome: &mut Outcome) {
    if fallback::on_attempt(state, attempt, now) {
        return; // That it breaks there is known, and nothing new of us.
    }
    let relay = attempt.relay.as_str();
    let worked = state.successes.last(relay).map(|success| success.second);
    let began = state.relays.get(relay).and_then(|record| record.evidence.began());
    state.lately.failed(attempt, worked, began, seconds(now));
    state.weigh_own_fault(now, &mut outcome.changes);
}

fn on_success(state: &mut State, success: &Success<'_>, now: Timestamp, outcome: &mut Outcome) {
    let relay = &success.relay;
    let handshake = crate::handshake::Handshake::of(&success.version, &success.verify);
    let noted = successes::Success { second: seconds(now), handshake };
    let before = state.successes.note(relay.as_str(), noted);
    state.lately.worked(relay.as_str(), before, seconds(now));
    if state.own_fault().is_some() {
        state.weigh_own_fault(now, &mut outcome.changes);
    }
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    if record.evidence.last().is_some_and(|last| last > seconds(now)) {
        return; // Of an older log: it failed after that.
    }
    let was_counting = !record.evidence.is_empty();
    // Where it was is told by a later line, if at all. Until then it counts for wherever it had failed.
    for address in record.evidence.addresses() {
        state.successes.note_at(address, noted);
    }
    record.clear_evidence();
    if let Some(standing) = record.standing_if_any() {
        standing.proposed.clear();
        standing.told = None;
        standing.abandon();
    }
    if was_counting {
        outcome.changes.push(Change::Cleared(relay.clone().into_owned()));
    }
}

fn on_stuck(state: &mut State, stuck: &Stuck<'_>, now: Timestamp, outcome: &mut Outcome) {
    let Stuck { attempt, address, recipients, queue_id } = stuck;
    if fallback::acts(state, &attempt.relay, *address) {
        // It went on in clear, and what deferred it came after that.
        fallback::on_end(state, &attempt.relay, End::Deferred);
        return on_recipients(state, &attempt.relay, *address, recipients, now, outcome);
    }
    let strength = Strength::of(attempt.cause.as_ref());
    let record = state.relays.get_or_insert_with(attempt.relay.as_str(), Record::default);
    record.add_message(queue_id);
    add(state, &attempt.relay, *address, strength, recipients, now, outcome);
}

/// The relay said in its own words that its STARTTLS is broken. Words are weak evidence, whatever they say: whoever sits
/// on the path can say them too. One that came with a broken handshake is counted with it.
fn on_reply(state: &mut State, reply: &Reply<'_>, now: Timestamp, outcome: &mut Outcome) {
    let Reply { relay, address, recipients, .. } = reply;
    if state.remedy_for(relay) == RelayRemedy::Fallback {
        return fallback::on_reply(state, relay, now, outcome);
    }
    let last = state.relays.get(relay.as_str()).and_then(|record| record.evidence.last());
    if last != Some(seconds(now)) {
        add(state, relay, *address, Strength::Weak, recipients, now, outcome);
    }
}

/// Adds to the evidence against a relay, and weighs it.
fn add(
    state: &mut State,
    relay: &Relay<'_>,
    address: Option<IpAddr>,
    strength: Strength,
    recipients: &Recipients<'_>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let window = state.rules.window;
    let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
    record.last_seen = seconds(now);
    record.evidence.add(now, address, strength, window);
    add_recipients(record, recipients, outcome);
    if let (Some(standing), Some(address)) = (record.standing_if_any(), address)
        && let Work::Asking(asked) = &mut standing.work
    {
        outcome.effects.extend(asked.add_address(address).map(Effect::Ask));
    }
    let is_open = record.is_open(now);
    withdraw::withdraw_if_required(state, relay, now, outcome);
    withdraw::withdraw_there_if_required(state, relay, address, now, outcome);
    if state.live && is_open {
        candidate::weigh(state, relay, now, outcome);
    }
    if state.live {
        probing::begin(state, relay, strength, now);
    }
}

/// Further mail waits for a relay: its recipients matter as well. The relay's name may be cut in its middle.
fn on_waiting(state: &mut State, waiting: &Waiting<'_>, now: Timestamp, outcome: &mut Outcome) {
    let logged = waiting.relay.as_str();
    let names = match logged.contains("...") {
        false => vec![waiting.relay.clone().into_owned()],
        true => candidate::relays_called(state, logged),
    };
    for relay in names {
        let Some(record) = state.relays.get_mut(relay.as_str()) else { continue };
        if !record.evidence.is_empty() {
            record.add_message(&waiting.queue_id);
            add_recipients(record, &waiting.recipients, outcome);
            withdraw::withdraw_if_required(state, &relay, now, outcome);
        }
    }
}

/// Mail of a relay with an entry that acts was deferred: its recipients matter as well.
fn on_recipients(
    state: &mut State,
    relay: &Relay<'_>,
    address: Option<IpAddr>,
    recipients: &Recipients<'_>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Some(record) = state.relays.get_mut(relay.as_str()) else { return };
    add_recipients(record, recipients, outcome);
    withdraw::withdraw_if_required(state, relay, now, outcome);
    withdraw::withdraw_there_if_required(state, relay, address, now, outcome);
}

/// Remembers the domains of the recipients, and asks about those that are new if the relay is being asked about.
fn add_recipients(record: &mut Record, recipients: &Recipients<'_>, outcome: &mut Outcome) {
    let new = record.add_recipients(recipients);
    let Some(asked) = record.standing_if_any().and_then(|standing| standing.work.asked_mut())
    else {
        return;
    };
    let questions = new.iter().filter_map(|domain| asked.add_domain(domain));
    outcome.effects.extend(questions.map(Effect::Ask));
}

/// sendmail itself has found TLSA records for the relay: an entry must not be, and one that is goes.
fn on_dane_warning(state: &mut State, relay: &Relay<'_>, now: Timestamp, outcome: &mut Outcome) {
    let record = state.relays.get_or_insert_with(relay.as_str(), Record::default);
    record.last_seen = seconds(now);
    let standing = record.standing();
    let told = standing.dane_warned.is_some_and(|warned| seconds(now) < warned + 86_400);
    standing.dane_warned = Some(seconds(now));
    let hold = Hold::DaneWarned(now);
    if record.is_decided() {
        return withdraw::withdraw(state, relay, hold, now, outcome);
    }
    if !told {
        candidate::hold_back(state, relay, hold, now, outcome);
    }
}

/// The entry as it is written, from now on, for as long as the rules say.
pub(crate) fn managed(
    rules: &Rules,
    relay: &Relay<'_>,
    entry: Tagged,
    why: &str,
    now: Timestamp,
) -> Managed {
    let life = rules.life.of(RelayRemedy::of(&entry).unwrap_or_default());
    let until = life.until(seconds(now));
    Managed {
        remedy: entry.remedy,
        key: entry.key,
        relay: relay.as_str().into(),
        why: why.to_owned(),
        since: whole(now),
        until: (until != u32::MAX).then(|| moment(until)),
    }
}
