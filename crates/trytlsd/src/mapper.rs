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
use map_store::{FileStore, LiveMap};
use policy::input::{Edit, Input, MapState, Proof};
use sendmail::prove::{self, Mta, Target};
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

use crate::clock;
use crate::output::Safe;

/// How often the map is looked after.
const TEND_EVERY: Duration = Duration::from_secs(15);

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
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

/// The running thread.
pub(crate) struct Mapper {
    orders: Orders<Order>,
    thread: JoinHandle<()>,
}

impl Mapper {
    /// Starts it. `asked` is none where sendmail is not to be asked. Answers go to `inputs`.
    pub(crate) fn start(
        store: FileStore,
        asked: Option<Asked>,
        inputs: Sender<Input<'static>>,
    ) -> anyhow::Result<Self> {
        let (orders, received) = channel();
        let mut work = Work { live: LiveMap::open(store.database()), store, asked, inputs };
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

    /// Ends it after the order it is at.
    pub(crate) fn stop(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            warn!("the mapper ended with a panic");
        }
    }
}

struct Work {
    store: FileStore,
    live: LiveMap,
    asked: Option<Asked>,
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
        let outcome = self.store.apply(&add, &remove);
        match &outcome {
            Ok(applied) => {
                for note in &applied.notes {
                    warn!("{}", Safe(&note.to_string()));
                }
                self.heal();
            }
            Err(error) => warn!("{}", Safe(&error.to_string())),
        }
        for edit in edits {
            let keys: Vec<Key> = edit.add.into_iter().map(|entry| entry.key).collect();
            if keys.is_empty() {
                continue;
            }
            let state = match &outcome {
                Ok(_) => MapState::Written(edit.relay, keys),
                Err(error) => MapState::Failed(edit.relay, keys, error.to_string().into()),
            };
            self.answer(Input::Map(state));
        }
    }

    fn prove(&self, wanted: Vec<(Relay<'static>, Vec<Option<IpAddr>>)>) {
        let Some(asked) = &self.asked else {
            for (relay, _) in wanted {
                self.answer(Input::Proof(relay, Proof::ReadBack));
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

    fn tend(&mut self) {
        match self.live.tend(clock::now().into()) {
            Ok(false) => {}
            Ok(true) => {
                info!("somebody else has replaced the map; processes that hold the old one were told");
                self.heal();
            }
            Err(error) => warn!("cannot look after the map: {error}"),
        }
    }

    /// Tells processes that hold a map which is deleted.
    fn heal(&self) {
        heal(self.store.database());
    }

    fn answer(&self, input: Input<'static>) {
        if self.inputs.blocking_send(input).is_err() {
            info!("ended before the answer was taken");
        }
    }
}

fn heal(database: Option<&Path>) {
    let Some(database) = database else { return };
    match sendmail::holders::heal(Path::new("/proc"), database, clock::now().into()) {
        Ok(found) => {
            if !found.healed.is_empty() {
                info!(pids = ?found.healed, "told processes that held a deleted map");
            }
            if !found.refused.is_empty() {
                warn!(pids = ?found.refused, "processes hold a deleted map and may not be told: no right");
            }
        }
        Err(error) => warn!("cannot look for processes that hold a deleted map: {error}"),
    }
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
