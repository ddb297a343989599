//! A relay's story: each line is an input, what comes of it stands below.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "test code, though outside of the test functions")]

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use access::lookup::Entries;
use access::managed::Managed;
use access::remedy::Tagged;
use jiff::Timestamp;
use maillog::event::{
    Attempt, Cause, CauseKind, Event, Fault, Recipients, Stuck, Success, TryTls, Waiting, What,
};
use maillog::relay::Relay;
use maillog::stamp::Stamp;
use policy::adoption::{AdoptionChange, AdoptionEnding, LineNews};
use policy::clients::{Became, ClientChange, ClientEdit, ClientNews};
use policy::fact::{Answer, Fact, Ptr, PtrName, Question, Sts, Tlsa};
use policy::input::{Change, Edit, Effect, Input, Look, MapState};
use policy::life::Probed;
use policy::rules::Rules;
use policy::state::State;
use policy::step::{Outcome, step};

pub(crate) mod fleet;

pub(crate) struct Story {
    pub(crate) state: State,
    pub(crate) minute: i64,
    pub(crate) dry_run: bool,
    pub(crate) map_fails: bool,
    /// Edits wait in `ordered` until [`Story::answer`].
    pub(crate) map_is_slow: bool,
    pub(crate) ordered: Vec<Edit>,
    /// The probe that began last, by relay.
    pub(crate) began: HashMap<String, u32>,
    /// Others change the file before the next entry of a client is written.
    pub(crate) map_overtaken: bool,
    /// The test itself says what becomes of an entry of a client.
    pub(crate) clients_wait: bool,
    pub(crate) told: Vec<String>,
    /// What the error line before an attempt says.
    pub(crate) cause: CauseKind,
    /// To whom mail is stuck.
    pub(crate) to: Vec<&'static str>,
    /// Whether DNS answers at once that an address has no PTR.
    pub(crate) no_ptr: bool,
    /// Probes that began and were not answered, by relay.
    pub(crate) probing: Vec<String>,
    /// Rows to be written into the directory, and taken out.
    pub(crate) votes: Vec<Effect>,
    /// What DNS says of TLSA records.
    pub(crate) tlsa: Answer<Tlsa>,
    /// What DNS says of a relay's addresses, where the log told none.
    pub(crate) addresses: Answer<Vec<IpAddr>>,
    /// What each domain's MTA-STS is; none where it is not named.
    pub(crate) sts: HashMap<&'static str, Answer<Option<Sts>>>,
}

impl Story {
    pub(crate) fn new(rules: Rules) -> Self {
        let never = policy::never::NeverList(vec!["127.0.0.0/8".parse().unwrap()]);
        let rules = Rules { never, ..rules };
        Self {
            state: State::new(rules),
            minute: 0,
            dry_run: false,
            map_fails: false,
            map_is_slow: false,
            ordered: vec![],
            began: HashMap::new(),
            map_overtaken: false,
            clients_wait: false,
            told: vec![],
            cause: CauseKind::Handshake,
            to: vec![],
            no_ptr: false,
            probing: vec![],
            votes: vec![],
            tlsa: Answer::Known(Tlsa::Absent),
            addresses: Answer::Known(vec![]),
            sts: HashMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.minute * 60).unwrap()
    }

    pub(crate) fn wait(&mut self, minutes: i64) -> &mut Self {
        self.minute += minutes;
        self
    }

    pub(crate) fn event(&mut self, what: What<'_>) -> &mut Self {
        let event =
            Event { stamp: Stamp::Full(self.now()), host: "mx1".into(), pid: 7, line: b"", what };
        self.input(Input::Event(&event))
    }

