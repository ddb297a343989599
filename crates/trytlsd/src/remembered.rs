//! What the ledger says at the start: the heart as it was, and how far the logs were read.
//!
//! **What fails.** Rows read back are text that others may have written: what cannot be read as what it should be is
//! passed over and said, and the log and our block of the access file tell it again.

use std::collections::HashMap;

use jiff::Timestamp;
use ledger::{Loaded, Request, StsRow, Success};
use policy::adoption::Adopted;
use policy::alarm::Alarm;
use policy::clients::Client;
use policy::fact::{Sts, StsMode};
use policy::halt::{Halt, HaltKind};
use policy::handshake::Handshake;
use policy::record::Saved;
use policy::rules::Rules;
use policy::state::State;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::notice::Told;

/// The name of the note that says what the access file was outside of our block.
pub(crate) const REST: &str = "rest of the access file";

/// The name of the note that says what the clock said lately.
pub(crate) const CLOCK: &str = "clock";

/// The name of the note with the alarms that were raised and have not ended.
pub(crate) const ALARMS: &str = "alarms";

/// The name of the note that says that an operator has halted what is decided.
pub(crate) const HALT: &str = "halt";

/// The name of the note that says when our block was last put back.
pub(crate) const PUT_BACK: &str = "put back";

/// The name of the note that says how the daemon was started: see [`Run`].
pub(crate) const RUN: &str = "run";

/// The name of the note that says what was told by notices.
pub(crate) const NOTICES: &str = "notices";

/// How the daemon was started last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// When.
    pub(crate) since: Timestamp,
    /// Whether it only shows what it would write.
    pub(crate) dry_run: bool,
}

/// What the name of a client's row begins with, before its address: a relay's text holds no blank.
pub(crate) const CLIENT: &str = "client ";

/// What the name of an adoption's row begins with, before its relay.
pub(crate) const ADOPTED: &str = "adopted ";

/// What the ledger said at the start.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) relays: Vec<(Box<str>, Saved)>,
    pub(crate) clients: Vec<(Box<str>, Client)>,
    /// Lines of the admin's that are adopted, by relay.
    pub(crate) adoptions: Vec<(Box<str>, Adopted)>,
    pub(crate) successes: Vec<(Box<str>, policy::successes::Success)>,
    /// The place in each log, as the reader puts it.
    pub(crate) places: HashMap<String, String>,
    /// The attempts of each log that wait for their delivery line, as the reader puts them.
    pub(crate) pending: HashMap<String, String>,
    /// What the access file was outside of our block when it was last looked at.
    pub(crate) rest: Option<String>,
    /// When our block was last put back.
    pub(crate) put_back: Option<Timestamp>,
    /// The alarms that were raised and had not ended.
    pub(crate) alarms: Vec<Alarm>,
    /// How the daemon was started last.
    pub(crate) run: Option<Run>,
    /// An operator's word that nothing is to be decided for now.
    pub(crate) halt: Option<Halt>,
    /// What was told by notices.
    pub(crate) told: Told,
    /// What the clock said lately.
    pub(crate) clock: Option<Timestamp>,
    /// The MTA-STS policies, by domain.
    pub(crate) policies: Vec<(Box<str>, Sts)>,
    /// What operators asked for and nobody has answered, the oldest first.
    pub(crate) requests: Vec<Request>,
}

impl Remembered {
    /// The heart as it was. Takes what it is made of.
    pub(crate) fn state(&mut self, rules: Rules) -> State {
        let relays = std::mem::take(&mut self.relays);
        State::restored(rules, relays, std::mem::take(&mut self.successes))
            .with_clients(std::mem::take(&mut self.clients))
            .with_adoptions(std::mem::take(&mut self.adoptions))
            .with_put_back(self.put_back)
            .with_clock(self.clock)
            .with_alarms(std::mem::take(&mut self.alarms))
            .with_halt(self.halt.clone())
    }
}

