//! The thread that changes the map: makemap may take seconds, and reading the log never waits for it.
//!
//! Orders that came in while the map was being rebuilt are carried out together by the next rebuild. Between orders the
//! map is looked after: when others replaced it, the processes of sendmail that still hold the old one are told.
//!
//! Proof: where the K line of sendmail.cf names this very map, sendmail is asked. Otherwise, and when it does not answer
//! in time, the keys that the store has read back from the new map are the proof. No answer is no failure.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Orders, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use access::key::Key;
use access::managed::Managed;
use maillog::relay::Relay;
use map_store::{Applied, Error, FileStore, Noticed, Settings, Skipped, Tended};
use policy::input::{Edit, Input, MapState, Proof};
use sendmail::prove::{self, Mta, Target};
use tokio::sync::mpsc::Sender;
use tracing::{debug, info, warn};

use crate::clock;
use crate::output::Safe;

/// How often the map is looked after.
const TEND_EVERY: Duration = Duration::from_secs(15);

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Dry run has ended, or begun: look after the live map, or leave it alone.
    Armed(bool),
    /// Change the map.
    Edit(Edit),
    /// Ask sendmail about the relay, at each address.
    Prove(Relay<'static>, Vec<Option<IpAddr>>),
}

/// The sendmail that is asked for proofs.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) program: PathBuf,
    pub(crate) cf: PathBuf,
    pub(crate) timeout: Duration,
}

/// What the thread works with.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) settings: Settings,
    /// The store, if it could be opened already.
    pub(crate) store: Option<FileStore>,
    /// None where sendmail is not to be asked.
    pub(crate) asked: Option<Asked>,
    /// Whether the map may be touched.
    pub(crate) armed: bool,
}

/// The running thread.
pub(crate) struct Mapper {
    orders: Orders<Order>,
    thread: JoinHandle<()>,
}

impl Mapper {
    /// Starts it. Answers go to `inputs`.
    pub(crate) fn start(tools: Tools, inputs: Sender<Input<'static>>) -> std::io::Result<Self> {
        let (orders, received) = channel();
        let mut work = Work { tools, inputs };
        let thread =
            thread::Builder::new().name("mapper".to_owned()).spawn(move || work.run(&received))?;
        Ok(Self { orders, thread })
    }

    /// Gives an order. One that comes after the end is lost with the process.
    pub(crate) fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            warn!("the mapper has ended; the order is lost");
        }
    }

    /// Ends it after the orders that were given.
    pub(crate) fn stop(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            warn!("the mapper ended with a panic");
        }
    }
}

struct Work {
    tools: Tools,
    inputs: Sender<Input<'static>>,
}