    pub(crate) fn stuck_as(
        &mut self,
        fault: Fault,
        code: u16,
        relay: &str,
        address: &str,
    ) -> &mut Self {
        let relay = Relay::parse(relay.as_bytes()).unwrap();
        let cause = Some(Cause { kind: self.cause, reason: "it broke".into() });
        let attempt = Attempt { relay, fault, code, cause };
        let address = (!address.is_empty()).then(|| address.parse().unwrap());
        let queue_id = "6AN00000000001".into();
        let recipients = self.recipients();
        self.event(What::Attempt(attempt.clone()));
        self.event(What::Stuck(Box::new(Stuck { attempt, address, queue_id, recipients })))
    }

    fn recipients(&self) -> Recipients<'static> {
        Recipients { list: self.to.iter().map(|to| (*to).into()).collect(), more: false }
    }

    /// A further message waits for the relay.
    pub(crate) fn waiting(&mut self, relay: &str) -> &mut Self {
        let relay = Relay::parse(relay.as_bytes()).unwrap();
        let recipients = self.recipients();
        let queue_id = "6AN00000000002".into();
        self.event(What::Waiting(Waiting { relay, queue_id, recipients }))
    }

    pub(crate) fn stuck(&mut self, relay: &str, address: &str) -> &mut Self {
        self.stuck_as(Fault::Software, 454, relay, address)
    }

    pub(crate) fn success(&mut self, relay: &str) -> &mut Self {
        let relay = Relay::parse(relay.as_bytes()).unwrap();
        self.event(What::Success(Success { relay, version: "TLSv1.3".into(), verify: "OK".into() }))
    }

    /// sendmail warns that DANE is configured for it.
    pub(crate) fn dane_warning(&mut self, relay: &str) -> &mut Self {
        self.event(What::DaneWarning(Relay::parse(relay.as_bytes()).unwrap()))
    }

    /// sendmail uses its entry.
    pub(crate) fn uses(&mut self, relay: &str) -> &mut Self {
        let relay = Relay::parse(relay.as_bytes()).unwrap();
        self.event(What::TryTls(TryTls { relay, address: None }))
    }

    pub(crate) fn ptr(&mut self, address: &str, name: &str) -> &mut Self {
        let names = match name {
            "" => vec![],
            name => vec![PtrName { name: name.into(), confirmed: true }],
        };
        let fact = Fact::Ptr(address.parse().unwrap(), Answer::Known(Ptr { names }));
        self.input(Input::Fact(fact))
    }

    pub(crate) fn input(&mut self, input: Input<'_>) -> &mut Self {
        let now = self.now();
        let outcome = step(&mut self.state, input, now);
        self.tell(outcome)
    }

    /// Tells what came of it, and plays the map: edits are written, withheld or fail.
    pub(crate) fn tell(&mut self, outcome: Outcome) -> &mut Self {
        for change in &outcome.changes {
            self.told.push(match change {
                Change::Candidate(relay, weight) => {
                    format!("candidate {relay}: {} in {:#}", weight.stuck, weight.span)
                }
                Change::Held(relay, hold) => format!("held {relay}: {hold}"),
                Change::Proposed(relay, keys) => format!("proposed {relay}: {}", list(keys)),
                Change::Active(relay, keys) => format!("active {relay}: {}", list(keys)),
                Change::Joined(relay, keys) => format!("joined {relay}: {}", list(keys)),
                Change::Proven(relay, proof) => format!("proof {relay}: {proof:?}"),
                Change::Lifted(relay, keys, until) => {
                    let days = (i64::from(*until) - self.now().as_second()) / 86_400;
                    format!("lifted {relay}: {} for {days} days", list(keys))
                }
                Change::Replaced(relay, keys) => format!("replaced {relay}: {}", list(keys)),
                Change::Wiped(relay, keys) => format!("wiped {relay}: {}", list(keys)),
                Change::PutBack(relay, keys) => format!("put back {relay}: {}", list(keys)),
                Change::Cleared(relay) => format!("cleared {relay}"),
                Change::Approved(relay, approval) => format!("approved {relay}: {}", approval.who),
                Change::Refused(relay, hold, _) => format!("refused {relay}: {hold}"),
                Change::Withdrawn(relay, keys, hold) => {
                    format!("withdrawn {relay}: {}: {hold}", list(keys))
                }
                Change::Probed(relay, Probed::Good) => format!("probed {relay}: good"),
                Change::Probed(relay, Probed::Unreached) => format!("probed {relay}: unreached"),
                Change::Probed(relay, Probed::Broken { how, .. }) => {
                    format!("probed {relay}: {how}")
                }
                Change::Renewed(relay, keys, until) => {
                    let days = (i64::from(*until) - self.now().as_second()) / 86_400;
                    format!("renewed {relay}: {} for {days} days", list(keys))
                }
                Change::Over(relay, keys, ending) => {
                    format!("over {relay}: {}: {ending:?}", list(keys))
                }
                Change::Adoption(relay, change) => adoption(&relay.to_string(), change),
                Change::Client(address, change) => client(*address, change, self.now()),
                Change::Halted(halt) => format!("{} by {}", halt.kind.word(), halt.who),
                Change::WentOn(halt) => format!("no longer {}", halt.kind.word()),
                Change::Raised(alarm) => format!("alarm: {}", alarm.says),
                Change::Ended(about) => format!("alarm ended: {about:?}"),
            });
        }
        for effect in outcome.effects {
            match effect {
                Effect::Ask(Question::Tlsa(name)) => {
                    let fact = Fact::Tlsa(name, self.tlsa.clone());
                    self.input(Input::Fact(fact));
                }
                Effect::Ask(Question::Sts(domain)) => {
                    let known = self.sts.get(&*domain).cloned();
                    let fact = Fact::Sts(domain, known.unwrap_or(Answer::Known(None)));
                    self.input(Input::Fact(fact));
                }
                Effect::Ask(Question::Addresses(name)) => {
                    let answer = self.addresses.clone();
                    self.input(Input::Fact(Fact::Addresses(name, answer)));
                }
                Effect::Ask(Question::Ptr(address)) if self.no_ptr => {
                    let none = Answer::Known(Ptr::default());
                    self.input(Input::Fact(Fact::Ptr(address, none)));
                }
                Effect::Ask(question) => self.told.push(format!("ask {question:?}")),
                Effect::Probe(relay, addresses, began) => {
                    self.began.insert(relay.to_string(), began);
                    self.probing.push(relay.to_string());
                    self.told.push(format!("probe {relay} {addresses:?}"));
                }
                Effect::Vote(_) | Effect::Unvote(_) => self.votes.push(effect),
                Effect::Flush(relay, ids) => {
                    self.told.push(format!("flush {relay} {}", ids.join(" ")));
                }
                Effect::ProveClient(address, name) => {
                    let name = name.map_or(String::new(), |name| format!(" {name}"));
                    self.told.push(format!("prove client {address}{name}"));
                }
                Effect::EditClient(ClientEdit::Add(address, managed)) => {
                    let overtaken = std::mem::take(&mut self.map_overtaken);
                    let became = match (self.map_fails, self.dry_run) {
                        _ if overtaken => Became::Overtaken,
                        (true, _) => Became::Failed("disk full".into()),
                        (_, true) => Became::Withheld,
                        _ => Became::Written,
                    };
                    self.told.push(format!(
                        "+ {} until {}",
                        managed.line(),
                        managed.until.is_some()
                    ));
                    if !self.clients_wait {
                        self.input(Input::Client(ClientNews::Map(address, became)));
                    }
                }
                Effect::EditClient(ClientEdit::Remove(address, entry)) => {
                    self.told.push(format!("- {entry}"));
                    if !self.map_fails {
                        self.input(Input::Client(ClientNews::Map(address, Became::Removed)));
                    }
                }
                Effect::TakeOut(relay, line) => {
                    self.told.push(format!("take out {:?}", line.text));
                    let news = match (self.map_fails, self.dry_run) {
                        (true, _) => LineNews::Failed("disk full".into()),
                        (_, true) => LineNews::Withheld,
                        _ => LineNews::TakenOut,
                    };
                    if !self.map_is_slow {
                        self.input(Input::Line(relay, news));
                    }
                }
                Effect::Prove(relay, ..) => self.told.push(format!("prove {relay}")),
                Effect::Edit(edit) => {
                    let keys: Vec<_> = edit.add.iter().map(Managed::tagged).collect();
                    self.told.push(format!("edit +{} -{}", list(&keys), list(&edit.remove)));
                    match self.map_is_slow {
                        true => self.ordered.push(edit),
                        false => self.answer_edit(edit),
                    }
                }
            }
        }
        self
    }

    /// The map answers all that it was ordered while it was slow.
    pub(crate) fn answer(&mut self) -> &mut Self {
        self.map_is_slow = false;
        std::mem::take(&mut self.ordered).into_iter().for_each(|edit| self.answer_edit(edit));
        self
    }

    pub(crate) fn answer_edit(&mut self, edit: Edit) {
        let Edit { relay, add, remove } = edit;
        let keys: Vec<_> = add.iter().map(Managed::tagged).collect();
        let failed = self.map_fails;
        let answer = match (keys.is_empty(), self.dry_run) {
            (true, _) if failed => MapState::Failed(relay, remove, "disk full".into()),
            (true, _) => MapState::Removed(relay, remove),
            _ if failed => MapState::Failed(relay, keys, "disk full".into()),
            (_, true) => MapState::Withheld(relay, keys),
            _ => MapState::Written(relay, keys),
        };
        self.input(Input::Map(answer));
    }

    /// What the last probe of the relay found: good, unreached, or in which way it was broken.
    pub(crate) fn probed(&mut self, relay: &str, found: &str) -> &mut Self {
        let began = self.began.get(relay).copied().unwrap_or(0);
        self.probed_since(relay, began, found)
    }

    /// What the probe found that began then.
    pub(crate) fn probed_since(&mut self, relay: &str, began: u32, found: &str) -> &mut Self {
        let relay = Relay::parse(relay.as_bytes()).unwrap().into_owned();
        let probed = match found {
            "good" => Probed::Good,
            "unreached" => Probed::Unreached,
            how => Probed::Broken { how: how.into(), strong: how != "timeout" },
        };
        self.input(Input::Probed(relay, began, probed))
    }

    /// Minutes pass, with a tick at the end of each.
    pub(crate) fn tick(&mut self, minutes: i64) -> &mut Self {
        for _ in 0..minutes {
            self.wait(1).input(Input::Tick);
        }
        self
    }

    /// Ticks until something is told, which is that this probe is wanted; after how many minutes that is.
    pub(crate) fn until_probe(&mut self, probe: &str) -> i64 {
        for minutes in 1..40 * 24 * 60 {
            self.tick(1);
            if !self.told.is_empty() {
                self.expect(&[probe]);
                return minutes;
            }
        }
        panic!("no probe in 40 days")
    }

    pub(crate) fn expect(&mut self, expect: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.told), expect);
        self
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told.join("\n"))
    }
}

