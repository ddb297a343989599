//! The thread that changes the map: makemap may take seconds, and reading the log never waits for it.
//!
//! Orders that came in while the map was being rebuilt are carried out together by the next rebuild. Between orders, and
//! before each change, file and map are looked at; what others did to the file is news for the heart.

mod sum;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Orders, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use access::admins::AdminsLine;
use access::managed::Managed;
use access::remedy::Tagged;
use maillog::relay::Relay;
use map_store::{Applied, Error, Settings, Skipped};
use policy::adoption::LineNews;
use policy::clients::{Became, ClientEdit, ClientNews};
use policy::fleet::Vote;
use policy::input::{Edit, Input, MapState, Proof};
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};

use self::sum::Sum;
use crate::beside::Beside;
use crate::keeper::{Keeper, Seen};
use crate::output::Safe;
use crate::proof::{Asked, Wanted, WantedClient};
use crate::pulse::{Part, Pulse};

/// How soon files that others are at work on are looked at again.
const SOON: Duration = Duration::from_secs(1);

/// Children that one piece of work may start, one after the other, each for `[access] timeout` at most: two rebuilds, if
/// the first was overtaken, with the new map read back, and the proofs of relays and clients.
const CHILDREN: u32 = 6;

/// What else a piece of work may take: files of many megabytes, locks that are waited for, a look through /proc.
const BESIDES: Duration = Duration::from_secs(120);

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Dry run has ended, or begun: look after the live map, or leave it alone.
    Armed(bool),
    /// Change the map; as it was decided after so many looks at the file.
    Edit(Edit, u64),
    /// Ask sendmail about the relay, at each address.
    Prove(Wanted),
    /// Change the map for a client.
    EditClient(ClientEdit, u64),
    /// Take out a line of the admin's, on his word, that is adopted for the relay.
    TakeOut(Relay<'static>, AdminsLine),
    /// Ask sendmail about the client.
    ProveClient(WantedClient),
    /// Say this of a relay to the other MTAs of the fleet.
    Vote(Vote),
    /// Say nothing of it any more.
    Unvote(Relay<'static>),
}

/// What the heart hears from the thread.
#[derive(Debug)]
pub(crate) enum News {
    /// The answer to an order.
    Answer(Input<'static>),
    /// The access file, as it was found at the start or after others changed it; a sign of what it is outside of our
    /// block; and the number of the look.
    Looked { map: MapState, rest: String, number: u64 },
    /// Why file or map cannot be used; none: they can, again.
    Trouble(Option<String>),
}

/// What the thread works with.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) settings: Settings,
    /// The admin's entries in other maps.
    pub(crate) beside: Beside,
    /// None where sendmail is not to be asked.
    pub(crate) asked: Option<Asked>,
    /// How often file and map are looked at.
    pub(crate) look_every: Duration,
    /// Whether the map may be touched.
    pub(crate) armed: bool,
}

/// The running thread.
pub(crate) struct Mapper {
    orders: Orders<Order>,
    thread: JoinHandle<()>,
}

impl Mapper {
    /// Makes file and map belong together, looks at the file, and starts the thread. `rest` is the sign of what the file
    /// was outside of our block when it was last looked at, if that is known. The first news are given back, further
    /// ones go to `news`.
    ///
    /// # Errors
    /// If the access file cannot be used. Dry run does without, and then there are no news.
    pub(crate) fn start(
        tools: Tools,
        rest: Option<String>,
        news: Sender<News>,
        pulse: Pulse,
    ) -> anyhow::Result<(Self, Option<News>)> {
        let Tools { settings, beside, asked, look_every, armed } = tools;
        let built = settings.is_built();
        let longest = settings.timeout.saturating_mul(CHILDREN).saturating_add(BESIDES);
        let mut keeper = Keeper::new(settings, beside, armed, rest);
        let first = match keeper.begin() {
            Ok(Seen { look, rest }) => {
                Some(News::Looked { map: MapState::Loaded(look), rest, number: 1 })
            }
            // Then the first look that succeeds is the one at the start.
            Err(error) if !armed => {
                warn!("{}", Safe(&error.to_string()));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let looks = u64::from(first.is_some());
        let troubled = None;
        let mut work =
            Work { keeper, asked, built, look_every, looks, troubled, news, pulse, longest };
        let (orders, received) = channel();
        let thread =
            thread::Builder::new().name("mapper".to_owned()).spawn(move || work.run(&received))?;
        Ok((Self::of(orders, thread), first))
    }

    /// A thread that takes orders.
    pub(crate) fn of(orders: Orders<Order>, thread: JoinHandle<()>) -> Self {
        Self { orders, thread }
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
    keeper: Keeper,
    asked: Option<Asked>,
    /// Whether the map is built by us, so that it can be asked at once.
    built: bool,
    look_every: Duration,
    /// How often the heart was told what the file is.
    looks: u64,
    /// Whether the heart was told last that file or map cannot be used; none: nothing yet.
    troubled: Option<bool>,
    news: Sender<News>,
    pulse: Pulse,
    /// The longest that one piece of work may take.
    longest: Duration,
}

impl Work {
    fn run(&mut self, orders: &Receiver<Order>) {
        self.pulse.busy(Part::Mapper, self.longest);
        self.keeper.heal();
        let mut patience = self.look_every;
        loop {
            self.tell_trouble();
            self.pulse.step(Part::Mapper);
            let order = wait(orders, &self.pulse, patience);
            self.pulse.busy(Part::Mapper, self.longest);
            match order {
                Ok(first) => {
                    let all: Vec<Order> = std::iter::once(first).chain(orders.try_iter()).collect();
                    self.carry_out(all);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            patience = if self.keeper.is_unsettled() { SOON } else { self.look_every };
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        let mut edits = Vec::new();
        let mut proofs = Vec::new();
        let (mut clients, mut client_proofs) = (Vec::new(), Vec::new());
        let mut lines = Vec::new();
        for order in orders {
            match order {
                Order::Armed(armed) => self.keeper.arm(armed),
                Order::Edit(edit, looks) => edits.push((edit, looks)),
                Order::Prove(wanted) => proofs.push(wanted),
                Order::EditClient(edit, looks) => clients.push((edit, looks)),
                Order::TakeOut(relay, line) => lines.push((relay, line)),
                Order::ProveClient(wanted) => client_proofs.push(wanted),
                // The heart of an MTA with a map of its own has nobody to talk to.
                Order::Vote(_) | Order::Unvote(_) => {}
            }
        }
        if !edits.is_empty() || !clients.is_empty() {
            self.edit(edits, clients);
        }
        for (relay, line) in lines {
            self.take_out(relay, &line);
        }
        if !proofs.is_empty() {
            self.prove(proofs);
        }
        if !client_proofs.is_empty() {
            self.prove_clients(client_proofs);
        }
    }

    /// All edits with one rebuild. Entries that were decided before the heart heard what the file is now are not added:
    /// what others wrote may speak against them.
    fn edit(&mut self, edits: Vec<(Edit, u64)>, clients: Vec<(ClientEdit, u64)>) {
        self.look();
        let still = |(edit, looks)| self.still_stands(edit, looks);
        let edits: Vec<Edit> = edits.into_iter().filter_map(still).collect();
        let still = |(edit, looks)| self.client_still_stands(edit, looks);
        let clients: Vec<ClientEdit> = clients.into_iter().filter_map(still).collect();
        if edits.is_empty() && clients.is_empty() {
            return;
        }
        let Sum { add, remove } = Sum::of(&edits, &clients);
        let mut outcome = self.keeper.apply(&add, &remove);
        if matches!(outcome, Err(Error::Overtaken { .. })) {
            // The heart hears what is there now, and then that nothing was added.
            let seen = self.keeper.look_anew();
            self.tell_seen(seen);
            if !remove.is_empty() {
                match self.keeper.apply(&[], &remove) {
                    Ok(_) => {}
                    Err(error) => outcome = Err(error),
                }
            }
        } else if let Err(error) = &outcome {
            self.keeper.complain(error);
        }
        for edit in edits {
            for state in states_after(edit, &outcome) {
                self.answer(Input::Map(state));
            }
        }
        for edit in clients {
            if let Some(news) = news_after(edit, &outcome) {
                self.answer(Input::Client(news));
            }
        }
    }

    /// Takes a line of the admin's out, and tells the heart first what the file is now.
    fn take_out(&mut self, relay: Relay<'static>, line: &AdminsLine) {
        let news = match self.keeper.take_out(line) {
            Ok(()) => {
                let seen = self.keeper.look_anew();
                self.tell_seen(seen);
                LineNews::TakenOut
            }
            Err(Error::LineStays(stays)) => LineNews::Stays(stays.to_string().into()),
            Err(error) => LineNews::Failed(error.to_string().into()),
        };
        self.answer(Input::Line(relay, news));
    }

    /// The edit of a relay, without what it would add if that was decided before the last look; none if nothing is left.
    fn still_stands(&self, mut edit: Edit, looks: u64) -> Option<Edit> {
        if looks < self.looks && !edit.add.is_empty() {
            let keys = std::mem::take(&mut edit.add).iter().map(Managed::tagged).collect();
            self.answer(Input::Map(MapState::Overtaken(edit.relay.clone(), keys)));
        }
        (!edit.add.is_empty() || !edit.remove.is_empty()).then_some(edit)
    }

    /// The same of a client.
    fn client_still_stands(&self, edit: ClientEdit, looks: u64) -> Option<ClientEdit> {
        match edit {
            ClientEdit::Add(address, _) if looks < self.looks => {
                self.answer(Input::Client(ClientNews::Map(address, Became::Overtaken)));
                None
            }
            edit => Some(edit),
        }
    }

    /// Looks at file and map, and tells the heart what others did.
    fn look(&mut self) {
        let seen = self.keeper.look();
        self.tell_seen(seen);
    }

    fn tell_seen(&mut self, seen: Option<Seen>) {
        if let Some(Seen { look, rest }) = seen {
            let first = self.looks == 0;
            let map = if first { MapState::Loaded(look) } else { MapState::Seen(look) };
            self.looks += 1;
            self.tell(News::Looked { map, rest, number: self.looks });
        }
    }

    fn tell_trouble(&mut self) {
        let trouble = self.keeper.trouble().map(str::to_owned);
        if self.troubled.replace(trouble.is_some()) != Some(trouble.is_some()) {
            self.tell(News::Trouble(trouble));
        }
    }

    /// Who says what entries do; or what is to be taken for the answer where nobody can be asked.
    fn who_says(&self) -> Result<&Asked, Proof> {
        if !self.built {
            return Err(Proof::NotYet);
        }
        self.asked.as_ref().ok_or(Proof::ReadBack)
    }

    fn prove(&self, wanted: Vec<Wanted>) {
        let proofs = match self.who_says() {
            Ok(asked) => asked.prove(wanted),
            Err(proof) => wanted.into_iter().map(|(relay, ..)| (relay, proof.clone())).collect(),
        };
        for (relay, proof) in proofs {
            self.answer(Input::Proof(relay, proof));
        }
    }

    fn prove_clients(&self, wanted: Vec<WantedClient>) {
        let proofs = match self.who_says() {
            Ok(asked) => asked.prove_clients(wanted),
            Err(proof) => wanted.into_iter().map(|(address, _)| (address, proof.clone())).collect(),
        };
        for (address, proof) in proofs {
            self.answer(Input::Client(ClientNews::Proof(address, proof)));
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

/// Waits for an order, with a step now and then that shows that this thread does.
pub(crate) fn wait(
    orders: &Receiver<Order>,
    pulse: &Pulse,
    patience: Duration,
) -> Result<Order, RecvTimeoutError> {
    let began = Instant::now();
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let step = pulse.rest().map_or(left, |rest| rest.min(left));
        match orders.recv_timeout(step) {
            Err(RecvTimeoutError::Timeout) if step < left => pulse.step(Part::Mapper),
            ended => return ended,
        }
    }
}

/// What became of a client's edit; none where an entry could not be taken out, which the heart asks for again.
fn news_after(edit: ClientEdit, outcome: &Result<Applied, Error>) -> Option<ClientNews> {
    let (address, wanted, adds) = match edit {
        ClientEdit::Add(address, managed) => (address, managed.tagged(), true),
        ClientEdit::Remove(address, entry) => (address, entry, false),
    };
    let became = match outcome {
        Ok(_) if !adds => Became::Removed,
        Ok(applied) => {
            let against = applied.skipped.iter().find_map(|skipped| match skipped {
                Skipped::Admins { entry, line_no, .. } if *entry == wanted => Some(*line_no),
                Skipped::Admins { .. } | Skipped::InForce(_) => None,
            });
            match against {
                Some(line_no) => {
                    Became::Contradicted(format!("line {line_no} for {wanted}").into())
                }
                None => Became::Written,
            }
        }
        // What is to go was taken out all the same.
        Err(Error::Overtaken { .. }) if !adds => Became::Removed,
        Err(Error::Overtaken { .. }) => Became::Overtaken,
        Err(_) if !adds => return None,
        Err(error) => Became::Failed(error.to_string().into()),
    };
    Some(ClientNews::Map(address, became))
}

/// What became of one relay's edit: some keys may be written while the admin has lines of his own for others.
fn states_after(edit: Edit, outcome: &Result<Applied, Error>) -> Vec<MapState> {
    let Edit { relay, add, remove } = edit;
    let keys: Vec<Tagged> = add.iter().map(Managed::tagged).collect();
    let applied = match outcome {
        Ok(applied) => applied,
        Err(Error::Overtaken { .. }) => {
            let mut states = Vec::new();
            if !remove.is_empty() {
                states.push(MapState::Removed(relay.clone(), remove));
            }
            if !keys.is_empty() {
                states.push(MapState::Overtaken(relay, keys));
            }
            return states;
        }
        Err(error) => {
            let failed =
                |keys: Vec<Tagged>| MapState::Failed(relay.clone(), keys, error.to_string().into());
            return [keys, remove].into_iter().filter(|k| !k.is_empty()).map(failed).collect();
        }
    };
    let line_against = |wanted: &Tagged| {
        applied.skipped.iter().find_map(|skipped| match skipped {
            Skipped::Admins { entry, line_no, same: false } if entry == wanted => Some(*line_no),
            Skipped::Admins { .. } | Skipped::InForce(_) => None,
        })
    };
    let (against, written): (Vec<Tagged>, Vec<Tagged>) =
        keys.into_iter().partition(|key| line_against(key).is_some());
    let lines: Vec<String> = against
        .iter()
        .filter_map(|key| Some(format!("line {} for {}", line_against(key)?, key.brief())))
        .collect();
    let mut states = Vec::new();
    if !remove.is_empty() {
        states.push(MapState::Removed(relay.clone(), remove));
    }
    if !written.is_empty() {
        states.push(MapState::Written(relay.clone(), written));
    }
    if !against.is_empty() {
        states.push(MapState::Contradicted(relay, against, lines.join(", ").into()));
    }
    states
}
