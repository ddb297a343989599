//! Several MTAs around one directory, told as a story: each has its own log, probes and operator; the map is one.

use std::collections::BTreeMap;

use access::managed::Managed;
use access::remedy::Tagged;
use jiff::SignedDuration;
use maillog::relay::Relay;
use policy::approval::Approval;
use policy::fleet::{self, Says, Vote};
use policy::halt::{Halt, HaltKind};
use policy::input::{Effect, Input, Look, MapState, Request};
use policy::rules::{Guards, Life, Rules};
use policy::state::State;

use super::{MX, Story, list};

/// A row of the directory.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) says: Says,
    seen: u32,
    /// The minute at which it was written.
    at: i64,
}

/// The directory, with what replicas would still say.
#[derive(Clone, Default)]
pub(crate) struct Directory {
    pub(crate) entries: Vec<Managed>,
    pub(crate) rows: BTreeMap<(String, String), Row>,
}

/// One MTA.
pub(crate) struct Mta {
    pub(crate) story: Story,
    /// It is not there: nothing reaches it.
    pub(crate) dead: bool,
    /// What it wants done waits, and is lost when it is killed.
    pub(crate) frozen: bool,
    /// It cannot reach the directory.
    pub(crate) cut_off: bool,
    /// What a probe of its finds.
    pub(crate) finds: &'static str,
    /// It reads from a replica that stopped at that moment.
    pub(crate) replica: Option<Directory>,
}

pub(crate) struct Fleet {
    pub(crate) mtas: Vec<Mta>,
    pub(crate) directory: Directory,
    pub(crate) minute: i64,
    /// The admin's own lines.
    pub(crate) admins: &'static str,
    /// Entries that were ever written, with who did.
    pub(crate) written: Vec<String>,
    /// When a row of the MTA that lived last named the key as needed.
    named: BTreeMap<(String, Tagged), i64>,
    /// Entries that fewer than two MTAs wanted when they were written.
    pub(crate) unwanted: Vec<String>,
}

/// How long an entry stands, and a lifting: five days, for time passes slowly here.
const TERM: SignedDuration = SignedDuration::from_hours(5 * 24);

pub(crate) fn rules(me: usize) -> Rules {
    let guards = Guards { max_per_hour: 0, ..Guards::default() };
    let mut fleet = fleet::Fleet::new(&name(me));
    fleet.settle = SignedDuration::from_mins(7); // Looks come each five minutes.
    let life = Life { ttl: TERM, ..Life::default() };
    Rules { fleet: Some(fleet), guards, life, hold_off: TERM, probe: false, ..Rules::default() }
}

pub(crate) fn name(mta: usize) -> String {
    format!("mx{}", mta + 1)
}

impl Fleet {
    /// So many MTAs, armed, with the default quorum.
    pub(crate) fn new(count: usize) -> Self {
        Self::with(count, |rules| rules)
    }

    pub(crate) fn with(count: usize, change: impl Fn(Rules) -> Rules) -> Self {
        let mta = |at| {
            let mut story = Story::new(change(rules(at)));
            (story.map_is_slow, story.no_ptr) = (true, true);
            story.input(Input::Request(Request::Arm));
            Mta {
                story,
                dead: false,
                frozen: false,
                cut_off: false,
                finds: "broken",
                replica: None,
            }
        };
        let mtas = (0..count).map(mta).collect();
        let mut fleet = Self {
            mtas,
            directory: Directory::default(),
            minute: 0,
            admins: "",
            written: vec![],
            named: BTreeMap::new(),
            unwanted: vec![],
        };
        fleet.pass(5);
        fleet
    }

    pub(crate) fn state(&self, mta: usize) -> &State {
        &self.mtas[mta].story.state
    }

    /// What happens at one MTA, and what follows there.
    pub(crate) fn at(
        &mut self,
        mta: usize,
        happens: impl FnOnce(&mut Story) -> &mut Story,
    ) -> &mut Self {
        if !self.mtas[mta].dead {
            happens(&mut self.mtas[mta].story);
            self.carry_out(mta);
        }
        self
    }

    /// Mail is stuck at these, three times over half an hour.
    pub(crate) fn fails(&mut self, mtas: &[usize]) -> &mut Self {
        for _ in 0..3 {
            for mta in mtas {
                self.at(*mta, |story| story.stuck(MX, "192.0.2.1"));
            }
            self.pass(15);
        }
        self
    }