/// What is told of a client.
fn client(address: IpAddr, change: &ClientChange, now: Timestamp) -> String {
    let what = match change {
        ClientChange::Candidate(weight) => {
            format!("candidate {} in {:#}", weight.stuck, weight.span)
        }
        ClientChange::Held(hold) => format!("held {hold}"),
        ClientChange::Proposed(entry) => format!("proposed {entry}"),
        ClientChange::Active(entry) => format!("active {entry}"),
        ClientChange::Proven(proof) => format!("proof {proof:?}"),
        ClientChange::Lifted(entry, until) => {
            let days = (i64::from(*until) - now.as_second()) / 86_400;
            let entry = entry.as_ref().map_or("nothing".to_owned(), ToString::to_string);
            format!("lifted {entry} for {days} days")
        }
        ClientChange::Approved(approval) => format!("approved {}", approval.who),
        ClientChange::Refused(hold, advice) => format!("refused {hold}; {advice}"),
        ClientChange::Replaced(entry) => format!("replaced {entry}"),
        ClientChange::Wiped(entry) => format!("wiped {entry}"),
        ClientChange::PutBack(entry) => format!("put back {entry}"),
        ClientChange::Withdrawn(entry, hold) => format!("withdrawn {entry}: {hold}"),
        ClientChange::Expired(entry) => format!("expired {entry}"),
        ClientChange::Disarmed(entry) => format!("disarmed {entry}"),
        ClientChange::Cleared => "cleared".to_owned(),
    };
    format!("client {address}: {what}")
}

