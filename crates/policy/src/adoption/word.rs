//! What an operator says: adopt a line, end that, take the line out.

use access::key::Key;
use access::lookup::{Entries, Hit, Step, Tag, lookup};
use jiff::Timestamp;
use maillog::relay::{Form, Relay};

use super::{Adopted, AdoptionChange, AdoptionEnding, MOST, Word, way};
use crate::fact::Answer;
use crate::guard::quoted;
use crate::hold::Line;
use crate::input::{Change, Effect};
use crate::life::Life;
use crate::map;
use crate::moment::seconds;
use crate::state::State;
use crate::step::Outcome;

/// Why what was asked for is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody knows what the admin has written.
    #[error("the access file is unknown: {0}")]
    AccessUnknown(Box<str>),
    /// It has an entry of ours.
    #[error("its entry is trytlsd's own: it is probed already, and goes by itself")]
    Ours,
    /// There is nothing to adopt.
    #[error("sendmail finds no Try_TLS: line of yours for it{}", by_address(*named))]
    Nothing {
        /// Whether a line by address may be meant, which is not known of the relay.
        named: bool,
    },
    /// The line that sendmail finds leaves TLS on.
    #[error("{0}, and with that sendmail tries TLS: there is nothing to look after")]
    TlsIsOn(Line),
    /// The line acts on more than this relay.
    #[error("{0}, and that acts on other hosts too ({1}): it cannot be adopted for one relay")]
    ActsOnOthers(Line, &'static str),
    /// The line cannot be told apart with certainty.
    #[error(
        "{0}, and that is not written as trytlsd writes a key: write Try_TLS: and a plain name or address"
    )]
    OddLine(Line),
    /// It is adopted already.
    #[error("{0}, and that is adopted already, for {1}")]
    Already(Line, Box<str>),
    /// There are too many.
    #[error("{MOST} lines are adopted already; more are not")]
    TooMany,
    /// To end: there is none.
    #[error("no line is adopted for it")]
    NotAdopted,
    /// To lift: the line is the admin's, and not adopted.
    #[error("it has no entry of trytlsd's, and {0}, which is yours and stays; {1}")]
    Yours(Line, &'static str),
}

fn by_address(named: bool) -> &'static str {
    if named {
        "; one by address is adopted as the address, for instance '[192.0.2.25]'"
    } else {
        ""
    }
}

/// The line of the admin's that would be adopted for the relay.
struct Adoptable {
    key: Key,
    text: Box<str>,
    line: Line,
}

/// Adopts the line of the admin's that turns TLS off for the relay.
pub(crate) fn adopt(
    state: &mut State,
    relay: &Relay<'static>,
    word: Word,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    let Adoptable { key, text, line } = match find(state, relay) {
        Ok(adoptable) => adoptable,
        Err(refusal) => return tell(relay, AdoptionChange::Refused(refusal), outcome),
    };
    let rules = state.rules.life.of_the_admins();
    let adopted = Adopted {
        key,
        line: text,
        word: word.clone(),
        life: Life::begin(&rules, relay.as_str(), None, seconds(now)),
        mended: 0,
        lifting: false,
        trouble: None,
    };
    state.adoptions.put(relay.as_str(), adopted);
    tell(relay, AdoptionChange::Adopted(line, word), outcome);
}

/// Why the relay's line would not be adopted, if it would not.
pub fn refusal(state: &State, relay: &Relay<'_>) -> Option<Refusal> {
    find(state, relay).err()
}

/// The line of the admin's that could be adopted for the relay, in words.
pub fn adoptable(state: &State, relay: &Relay<'_>) -> Option<String> {
    find(state, relay).ok().map(|adoptable| adoptable.line.to_string())
}

fn find(state: &State, relay: &Relay<'_>) -> Result<Adoptable, Refusal> {
    let Some(hit) = found(state, relay)? else {
        let ours = state.record(relay.as_str()).is_some_and(|record| record.is_decided());
        let named = !matches!(relay.form(), Form::Address(_));
        return Err(if ours { Refusal::Ours } else { Refusal::Nothing { named } });
    };
    let line = quoted(&hit);
    if !hit.turns_tls_off() {
        return Err(Refusal::TlsIsOn(line));
    }
    let others = match hit.step {
        Step::Parent => Some("all below that domain"),
        Step::Prefix => Some("all of that network"),
        Step::Bare => Some("every host"),
        Step::Name | Step::Address => None,
    };
    if let Some(others) = others {
        return Err(Refusal::ActsOnOthers(line, others));
    }
    let key = hit.key.split(|&b| b == b':').next().map_or(0, |tag| tag.len() + 1);
    let key = hit.key.get(key..).and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
    let (Some(key), Ok(text)) = (key, std::str::from_utf8(hit.raw)) else {
        return Err(Refusal::OddLine(line));
    };
    if let Key::Name(name) = &key
        && state.covers_others(name)
    {
        return Err(Refusal::ActsOnOthers(line, "some below that name are known"));
    }
    if let Some(adopted) = state.adoptions.get(relay.as_str()) {
        return Err(Refusal::Already(way::line(state, adopted), relay.as_str().into()));
    }
    if let Some((relay, _)) = state.adoptions.iter().find(|(_, adopted)| adopted.key == key) {
        return Err(Refusal::Already(line, relay.into()));
    }
    if state.adoptions.table.len() >= MOST {
        return Err(Refusal::TooMany);
    }
    Ok(Adoptable { key, text: text.into(), line })
}

