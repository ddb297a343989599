//! The thread that changes the map that a fleet shares, in its directory: it may take seconds, and reading the log never waits
//! for it.
//!
//! It takes the orders that the thread for a map of our own takes ([`crate::mapper`]), and those of the fleet besides. Between
//! orders it looks: what others changed in the map, and all that the MTAs say. Nothing is built: sendmail asks the directory
//! itself.
//!
//! **What fails.** A directory that is gone, slow, full, or lets us only read: an order is answered as failed, and the heart
//! gives it again; what is to be said is worked out anew from each look. Said once for each reason, and tried again when the
//! directory's own error says, at the next look at the latest. A start without a directory is none that fails: the first look
//! that succeeds is the one at the start.
//!
//! **What an attacker could try.** See the crate `directory`. Rows of relays that no log could name are passed over here.

mod trouble;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use access::managed::Managed;
use access::remedy::Tagged;
use directory::{Added, Changed, Directory, Error, Settings};
use maillog::relay::Relay;
use policy::adoption::LineNews;
use policy::fleet::Vote;
use policy::input::{Edit, Input, Look, MapState, Proof};
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

use crate::clock;
use crate::mapper::{Mapper, News, Order, wait};
use crate::proof::{Asked, Wanted};
use crate::pulse::{Part, Pulse};

use self::trouble::Trouble;

/// What is over, or dead, is taken out by whoever sees it, when it has been so for so long: its own MTA does it sooner.
const GRACE: Duration = Duration::from_secs(86_400);

/// An end that is this much later than the one that stands there is written; less is two MTAs that decide at once.
const LATER: i64 = 600;

/// How long the heart passes over what it sees of a relay of which it has just changed something (policy::fleet), and a little.
const SETTLED: Duration = Duration::from_secs(320);

/// How often sendmail is asked whether it acts on an entry, if it says no.
const TRIES: u32 = 3;

/// How long in between.
const LAG: Duration = Duration::from_secs(2);

/// Statements that are passed on at most: as many as the heart takes.
const MOST_VOTES: usize = 50_000;

/// What is taken out for others in one look, at most.
const MOST_REAPED: usize = 100;

/// The longest name of an MTA, in bytes.
const LONGEST_NAME: usize = 255;

/// What one piece of work may take besides the directory: a proof.
const BESIDES: Duration = Duration::from_secs(120);

/// What the thread works with.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) settings: Settings,
    /// None where sendmail is not to be asked.
    pub(crate) asked: Option<Asked>,
    pub(crate) look_every: Duration,
    /// Whether anything may be changed.
    pub(crate) armed: bool,
}

/// Starts it. What it finds goes to `news`.
///
/// # Errors
/// If the settings cannot be worked with.
pub(crate) fn start(tools: Tools, news: Sender<News>, pulse: Pulse) -> anyhow::Result<Mapper> {
    let Tools { settings, asked, look_every, armed } = tools;
    let longest = settings.longest();
    let directory = Directory::new(settings)?;
    let mut work = Work {
        directory,
        asked,
        armed,
        look_every,
        longest,
        looks: 0,
        seen: None,
        was_armed: armed,
        tell_again: None,
        trouble: Trouble::default(),
        rest: 0,
        news,
        pulse,
    };
    let (orders, received) = channel();
    let thread =
        thread::Builder::new().name("mapper".to_owned()).spawn(move || work.run(&received))?;
    Ok(Mapper::of(orders, thread))
}

struct Work {
    directory: Directory,
    asked: Option<Asked>,
    armed: bool,
    look_every: Duration,
    /// The longest that the directory may take for one thing.
    longest: Duration,
    /// How often the heart was told what the map is.
    looks: u64,
    /// The map, as the heart was told of it last.
    seen: Option<directory::Look>,
    /// Whether it ever was armed: only then has it rows of its own.
    was_armed: bool,
    /// When the heart is to hear once more what the map is.
    tell_again: Option<Instant>,
    trouble: Trouble,
    /// Counts the changes of what is not ours.
    rest: u64,
    news: Sender<News>,
    pulse: Pulse,
}