    /// Time passes: each five minutes a tick, a look at the map and one at the rows, at each MTA in turn.
    pub(crate) fn pass(&mut self, minutes: i64) -> &mut Self {
        let end = self.minute + minutes;
        while self.minute < end {
            self.minute += 5;
            self.note_named();
            for mta in 0..self.mtas.len() {
                self.mtas[mta].story.minute = self.minute;
                self.at(mta, |story| story.input(Input::Tick));
                self.look(mta);
            }
        }
        self
    }

    pub(crate) fn hours(&mut self, hours: i64) -> &mut Self {
        self.pass(hours * 60)
    }

    /// The MTA looks at the directory.
    pub(crate) fn look(&mut self, mta: usize) -> &mut Self {
        if self.mtas[mta].cut_off {
            return self;
        }
        let seen = self.mtas[mta].replica.as_ref().unwrap_or(&self.directory);
        let look = self.found(seen);
        let votes = self.votes(seen);
        self.at(mta, |story| story.input(Input::Map(MapState::Seen(look))));
        self.at(mta, |story| story.input(Input::Votes(votes)))
    }

    fn found(&self, seen: &Directory) -> Look {
        let admins = super::admin(self.admins);
        Look { ours: seen.entries.clone(), block: true, rest_changed: false, admins }
    }

    /// All rows, dead ones too: a directory may be slow to drop them.
    fn votes(&self, seen: &Directory) -> Vec<Vote> {
        let rows = seen.rows.iter().map(|((mta, relay), row)| Vote {
            mta: mta.as_str().into(),
            relay: Relay::parse(relay.as_bytes()).unwrap().into_owned(),
            says: row.says.clone(),
            seen: row.seen,
            age: u32::try_from((self.minute - row.at) * 60).unwrap(),
        });
        rows.collect()
    }

    /// The process is killed, and the next one starts with the ledger: what was to be done and was not is lost.
    pub(crate) fn kill(&mut self, mta: usize) -> &mut Self {
        self.mtas[mta].frozen = false;
        let story = &mut self.mtas[mta].story;
        story.ordered.clear();
        story.votes.clear();
        story.probing.clear();
        let halt = story.state.halt().cloned();
        story.state = super::reload(&story.state).with_halt(halt);
        let seen = self.mtas[mta].replica.as_ref().unwrap_or(&self.directory);
        let look = self.found(seen);
        self.at(mta, |story| story.input(Input::Map(MapState::Loaded(look))));
        self.at(mta, |story| {
            story.input(Input::Request(Request::Resume));
            match story.dry_run {
                true => story,
                false => story.input(Input::Request(Request::Arm)),
            }
        })
    }

    /// Probes are answered, the directory is changed, each with what follows.
    pub(crate) fn carry_out(&mut self, mta: usize) {
        while !self.mtas[mta].frozen {
            let Mta { story, finds, cut_off, .. } = &mut self.mtas[mta];
            if let Some(relay) = story.probing.pop() {
                story.probed(&relay, finds);
            } else if !story.ordered.is_empty() {
                let edit = story.ordered.remove(0);
                story.map_fails = *cut_off;
                if story.dry_run && edit.add.is_empty() {
                    continue; // What is to be taken out stays.
                }
                if !*cut_off && !story.dry_run {
                    let entries = &mut self.directory.entries;
                    let keys: Vec<Tagged> = edit.add.iter().map(Managed::tagged).collect();
                    entries.retain(|entry| {
                        !keys.contains(&entry.tagged()) && !edit.remove.contains(&entry.tagged())
                    });
                    entries.extend(edit.add.iter().cloned());
                    for key in &keys {
                        self.check(key);
                    }
                    if !keys.is_empty() {
                        self.written.push(format!("{} {}", name(mta), list(&keys)));
                    }
                }
                self.mtas[mta].story.answer_edit(edit);
            } else if !story.votes.is_empty() {
                let vote = story.votes.remove(0);
                let says = matches!(vote, Effect::Vote(_));
                assert!(!says || !story.dry_run, "dry run says nothing, and takes back: {vote:?}");
                if !*cut_off {
                    self.write(mta, vote);
                }
            } else {
                return;
            }
        }
    }