/// What is told of a line of the admin's.
fn adoption(relay: &str, change: &AdoptionChange) -> String {
    let what = match change {
        AdoptionChange::Adopted(line, word) => format!("adopted by {}: {line}", word.who),
        AdoptionChange::Refused(refusal) => format!("refused: {refusal}"),
        AdoptionChange::Mended(line) => format!("mended: {line}"),
        AdoptionChange::TakingOut(line, _) => format!("taking out: {line}"),
        AdoptionChange::Withheld(line) => format!("withheld: {line}"),
        AdoptionChange::Stays(why) => format!("stays: {why}"),
        AdoptionChange::Ended(AdoptionEnding::Lifted(line)) => format!("lifted {line:?}"),
        AdoptionChange::Ended(AdoptionEnding::Gone(line)) => format!("gone {line:?}"),
        AdoptionChange::Ended(AdoptionEnding::Changed(line)) => format!("changed: {line}"),
        AdoptionChange::Ended(AdoptionEnding::OnWord(line)) => format!("ended: {line}"),
    };
    format!("adoption {relay}: {what}")
}

pub(crate) fn list(keys: &[Tagged]) -> String {
    keys.iter().map(Tagged::brief).collect::<Vec<_>>().join(" ")
}

pub(crate) const MX: &str = "mx.example.org";
pub(crate) const ASK: &str = "ask Ptr(192.0.2.1)";