impl Work {
    fn run(&mut self, orders: &Receiver<Order>) {
        let mut patience = self.look();
        loop {
            self.pulse.step(Part::Mapper);
            match wait(orders, &self.pulse, patience) {
                Ok(first) => {
                    let mut all: Vec<Order> =
                        std::iter::once(first).chain(orders.try_iter()).collect();
                    // What is to be said can wait.
                    all.sort_by_key(|order| matches!(order, Order::Vote(_) | Order::Unvote(_)));
                    all.into_iter().for_each(|order| self.carry_out(order));
                    // What was changed is seen soon.
                    patience = patience.min(Duration::from_secs(1));
                }
                Err(RecvTimeoutError::Timeout) => patience = self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Armed(armed) => {
                self.armed = armed;
                self.was_armed |= armed;
            }
            Order::Edit(edit, looks) => self.edit(edit, looks),
            Order::Prove(wanted) => self.prove(&wanted),
            // A dry run beside an armed daemon has its name, and must not speak for it.
            Order::Vote(_) | Order::Unvote(_) if !self.was_armed => {}
            // What is not said now is worked out anew from the next look.
            Order::Vote(_) | Order::Unvote(_) if self.trouble.away().is_some() => {}
            Order::Vote(vote) => {
                self.busy();
                let done = self.directory.vote(vote.relay.as_str(), &vote.says, vote.seen);
                self.wrote(done.as_ref().err());
            }
            Order::Unvote(relay) => {
                self.busy();
                let done = self.directory.withdraw(relay.as_str());
                self.wrote(done.as_ref().err());
            }
            Order::TakeOut(relay, _) => {
                let why = "the map is in a directory: take the entry out there";
                self.answer(Input::Line(relay, LineNews::Stays(why.into())));
            }
            // The receiving side is off in a fleet.
            Order::EditClient(..) | Order::ProveClient(_) => {}
        }
        self.pulse.step(Part::Mapper);
    }

    /// The next thing asked of the directory may take as long as it may.
    fn busy(&self) {
        self.pulse.busy(Part::Mapper, self.longest.saturating_mul(2));
    }

    /// Looks, and says what others did and what they say. How long until the next look.
    fn look(&mut self) -> Duration {
        let looked = self.look_at_map().and_then(|()| self.look_at_votes());
        let news = self.trouble.looked(looked.as_ref().err());
        self.tell_trouble(news);
        let again = looked.err().and_then(|error| error.again);
        again.map_or(self.look_every, |again| again.min(self.look_every))
    }

    fn look_at_map(&mut self) -> Result<(), Error> {
        self.busy();
        // The heart passes over what it sees soon after a change of its own; a replica may lag behind.
        let again = self.tell_again.is_some_and(|at| at <= Instant::now());
        if !again && self.seen.is_some() && self.directory.is_unchanged()? {
            return Ok(());
        }
        self.busy();
        let look = self.directory.look()?;
        if again || self.seen.as_ref() != Some(&look) {
            self.tell_again = self.tell_again.filter(|_| !again);
            self.tell_look(look);
        }
        Ok(())
    }

    fn look_at_votes(&mut self) -> Result<(), Error> {
        self.busy();
        let votes = self.directory.votes()?;
        let living = votes.living.into_iter().filter_map(heard).take(MOST_VOTES);
        self.answer(Input::Votes(living.collect()));
        if self.armed {
            self.take_out_overdue();
            let dead = votes.dead.get(..MOST_REAPED).unwrap_or(&votes.dead);
            if !dead.is_empty() {
                self.busy();
                let done = self.directory.reap(dead, GRACE);
                self.wrote(done.as_ref().err());
            }
        }
        Ok(())
    }

    fn tell_look(&mut self, look: directory::Look) {
        let before = self.seen.as_ref();
        for conflict in &look.conflicts {
            if !before.is_some_and(|before| before.conflicts.contains(conflict)) {
                let objects = conflict.objects.join("; ");
                warn!("sendmail finds nothing for {}, for it has several: {objects}", conflict.key);
            }
        }
        let rest_changed = before.is_some_and(|before| before.admins != look.admins);
        self.rest += u64::from(rest_changed);
        let (ours, admins) = (look.ours.clone(), look.admins.clone());
        let heard = Look { ours, block: true, rest_changed, admins };
        let map = if self.looks == 0 { MapState::Loaded(heard) } else { MapState::Seen(heard) };
        self.looks += 1;
        self.seen = Some(look);
        self.tell(News::Looked { map, rest: self.rest.to_string(), number: self.looks });
    }

    /// What nobody has taken out though its time is over; one that fails is tried again with the next look.
    fn take_out_overdue(&mut self) {
        let overdue = self.seen.iter().flat_map(|look| look.overdue(clock::now(), GRACE));
        for entry in overdue.take(MOST_REAPED).cloned().collect::<Vec<_>>() {
            self.busy();
            let done = self.directory.remove(&entry.tagged());
            self.wrote(done.as_ref().err());
            match done {
                Ok(Changed::Done) => {
                    info!(entry = entry.line(), "taken out: its time has long been over");
                }
                Ok(Changed::Missing | Changed::NotOurs(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn edit(&mut self, edit: Edit, looks: u64) {
        let Edit { relay, add, remove } = edit;
        if !remove.is_empty() {
            let state = match self.remove(&remove) {
                Ok(()) => MapState::Removed(relay.clone(), remove),
                Err(why) => MapState::Failed(relay.clone(), remove, why),
            };
            self.answer(Input::Map(state));
        }
        if add.is_empty() {
            return;
        }
        let keys = || add.iter().map(Managed::tagged).collect();
        // What the admin wrote meanwhile may speak against it.
        if let Err(why) = self.look_before() {
            return self.answer(Input::Map(MapState::Failed(relay, keys(), why)));
        }
        if looks < self.looks {
            return self.answer(Input::Map(MapState::Overtaken(relay, keys())));
        }
        for entry in &add {
            let state = self.add(&relay, entry);
            self.answer(Input::Map(state));
        }
        self.tell_again = Some(Instant::now() + SETTLED);
    }

    fn look_before(&mut self) -> Result<(), Box<str>> {
        if let Some(why) = self.trouble.away() {
            return Err(why.into());
        }
        let looked = self.look_at_map();
        let news = self.trouble.looked(looked.as_ref().err());
        self.tell_trouble(news);
        looked.map_err(|error| error.to_string().into())
    }

    fn remove(&mut self, keys: &[Tagged]) -> Result<(), Box<str>> {
        for key in keys {
            if let Some(why) = self.trouble.away() {
                return Err(why.into());
            }
            self.busy();
            let done = self.directory.remove(key);
            self.wrote(done.as_ref().err());
            done.map_err(|error| error.to_string())?;
        }
        self.tell_again = Some(Instant::now() + SETTLED);
        Ok(())
    }

    fn add(&mut self, relay: &Relay<'static>, entry: &Managed) -> MapState {
        let added = self.try_to_add(relay.clone(), entry);
        self.wrote(added.as_ref().err());
        added.unwrap_or_else(|error| {
            MapState::Failed(relay.clone(), vec![entry.tagged()], error.to_string().into())
        })
    }

    /// Adds it, or has one of ours that is there stand for longer.
    fn try_to_add(&mut self, relay: Relay<'static>, entry: &Managed) -> Result<MapState, Error> {
        let keys = vec![entry.tagged()];
        self.busy();
        match self.directory.add(entry)? {
            Added::Already(there) if is_later(entry, &there) => {}
            Added::Written | Added::Already(_) => return Ok(MapState::Written(relay, keys)),
            Added::Contradicted(line) => return Ok(MapState::Contradicted(relay, keys, line)),
        }
        self.busy();
        Ok(match self.directory.renew(entry)? {
            Changed::Done => MapState::Written(relay, keys),
            // Somebody took it out, or made it his, just now.
            Changed::Missing => MapState::Overtaken(relay, keys),
            Changed::NotOurs(line) => MapState::Contradicted(relay, keys, line),
        })
    }

    /// A replica that sendmail asks may lag behind what was just written: a refusal is asked for again.
    fn prove(&self, wanted: &Wanted) {
        let mut tries = TRIES;
        loop {
            self.pulse.busy(Part::Mapper, BESIDES);
            let proofs = match &self.asked {
                Some(asked) => asked.prove(vec![wanted.clone()]),
                None => vec![(wanted.0.clone(), Proof::ReadBack)],
            };
            tries -= 1;
            let refuted = proofs.iter().any(|(_, proof)| matches!(proof, Proof::Refuted(_)));
            if tries == 0 || !refuted {
                for (relay, proof) in proofs {
                    self.answer(Input::Proof(relay, proof));
                }
                return;
            }
            thread::sleep(LAG);
        }
    }

    fn wrote(&mut self, error: Option<&Error>) {
        let news = self.trouble.wrote(error);
        self.tell_trouble(news);
    }

    fn tell_trouble(&self, news: Option<Option<String>>) {
        if let Some(trouble) = news {
            self.tell(News::Trouble(trouble));
        }
    }

    fn answer(&self, input: Input<'static>) {
        self.tell(News::Answer(input));
    }

    fn tell(&self, news: News) {
        if self.news.blocking_send(news).is_err() {
            info!("ended before the answer was taken");
        }
    }
}

/// Whether the entry is to stand for longer than the one that is there.
fn is_later(entry: &Managed, there: &Managed) -> bool {
    match (entry.until, there.until) {
        (Some(until), Some(before)) => until.as_second() - before.as_second() > LATER,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// What an MTA says, as the heart knows it; none of a relay that no log could name, or of an MTA without a plain name.
fn heard(vote: directory::Vote) -> Option<Vote> {
    let directory::Vote { mta, relay, says, seen, age } = vote;
    let named =
        (1..=LONGEST_NAME).contains(&mta.len()) && mta.bytes().all(|b| b.is_ascii_graphic());
    let relay = Relay::parse(relay.as_bytes()).filter(|_| named)?.into_owned();
    Some(Vote { mta, relay, says, seen, age })
}
