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

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use access::managed::Managed;
use access::remedy::Tagged;
use directory::{Added, Directory, Error, Settings};
use maillog::relay::Relay;
use policy::adoption::LineNews;
use policy::fleet::{Says, Vote};
use policy::input::{Edit, Input, Look, MapState, Proof};
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

use crate::clock;
use crate::mapper::{Mapper, News, Order};
use crate::output::Safe;
use crate::proof::{Asked, Wanted};
use crate::pulse::{Part, Pulse};

/// What is over, or dead, is taken out by whoever sees it, when it has been so for so long: its own MTA does it sooner.
const GRACE: Duration = Duration::from_secs(86_400);

/// An end that is this much later than the one that stands there is written; less is two MTAs that decide at once.
const LATER: i64 = 600;

/// What one piece of work may take besides the directory: proofs.
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
        answers: false,
        trouble: None,
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
    /// Whether the last look succeeded.
    answers: bool,
    /// What went wrong last, so that it is said once.
    trouble: Option<String>,
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
            match self.wait(orders, patience) {
                Ok(first) => {
                    let all: Vec<Order> = std::iter::once(first).chain(orders.try_iter()).collect();
                    all.into_iter().for_each(|order| self.carry_out(order));
                    // What was changed is seen soon.
                    patience = patience.min(Duration::from_secs(1));
                }
                Err(RecvTimeoutError::Timeout) => patience = self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits for an order, with a step now and then that shows that this thread does.
    fn wait(
        &self,
        orders: &Receiver<Order>,
        patience: Duration,
    ) -> Result<Order, RecvTimeoutError> {
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let step = self.pulse.rest().map_or(left, |rest| rest.min(left));
            match orders.recv_timeout(step) {
                Err(RecvTimeoutError::Timeout) if step < left => self.pulse.step(Part::Mapper),
                ended => return ended,
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        self.pulse.busy(Part::Mapper, self.longest.saturating_mul(4).saturating_add(BESIDES));
        match order {
            Order::Armed(armed) => self.armed = armed,
            Order::Edit(edit, looks) => self.edit(edit, looks),
            Order::Prove(wanted) => self.prove(wanted),
            Order::Vote(vote) => self.vote(&vote),
            Order::Unvote(relay) => {
                let done = self.directory.withdraw(relay.as_str());
                drop(self.done(done));
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

    /// Looks, and says what others did and what they say. How long until the next look.
    fn look(&mut self) -> Duration {
        self.pulse.busy(Part::Mapper, self.longest.saturating_mul(4));
        let again = match self.look_once() {
            Ok(()) => {
                self.trouble = None;
                if !std::mem::replace(&mut self.answers, true) {
                    info!("the directory answers");
                    self.tell(News::Trouble(None));
                }
                None
            }
            Err(error) => {
                self.answers = false;
                self.complain(&error);
                error.again
            }
        };
        again.map_or(self.look_every, |again| again.min(self.look_every))
    }

    fn look_once(&mut self) -> Result<(), Error> {
        let same = self.seen.is_some() && self.directory.is_unchanged()?;
        if !same {
            let look = self.directory.look()?;
            if self.seen.as_ref() != Some(&look) {
                self.tell_look(look);
            }
        }
        if self.armed {
            self.take_out_overdue();
        }
        let votes = self.directory.votes()?;
        if self.armed && !votes.dead.is_empty() {
            self.directory.reap(&votes.dead, GRACE)?;
        }
        self.answer(Input::Votes(votes.living.into_iter().filter_map(heard).collect()));
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
        for entry in overdue.cloned().collect::<Vec<_>>() {
            match self.directory.remove(&entry.tagged()) {
                Ok(_) => info!(entry = entry.line(), "taken out: its time has long been over"),
                Err(error) => return self.complain(&error),
            }
        }
    }

    fn edit(&mut self, edit: Edit, looks: u64) {
        let Edit { relay, add, remove } = edit;
        if !remove.is_empty() {
            let done = remove.iter().try_for_each(|key| self.directory.remove(key).map(drop));
            let state = match self.done(done) {
                Ok(()) => MapState::Removed(relay.clone(), remove),
                Err(why) => MapState::Failed(relay.clone(), remove, why),
            };
            self.answer(Input::Map(state));
        }
        if looks < self.looks && !add.is_empty() {
            // Decided before the heart heard what the map is now.
            let keys = add.iter().map(Managed::tagged).collect();
            return self.answer(Input::Map(MapState::Overtaken(relay, keys)));
        }
        for entry in add {
            let state = self.add(&relay, &entry);
            self.answer(Input::Map(state));
        }
    }

    fn add(&mut self, relay: &Relay<'static>, entry: &Managed) -> MapState {
        let keys: Vec<Tagged> = vec![entry.tagged()];
        let added = self.directory.add(entry).and_then(|added| match added {
            Added::Already(there) if is_later(entry, &there) => {
                self.directory.renew(entry).map(|_| Added::Written)
            }
            added => Ok(added),
        });
        match added {
            Ok(Added::Written | Added::Already(_)) => MapState::Written(relay.clone(), keys),
            Ok(Added::Contradicted(line)) => MapState::Contradicted(relay.clone(), keys, line),
            Err(error) => {
                self.complain(&error);
                MapState::Failed(relay.clone(), keys, error.to_string().into())
            }
        }
    }

    /// Says it; if that fails the next look shows that it is not there.
    fn vote(&mut self, vote: &Vote) {
        let done = self.directory.vote(vote.relay.as_str(), &said(&vote.says), vote.seen);
        drop(self.done(done));
    }

    fn prove(&self, wanted: Wanted) {
        let proofs = match &self.asked {
            Some(asked) => asked.prove(vec![wanted]),
            None => vec![(wanted.0, Proof::ReadBack)],
        };
        for (relay, proof) in proofs {
            self.answer(Input::Proof(relay, proof));
        }
    }

    fn done(&mut self, done: Result<(), Error>) -> Result<(), Box<str>> {
        done.map_err(|error| {
            self.complain(&error);
            error.to_string().into()
        })
    }

    /// Says what went wrong, unless it is what was said last.
    fn complain(&mut self, error: &Error) {
        let words = error.to_string();
        if self.trouble.as_ref() != Some(&words) {
            warn!("{}; it is tried again", Safe(&words));
            self.tell(News::Trouble(Some(words.clone())));
            self.trouble = Some(words);
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

/// What an MTA says, as the heart knows it; none of a relay that no log could name.
fn heard(vote: directory::Vote) -> Option<Vote> {
    let directory::Vote { mta, relay, says, seen, age } = vote;
    let relay = Relay::parse(relay.as_bytes())?.into_owned();
    let says = match says {
        directory::Says::Broken { keys } => Says::Broken { keys },
        directory::Says::Works => Says::Works,
        directory::Says::Forbids => Says::Forbids,
        directory::Says::Mended { keys } => Says::Mended { keys },
        directory::Says::Lifted { until } => Says::Lifted { until },
    };
    Some(Vote { mta, relay, says, seen, age })
}

/// What the heart says, as the directory knows it.
fn said(says: &Says) -> directory::Says {
    match says {
        Says::Broken { keys } => directory::Says::Broken { keys: keys.clone() },
        Says::Works => directory::Says::Works,
        Says::Forbids => directory::Says::Forbids,
        Says::Mended { keys } => directory::Says::Mended { keys: keys.clone() },
        Says::Lifted { until } => directory::Says::Lifted { until: *until },
    }
}