    /// Two MTAs at least have just said that it is needed: within the time that a look counts, and a replica lags.
    fn check(&mut self, key: &Tagged) {
        self.note_named();
        let lately =
            |((_, named), at): &(&(String, Tagged), &i64)| named == key && self.minute - **at <= 15;
        if self.named.iter().filter(lately).count() < 2 {
            self.unwanted.push(format!("{key} at minute {}", self.minute));
        }
    }

    fn note_named(&mut self) {
        for vote in self.votes(&self.directory) {
            let Says::Broken { keys } = vote.says else { continue };
            for key in keys.into_iter().filter(|_| vote.age < 3600) {
                self.named.insert((vote.mta.to_string(), key), self.minute);
            }
        }
    }

    fn write(&mut self, mta: usize, vote: Effect) {
        let row = |relay: &Relay<'_>| (name(mta), relay.to_string());
        match vote {
            Effect::Vote(vote) => {
                assert_eq!(&*vote.mta, &*name(mta), "each writes its own row");
                let (says, seen, at) = (vote.says, vote.seen, self.minute);
                self.directory.rows.insert(row(&vote.relay), Row { says, seen, at });
            }
            Effect::Unvote(relay) => drop(self.directory.rows.remove(&row(&relay))),
            other => panic!("{other:?}"),
        }
    }

    /// The MTA is in dry run from now on.
    pub(crate) fn dry_run(&mut self, mta: usize) -> &mut Self {
        self.mtas[mta].story.dry_run = true;
        self.at(mta, |story| story.input(Input::Request(Request::Disarm)))
    }

    /// An operator at one MTA approves of the relay's entry, for two days.
    pub(crate) fn approve(&mut self, mta: usize) -> &mut Self {
        let at = u32::try_from(self.mtas[mta].story.now().as_second()).unwrap();
        let (who, reason) = ("ann".into(), "I know them".into());
        let approval = Approval { until: at + 2 * 86_400, at, who, reason };
        let relay = Relay::parse(MX.as_bytes()).unwrap().into_owned();
        self.at(mta, |story| story.input(Input::Request(Request::Approve(relay, approval))))
    }

    /// An operator at one MTA: the relay gets no entry.
    pub(crate) fn lift(&mut self, mta: usize) -> &mut Self {
        let relay = Relay::parse(MX.as_bytes()).unwrap().into_owned();
        self.at(mta, |story| story.input(Input::Request(Request::Lift(relay, None))))
    }

    pub(crate) fn halt(&mut self, mta: usize, kind: HaltKind) -> &mut Self {
        let halt = Halt { kind, since: 1_800_000_000, who: "ann".into() };
        self.at(mta, |story| story.input(Input::Request(Request::Halt(halt))))
    }

    /// What the MTA says of the relay in the directory, in a row that lives; empty if it says nothing.
    pub(crate) fn says(&self, mta: usize) -> String {
        let row = self.directory.rows.get(&(name(mta), MX.to_owned()));
        match row.filter(|row| self.minute - row.at < 60).map(|row| &row.says) {
            None => String::new(),
            Some(Says::Broken { keys }) => format!("broken {}", list(keys)),
            Some(Says::Mended { keys }) => format!("mended {}", list(keys)),
            Some(Says::Works) => "works".to_owned(),
            Some(Says::Forbids) => "forbids".to_owned(),
            Some(Says::Lifted { .. }) => "lifted".to_owned(),
        }
    }

    /// The keys in the directory.
    pub(crate) fn entries(&self) -> String {
        list(&self.directory.entries.iter().map(Managed::tagged).collect::<Vec<_>>())
    }

    /// The keys that each MTA takes to be in force.
    pub(crate) fn active(&self) -> Vec<String> {
        let keys = |mta: usize| self.state(mta).record(MX).map(|record| list(record.active()));
        (0..self.mtas.len()).map(|mta| keys(mta).unwrap_or_default()).collect()
    }

    /// What was decided at the MTA since this was last asked.
    pub(crate) fn decided(&mut self, mta: usize) -> Vec<String> {
        let noise = ["ask ", "candidate ", "edit ", "flush ", "probe ", "probed ", "prove "];
        let mut told = std::mem::take(&mut self.mtas[mta].story.told);
        told.retain(|told| !noise.iter().any(|noise| told.starts_with(noise)));
        told
    }

    pub(crate) fn forget(&mut self) -> &mut Self {
        self.mtas.iter_mut().for_each(|mta| mta.story.told.clear());
        self
    }
}