/// Three stuck attempts over half an hour.
pub(crate) fn three(story: &mut Story) -> &mut Story {
    story.stuck(MX, "192.0.2.1").wait(15).stuck(MX, "192.0.2.1").wait(15).expect(&[]);
    story.stuck(MX, "192.0.2.1").expect(&["candidate mx.example.org: 3 in 30m", ASK])
}

pub(crate) fn entry(key: &str) -> Managed {
    let tagged: Tagged = key.parse().unwrap();
    Managed {
        remedy: tagged.remedy,
        key: tagged.key,
        relay: MX.into(),
        why: "3 stuck attempts".into(),
        since: Timestamp::from_second(1_800_000_000).unwrap(),
        until: None,
    }
}

/// The access file as others left it: our entries in it, `block` and `rest_changed`, and the admin's own lines.
pub(crate) fn look(ours: &[&str], block: bool, rest_changed: bool, admins: &[&str]) -> Look {
    Look {
        ours: ours.iter().map(|key| entry(key)).collect(),
        block,
        rest_changed,
        admins: admin(&admins.iter().map(|key| format!("Try_TLS:{key} YES\n")).collect::<String>()),
    }
}

/// The admin's own lines.
pub(crate) fn admin(text: &str) -> Entries {
    Entries::parse(text.as_bytes())
}

/// A relay with an entry for its address.
pub(crate) fn active() -> Story {
    let mut story = Story::new(Rules::default());
    three(&mut story).ptr("192.0.2.1", "");
    story.told.clear();
    story
}

/// Saved as the ledger does, and restored.
pub(crate) fn reload(state: &State) -> State {
    let saved = state.record(MX).map(|record| serde_json::to_string(&record.save()).unwrap());
    let relays = saved.into_iter().map(|text| (MX.into(), serde_json::from_str(&text).unwrap()));
    State::restored(state.rules().clone(), relays, [])
}