impl Work {
    fn run(&mut self, orders: &Receiver<Order>) {
        self.heal();
        loop {
            match orders.recv_timeout(TEND_EVERY) {
                Ok(first) => {
                    let all: Vec<Order> = std::iter::once(first).chain(orders.try_iter()).collect();
                    self.carry_out(all);
                }
                Err(RecvTimeoutError::Timeout) => self.tend(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        let mut edits = Vec::new();
        let mut proofs = Vec::new();
        for order in orders {
            match order {
                Order::Armed(armed) => {
                    self.tools.armed = armed;
                    self.heal();
                }
                Order::Edit(edit) => edits.push(edit),
                Order::Prove(relay, addresses) => proofs.push((relay, addresses)),
            }
        }
        if !edits.is_empty() {
            self.edit(edits);
        }
        if !proofs.is_empty() {
            self.prove(proofs);
        }
    }

    /// All edits with one rebuild.
    fn edit(&mut self, edits: Vec<Edit>) {
        let add: Vec<Managed> = edits.iter().flat_map(|edit| edit.add.iter().cloned()).collect();
        let remove: Vec<Key> = edits.iter().flat_map(|edit| edit.remove.iter().cloned()).collect();
        self.tend();
        let outcome = self.apply(&add, &remove);
        match &outcome {
            Ok(applied) => {
                report(applied);
                self.heal();
            }
            Err(error) => debug!("{}", Safe(&error.to_string())),
        }
        for edit in edits.into_iter().filter(|edit| !edit.add.is_empty()) {
            for state in states_after(edit, &outcome) {
                self.answer(Input::Map(state));
            }
        }
    }

    fn apply(&mut self, add: &[Managed], remove: &[Key]) -> Result<Applied, Error> {
        let store = match self.tools.store.take() {
            Some(store) => store,
            None => FileStore::open(self.tools.settings.clone())?,
        };
        self.tools.store.insert(store).apply(add, remove)
    }

    fn prove(&self, wanted: Vec<(Relay<'static>, Vec<Option<IpAddr>>)>) {
        let Some(asked) = self.tools.asked.as_ref().filter(|_| self.tools.settings.is_built())
        else {
            let proof =
                if self.tools.settings.is_built() { Proof::ReadBack } else { Proof::NotYet };
            for (relay, _) in wanted {
                self.answer(Input::Proof(relay, proof.clone()));
            }
            return;
        };
        let mut targets = Vec::new();
        let mut owners = Vec::new();
        for (n, (relay, addresses)) in wanted.iter().enumerate() {
            for address in addresses {
                if let Some(target) = Target::new(relay.as_str(), *address) {
                    targets.push(target);
                    owners.push(n);
                }
            }
        }
        let mta = Mta { program: &asked.program, cf: &asked.cf, timeout: asked.timeout };
        let answers = prove::prove(&mta, &targets);
        for (n, (relay, _)) in wanted.into_iter().enumerate() {
            let own = owners.iter().zip(&answers).filter(|(owner, _)| **owner == n).map(|(_, a)| a);
            self.answer(Input::Proof(relay, verdict(own)));
        }
    }

    /// Looks whether others have replaced the map.
    fn tend(&mut self) {
        let Some(store) = self.tools.store.as_mut().filter(|_| self.tools.armed) else { return };
        match store.tend() {
            Ok(Tended::Same | Tended::Appeared) => {}
            Ok(Tended::Gone) => warn!("the map is gone"),
            Ok(Tended::Replaced) => {
                info!("others replaced the map; every sendmail that holds the old one will notice");
                self.heal();
            }
            Ok(Tended::ReplacedUnnoticed(error)) => {
                warn!(
                    "others replaced the map, and the old one's mtime could not be raised: {error}"
                );
            }
            Err(error) => warn!("{}", Safe(&error.to_string())),
        }
    }

    /// Tells processes that hold a map which is deleted.
    fn heal(&self) {
        if !self.tools.armed {
            return;
        }
        let db = self.tools.settings.db();
        match sendmail::holders::heal(Path::new("/proc"), &db, clock::system()) {
            Ok(found) => {
                if !found.healed.is_empty() {
                    info!(pids = ?found.healed, "told processes that held a deleted map");
                }
                if !found.hidden.is_empty() {
                    info!(pids = ?found.hidden, "no right to see whether these hold a deleted map");
                }
                if !found.refused.is_empty() {
                    warn!(pids = ?found.refused, "no right to tell processes that hold a deleted map");
                }
            }
            Err(error) => warn!("cannot look for processes that hold a deleted map: {error}"),
        }
    }

    fn answer(&self, input: Input<'static>) {
        if self.inputs.blocking_send(input).is_err() {
            info!("ended before the answer was taken");
        }
    }
}

/// What is worth telling of a change that was made.
fn report(applied: &Applied) {
    for oddity in &applied.oddities {
        warn!("{}", Safe(&oddity.to_string()));
    }
    if !applied.said.is_empty() {
        info!(said = %Safe(&applied.said), "the rebuild went well, with remarks");
    }
    if let Noticed::No(error) = &applied.noticed {
        warn!(
            "the old map's mtime could not be raised; a persistent queue runner must be restarted: {error}"
        );
    }
}

/// What became of one relay's edit: some keys may be written while the admin has lines of his own for others.
fn states_after(edit: Edit, outcome: &Result<Applied, Error>) -> Vec<MapState> {
    let relay = edit.relay;
    let keys = edit.add.into_iter().map(|entry| entry.key);
    let applied = match outcome {
        Ok(applied) => applied,
        Err(error) => {
            let why = error.to_string().into();
            return vec![MapState::Failed(relay, keys.collect(), why)];
        }
    };
    let line_against = |wanted: &Key| {
        applied.skipped.iter().find_map(|skipped| match skipped {
            Skipped::Admins { key, line_no, off: false } if key == wanted => Some(*line_no),
            Skipped::Admins { .. } | Skipped::InForce(_) => None,
        })
    };
    let (against, written): (Vec<Key>, Vec<Key>) =
        keys.partition(|key| line_against(key).is_some());
    let lines: Vec<String> = against
        .iter()
        .filter_map(|key| Some(format!("line {} for {key}", line_against(key)?)))
        .collect();
    let mut states = Vec::new();
    if !written.is_empty() {
        states.push(MapState::Written(relay.clone(), written));
    }
    if !against.is_empty() {
        states.push(MapState::Contradicted(relay, against, lines.join(", ").into()));
    }
    states
}

/// One verdict from the answers for a relay's addresses: one refusal refutes, one silence leaves what was read back.
fn verdict<'a>(answers: impl Iterator<Item = &'a prove::Proof>) -> Proof {
    let mut all = Proof::Matches;
    let mut none = true;
    for answer in answers {
        none = false;
        match answer {
            prove::Proof::Matches => {}
            prove::Proof::DoesNotMatch { said } => return Proof::Refuted(said.as_str().into()),
            prove::Proof::NoAnswer { why } => {
                info!("sendmail gave no proof: {}", Safe(why));
                all = Proof::ReadBack;
            }
        }
    }
    if none { Proof::ReadBack } else { all }
}