impl From<Loaded> for Remembered {
    fn from(loaded: Loaded) -> Self {
        let mut unreadable = 0;
        let mut relays = Vec::with_capacity(loaded.relays.len());
        let (mut clients, mut adoptions) = (Vec::new(), Vec::new());
        for (relay, record) in loaded.relays {
            if let Some(address) = relay.strip_prefix(CLIENT) {
                match serde_json::from_str(&record) {
                    Ok(client) => clients.push((address.into(), client)),
                    Err(_) => unreadable += 1,
                }
                continue;
            }
            if let Some(relay) = relay.strip_prefix(ADOPTED) {
                match serde_json::from_str(&record) {
                    Ok(adopted) => adoptions.push((relay.into(), adopted)),
                    Err(_) => unreadable += 1,
                }
                continue;
            }
            match serde_json::from_str(&record) {
                Ok(saved) => relays.push((relay.into(), saved)),
                Err(_) => unreadable += 1,
            }
        }
        if unreadable > 0 {
            warn!(unreadable, "records in the ledger cannot be read; what they said is lost");
        }
        let success = |(relay, last): (String, Success)| {
            let second = last.seen.try_into().ok()?;
            let handshake = Handshake::of(&last.version, &last.verify);
            Some((relay.into(), policy::successes::Success { second, handshake }))
        };
        let mut notes: HashMap<String, String> = loaded.notes.into_iter().collect();
        let clock: Option<i64> = notes.remove(CLOCK).and_then(|text| text.parse().ok());
        let put_back = notes.remove(PUT_BACK).and_then(|text| text.parse().ok());
        Self {
            relays,
            clients,
            adoptions,
            successes: loaded.successes.into_iter().filter_map(success).collect(),
            places: loaded.places.into_iter().collect(),
            pending: loaded.pending.into_iter().collect(),
            rest: notes.remove(REST),
            run: notes.remove(RUN).and_then(|text| serde_json::from_str(&text).ok()),
            alarms: notes
                .remove(ALARMS)
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
            told: notes.remove(NOTICES).and_then(|text| Told::of_text(&text)).unwrap_or_default(),
            halt: notes.remove(HALT).map(|text| halt_of(&text)),
            put_back: put_back.and_then(|second| Timestamp::from_second(second).ok()),
            clock: clock.and_then(|second| Timestamp::from_second(second).ok()),
            policies: loaded.policies.into_iter().filter_map(sts_of).collect(),
            requests: loaded.requests,
        }
    }
}

/// What cannot be read was a halt all the same: better to wait for a word than to act against one.
fn halt_of(text: &str) -> Halt {
    let who = "a note in the ledger that cannot be read".into();
    serde_json::from_str(text).unwrap_or(Halt { kind: HaltKind::Paused, since: 0, who })
}

/// The words of RFC 8461, section 3.2.
const MODES: [(StsMode, &str); 3] =
    [(StsMode::Enforce, "enforce"), (StsMode::Testing, "testing"), (StsMode::None, "none")];

/// The policy as a row.
pub(crate) fn sts_row(domain: &str, sts: &Sts) -> StsRow {
    let mode = MODES.iter().find(|(mode, _)| *mode == sts.mode).map_or("", |(_, word)| word);
    StsRow {
        domain: domain.to_owned(),
        mode: mode.to_owned(),
        id: sts.id.to_string(),
        fetched: sts.fetched.as_second(),
        until: sts.until.as_second(),
    }
}

/// What cannot be read is passed over: it is fetched again.
fn sts_of(row: StsRow) -> Option<(Box<str>, Sts)> {
    let (mode, _) = MODES.iter().find(|(_, word)| *word == row.mode)?;
    let moment = |second| Timestamp::from_second(second).ok();
    let (fetched, until) = (moment(row.fetched)?, moment(row.until)?);
    Some((row.domain.into(), Sts { mode: *mode, id: row.id.into(), fetched, until }))
}
