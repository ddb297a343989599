//! What becomes of an adopted line: looks at the file, probes, its use, and its taking out.

use std::net::IpAddr;

use access::lookup::Entries;
use jiff::Timestamp;
use maillog::event::{End, TryTls};
use maillog::relay::Relay;

use super::word::{entry, tell};
use super::{Adopted, AdoptionChange, AdoptionEnding, LineNews};
use crate::fact::Answer;
use crate::guard::{off_limits, quoted};
use crate::hold::Line;
use crate::input::{Change, Effect};
use crate::life::{Next, Probed};
use crate::moment::seconds;
use crate::state::State;
use crate::step::Outcome;

/// Compares what is adopted with the file as it was found. `first`: at the start, when a taking out may have been under way.
pub(crate) fn on_look(state: &mut State, admins: &Entries, first: bool, outcome: &mut Outcome) {
    for relay in state.adoptions.relays(|_| true) {
        let Some(adopted) = state.adoptions.get(&relay) else { continue };
        let line = adopted.line.clone();
        let ending = match entry(admins, adopted) {
            Some(hit) if hit.raw == line.as_bytes() => {
                if first && adopted.lifting {
                    again(state, &relay, outcome);
                }
                continue;
            }
            Some(hit) => AdoptionEnding::Changed(quoted(&hit)),
            None if adopted.lifting => AdoptionEnding::Lifted(line),
            None => AdoptionEnding::Gone(line),
        };
        over(state, &relay, ending, outcome);
    }
}

fn over(state: &mut State, relay: &str, ending: AdoptionEnding, outcome: &mut Outcome) {
    state.adoptions.remove(relay);
    let Some(relay) = parsed(relay) else { return };
    tell(&relay, AdoptionChange::Ended(ending), outcome);
}

/// Asks once more for the line to be taken out.
fn again(state: &State, relay: &str, outcome: &mut Outcome) {
    let adopted = state.adoptions.get(relay).filter(|adopted| adopted.lifting);
    let (Some(relay), Some(adopted)) = (parsed(relay), adopted) else { return };
    outcome.effects.push(Effect::TakeOut(relay, adopted.admins_line()));
}

/// What could not be taken out, or was not answered, is asked for again.
pub(crate) fn retry(state: &State, outcome: &mut Outcome) {
    for relay in state.adoptions.relays(|adopted| adopted.lifting) {
        again(state, &relay, outcome);
    }
}

/// What became of the taking out.
pub(crate) fn hear(
    state: &mut State,
    relay: &Relay<'static>,
    news: LineNews,
    outcome: &mut Outcome,
) {
    let Some(adopted) = state.adoptions.get_mut(relay.as_str()).filter(|a| a.lifting) else {
        return;
    };
    match news {
        LineNews::TakenOut => {
            let ending = AdoptionEnding::Lifted(adopted.line.clone());
            over(state, relay.as_str(), ending, outcome);
        }
        LineNews::Withheld => {
            adopted.lifting = false;
            let adopted = adopted.clone();
            let line = line(state, &adopted);
            tell(relay, AdoptionChange::Withheld(line), outcome);
        }
        LineNews::Stays(why) => {
            adopted.lifting = false;
            tell(relay, AdoptionChange::Stays(why), outcome);
        }
        LineNews::Failed(why) => {
            if adopted.trouble.replace(why.clone()).as_ref() != Some(&why) {
                tell(relay, AdoptionChange::Stays(why), outcome);
            }
        }
    }
}

/// Starts the probes that are due.
pub(crate) fn on_tick(state: &mut State, now: Timestamp, outcome: &mut Outcome) {
    if !state.live || state.is_halted() {
        return;
    }
    let second = seconds(now);
    for name in state.adoptions.relays(|adopted| adopted.life.is_due(second)) {
        let Some(relay) = parsed(&name) else { continue };
        if off_limits(state, &relay, now).is_some() {
            continue;
        }
        let Some(adopted) = state.adoptions.get_mut(&name) else { continue };
        adopted.life.probing(second);
        let at = adopted.key.address().into_iter().collect();
        outcome.effects.push(Effect::Probe(relay, at, second));
    }
}

/// What the probe found that began then, if it is one of ours.
pub(crate) fn on_probed(
    state: &mut State,
    relay: &Relay<'static>,
    began: u32,
    probed: &Probed,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let awaited = |adopted: &Adopted| adopted.life.awaits(began);
    if !state.adoptions.get(relay.as_str()).is_some_and(awaited) {
        return;
    }
    let Some(adopted) = state.adoptions.get_mut(relay.as_str()) else { return };
    let rules = state.rules.life.of_the_admins();
    let next = adopted.life.probed(&rules, relay.as_str(), probed.clone(), seconds(now));
    outcome.changes.push(Change::Probed(relay.clone(), probed.clone()));
    let was = adopted.mended;
    match probed {
        Probed::Good if next == Next::Lift => {
            adopted.life.rest(relay.as_str(), seconds(now));
            if was == 0 {
                adopted.mended = seconds(now);
                let adopted = adopted.clone();
                let line = line(state, &adopted);
                tell(relay, AdoptionChange::Mended(line), outcome);
            }
        }
        Probed::Broken { .. } => adopted.mended = 0,
        Probed::Good | Probed::Unreached => {}
    }
}

/// sendmail used an entry: one by name for that relay, one by address for whatever relay is there.
pub(crate) fn on_use(state: &mut State, used: &TryTls<'_>, now: Timestamp) {
    let at = |address: IpAddr| {
        used.address.is_some_and(|used| used.to_canonical() == address.to_canonical())
    };
    let is_used = |relay: &str, adopted: &Adopted| {
        adopted.key.address().map_or(relay == used.relay.as_str(), at)
            || relay == used.relay.as_str()
    };
    let relays: Vec<Box<str>> = state
        .adoptions
        .iter()
        .filter(|(relay, adopted)| is_used(relay, adopted))
        .map(|(relay, _)| relay.into())
        .collect();
    for relay in relays {
        if let Some(adopted) = state.adoptions.get_mut(&relay) {
            adopted.life.used(seconds(now));
        }
    }
}

/// What became of mail for which the line was used.
pub(crate) fn on_freed(state: &mut State, relay: &Relay<'_>, end: End) {
    if let Some(adopted) = state.adoptions.get_mut(relay.as_str()) {
        adopted.life.freed(end);
    }
}

/// The line with its number, as the file has it now.
pub(super) fn line(state: &State, adopted: &Adopted) -> Line {
    let hit = match &state.admin {
        Answer::Known(entries) => entry(entries, adopted),
        Answer::Unknown(_) | Answer::NotAsked => None,
    };
    hit.map_or_else(|| Line { number: 0, text: adopted.line.clone() }, |hit| quoted(&hit))
}

fn parsed(relay: &str) -> Option<Relay<'static>> {
    Relay::parse(relay.as_bytes()).map(Relay::into_owned)
}