/// What sendmail finds among the admin's lines for the relay, at the addresses that are known of it.
fn found<'a>(state: &'a State, relay: &Relay<'_>) -> Result<Option<Hit<'a>>, Refusal> {
    let entries = match &state.admin {
        Answer::Known(entries) => entries,
        Answer::Unknown(why) => return Err(Refusal::AccessUnknown(why.clone())),
        Answer::NotAsked => return Err(Refusal::AccessUnknown("it was not looked at".into())),
    };
    let seen = state.record(relay.as_str()).map(|record| record.evidence.addresses());
    let own = match relay.form() {
        Form::Address(address) => Some(address),
        Form::Name(_) | Form::Bracketed(_) | Form::Odd => None,
    };
    let at = |address| lookup(entries, Tag::TryTls, relay.as_str(), address);
    let addresses = own.into_iter().chain(seen.unwrap_or_default());
    let hits: Vec<Hit<'_>> = addresses.filter_map(|a| at(Some(a))).chain(at(None)).collect();
    let exact = |hit: &&Hit<'_>| matches!(hit.step, Step::Name | Step::Address);
    Ok(hits.iter().find(exact).or(hits.first()).copied())
}

/// The adoption ends; the line stays.
pub(crate) fn end(state: &mut State, relay: &Relay<'static>, outcome: &mut Outcome) {
    let Some(adopted) = state.adoptions.remove(relay.as_str()) else {
        return tell(relay, AdoptionChange::Refused(Refusal::NotAdopted), outcome);
    };
    let line = way::line(state, &adopted);
    tell(relay, AdoptionChange::Ended(AdoptionEnding::OnWord(line)), outcome);
}

/// An operator lifts (no moment), or holds until then. What is adopted is taken out by a lift only: to hold says what is to
/// be made, and nothing of what the admin has written.
pub(crate) fn lift_on_word(
    state: &mut State,
    relay: &Relay<'static>,
    until: Option<u32>,
    now: Timestamp,
    outcome: &mut Outcome,
) {
    if until.is_none() {
        if let Some(refusal) = lift_refusal(state, relay) {
            return tell(relay, AdoptionChange::Refused(refusal), outcome);
        }
        let ends = state.rules.hold_off_until(now);
        take_out(state, relay, ends, outcome);
    }
    map::lift_on_word(state, relay, until, now, outcome);
}

/// Why nothing is there to be lifted: the line that turns TLS off for the relay is the admin's, and not adopted.
pub fn lift_refusal(state: &State, relay: &Relay<'_>) -> Option<Refusal> {
    let ours = state.record(relay.as_str());
    let ours = ours.is_some_and(|record| record.is_decided() || !record.removing().is_empty());
    if ours || state.adoptions.get(relay.as_str()).is_some() {
        return None;
    }
    let hit = found(state, relay).ok().flatten().filter(Hit::turns_tls_off)?;
    let advice = match refusal(state, relay) {
        None => "have it adopted (trytlsd adopt) and lift it then, or take it out yourself",
        Some(_) => "take it out yourself",
    };
    Some(Refusal::Yours(quoted(&hit), advice))
}

fn take_out(state: &mut State, relay: &Relay<'static>, ends: u32, outcome: &mut Outcome) {
    let Some(adopted) = state.adoptions.get_mut(relay.as_str()) else { return };
    (adopted.lifting, adopted.trouble) = (true, None);
    let adopted = adopted.clone();
    let line = way::line(state, &adopted);
    tell(relay, AdoptionChange::TakingOut(line, ends), outcome);
    outcome.effects.push(Effect::TakeOut(relay.clone(), adopted.admins_line()));
}

pub(super) fn tell(relay: &Relay<'static>, change: AdoptionChange, outcome: &mut Outcome) {
    outcome.changes.push(Change::Adoption(relay.clone(), change));
}

/// The entry of the file for what is adopted, if there is one.
pub(super) fn entry<'a>(entries: &'a Entries, adopted: &Adopted) -> Option<Hit<'a>> {
    entries.try_tls(&adopted.key)
}
