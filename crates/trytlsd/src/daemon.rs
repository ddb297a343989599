//! `trytlsd run`: the loop that feeds the heart and carries out what it wants.
//!
//! The order is the whole point: what comes in changes the heart; what changed is committed, together with the place in
//! the log that it came from; and only then is it acted on. So an edit is in the ledger as intended before the map is
//! touched, and a process that is killed at any moment is one that did not get so far.
//!
//! At the start, before anything else: access file and map are made to belong together, and the file is looked at. What
//! became of an edit that was under way is seen there. Then the logs are read on from their places.

mod requests;
mod troubles;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use access::admins::AdminsLine;
use access::managed::Managed;
use config::Config;
use facts::Resolver;
use jiff::Timestamp;
use maillog::relay::Relay;
use policy::adoption::LineNews;
use policy::alarm::Outside;
use policy::clients::{Became, ClientChange, ClientEdit, ClientNews};
use policy::fact::Fact;
use policy::halt::HaltKind;
use policy::input::{Change, Edit, Effect, Input, MapState, Request};
use policy::life::Probed;
use policy::rules::Rules;
use policy::state::State;
use policy::step::step;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, sleep_until};
use tracing::{info, warn};

use self::troubles::Troubles;
use crate::beside::Beside;
use crate::book::Book;
use crate::cli;
use crate::clock;
use crate::control::{Control, Vitals};
use crate::doctor;
use crate::flush::Flusher;
use crate::happening;
use crate::host::Host;
use crate::mapper::{Mapper, News, Order, Tools};
use crate::notice::Notices;
use crate::output::{Safe, print};
use crate::page::Page;
use crate::pulse::{Part, Pulse};
use crate::reader::{Heard, Reader, Sighting};
use crate::remembered::Run;
use crate::service::{self, Service};
use crate::shared;
use crate::watcher::Watcher;

/// How often the heart is told that time passes. Each is a wake-up of a host that may have nothing else to do.
const TICK: Duration = Duration::from_secs(10);

/// How often this host's own names and what its sendmail does by itself are looked at anew.
const RELOOK: Duration = Duration::from_secs(3600);

/// How long the last commit may take.
const PARTING: Duration = Duration::from_secs(5);

/// Blocks of events on their way to the heart. A block may hold a thousand.
const BLOCKS: usize = 2;

/// News of the map on their way to the heart.
const BACKLOG: usize = 64;

/// Runs until a signal ends it.
pub(crate) fn run(args: &cli::Run, config: Config) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(follow(args, config));
    // A look at the map that has not come back is not waited for.
    runtime.shutdown_background();
    ended.map(|()| 0)
}

/// The heart and its surroundings.
struct Daemon {
    state: State,
    /// The name of this MTA in a fleet.
    name: String,
    book: Book,
    /// What was decided, to be logged once it is committed.
    decided: Vec<Change>,
    /// What the heart wants done, once what led to it is committed.
    due: VecDeque<Effect>,
    dry_run: bool,
    /// What the control socket tells of this daemon.
    vitals: Arc<Vitals>,
    /// The control socket; none if there is to be none, or could not be.
    control: Option<Control>,
    /// Whether the ledger is to be looked at for what operators ask for.
    look_for_requests: bool,
    resolver: Arc<Resolver>,
    asks: JoinSet<Fact>,
    watcher: Arc<Watcher>,
    flusher: Flusher,
    /// Each with when it began.
    probes: JoinSet<(Relay<'static>, u32, Probed)>,
    /// This host, looked at anew.
    hosts: JoinSet<policy::host::Host>,
    /// The number of the look at the access file that the heart has heard of.
    looks: u64,
    mapper: Mapper,
    service: Service,
    troubles: Troubles,
    notices: Notices,
    pulse: Pulse,
}

/// When the end came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All that was taken is committed, or waits to be.
    BetweenCommits,
    /// Before a commit was answered. Nothing more may be committed: what it held might be missing below it. It is all
    /// read again.
    DuringOne,
}

/// Where the daemon's news come from.
struct Sources {
    logs: Receiver<Heard>,
    map: Receiver<News>,
    signals: Signals,
    /// Somebody has put a request into the ledger over the control socket.
    nudge: Arc<Notify>,
}

async fn follow(args: &cli::Run, config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let dry_run = args.dry_run || *config.top.dry_run;
    let host = Host::look(&config);
    info!(version = env!("CARGO_PKG_VERSION"), dry_run, "starting");
    for finding in doctor::of_cf(&config, &host).iter().filter(|finding| !finding.good) {
        warn!("{}", Safe(&finding.text));
    }
    host.can_do(&config)?;
    let pulse = Pulse::new();
    let (book, mut remembered) = Book::open(&config.ledger.path.0.0, dry_run, pulse.clone())?;
    Page::start(&config);
    let (news, map) = channel(BACKLOG);
    let (heard, logs) = channel(BLOCKS);
    let rest = remembered.rest.take();
    // To mend the map takes as long as makemap does, and sendmail may think for long about its own name.
    let (its_pulse, its_config) = (pulse.clone(), config.clone());
    let start = move || {
        let asked = host.asked(&its_config);
        let known = host.known(asked.as_ref());
        let name = match its_config.is_shared() {
            true => host.name(&its_config).map_err(|why| {
                anyhow::anyhow!("the name of this MTA is not known ({why}): say it, [ldap] host = \"mta1.example.org\"")
            })?,
            false => String::new(),
        };
        let (look_every, armed) = (its_config.access.look_every.to_std(), !dry_run);
        let started = match its_config.directory(&name) {
            Some(settings) => {
                let tools = shared::Tools { settings, asked, look_every, armed };
                (shared::start(tools, news, its_pulse)?, None)
            }
            None => {
                let (settings, beside) = (host.settings(&its_config), Beside::of(host.beside()));
                let tools = Tools { settings, beside, asked, look_every, armed };
                Mapper::start(tools, rest, news, its_pulse)?
            }
        };
        anyhow::Ok((known, name, started))
    };
    let started = tokio::select! {
        started = tokio::task::spawn_blocking(start) => started,
        () = signals.end() => return Ok(()),
    };
    let (known, name, (mapper, look)) = started??;
    let told = std::mem::take(&mut remembered.told);
    let notices = Notices::new(&config, told, book.is_durable());
    let mut daemon = Daemon {
        state: remembered.state(rules(&config, &name)),
        name,
        book,
        decided: Vec::new(),
        due: VecDeque::new(),
        dry_run,
        vitals: Arc::new(Vitals::new(dry_run)),
        control: None,
        look_for_requests: false,
        resolver: Arc::new(Resolver::new(config.resolver())),
        asks: JoinSet::new(),
        watcher: Arc::new(Watcher::new(&config)),
        probes: JoinSet::new(),
        flusher: Flusher::new(&config),
        hosts: JoinSet::new(),
        looks: 0,
        mapper,
        service: Service::default(),
        troubles: Troubles::default(),
        notices,
        pulse: pulse.clone(),
    };
    daemon.service.set_dry_run(dry_run);
    daemon.state.set_host(known);
    daemon.resolver.keep_policies(std::mem::take(&mut remembered.policies));
    if let Some(look) = look {
        daemon.hear(look);
    }
    daemon.book.note_run(Run { since: clock::now(), dry_run });
    daemon.answer_all(std::mem::take(&mut remembered.requests))?;
    tokio::select! {
        settled = daemon.settle() => settled?,
        () = signals.end() => return Ok(()),
    }
    let nudge = Arc::new(Notify::new());
    if daemon.book.is_durable() {
        let vitals = Arc::clone(&daemon.vitals);
        daemon.control = Control::start(&config, vitals, Arc::clone(&nudge));
    }
    let mut sources = Sources { logs, map, signals, nudge };
    let reader = Reader::start(&config, &remembered, heard, pulse)?;
    drop(remembered);
    let ended = daemon.serve(args, config, &mut sources, &reader).await;
    service::stopping();
    reader.end();
    if let Some(control) = daemon.control.take() {
        control.stop();
    }
    if let Ok(End::BetweenCommits) = ended {
        daemon.finish(&mut sources).await?;
    }
    drop(sources);
    reader.join();
    daemon.mapper.stop();
    daemon.book.close().await;
    info!("ended");
    ended.map(drop)
}

/// The rules, for the MTA of this name.
fn rules(config: &Config, name: &str) -> Rules {
    Rules { fleet: config.fleet(name), ..config.rules() }
}

/// The signals that the daemon knows.
struct Signals {
    hup: Signal,
    usr1: Signal,
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Somebody wants the end.
    async fn end(&mut self) {
        Self::ended(&mut self.term, &mut self.int).await;
    }

    async fn ended(term: &mut Signal, int: &mut Signal) {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}

impl Daemon {
    async fn serve(
        &mut self,
        args: &cli::Run,
        mut config: Config,
        sources: &mut Sources,
        reader: &Reader,
    ) -> anyhow::Result<End> {
        let mut ticks =
            tokio::time::interval(self.pulse.rest().map_or(TICK, |rest| rest.min(TICK)));
        let mut relooks = interval_at(Instant::now() + RELOOK, RELOOK);
        let Sources { logs, map, signals, nudge } = sources;
        loop {
            let now = Instant::now();
            let notice = self.notices.wait(clock::now()).and_then(|wait| now.checked_add(wait));
            let commit = self.book.deadline().map(Instant::from_std);
            let waits = [commit, notice].into_iter().flatten().min();
            let mut ticked = false;
            tokio::select! {
                heard = logs.recv() => match heard {
                    Some(heard) => self.read(heard),
                    None => anyhow::bail!("the thread that reads the log has ended"),
                },
                Some(fact) = self.asks.join_next(), if !self.asks.is_empty() => match fact {
                    Ok(fact) => {
                        self.book.learn(&fact);
                        self.take(Input::Fact(fact), clock::now());
                    }
                    Err(error) => warn!("a question to DNS was lost: {error}"),
                },
                Some(probed) = self.probes.join_next(), if !self.probes.is_empty() => match probed {
                    Ok((relay, began, probed)) => {
                        self.take(Input::Probed(relay, began, probed), clock::now());
                    }
                    Err(error) => warn!("a probe was lost: {error}"),
                },
                Some(known) = self.hosts.join_next(), if !self.hosts.is_empty() => {
                    if let Ok(known) = known {
                        self.state.set_host(known);
                    }
                }
                came = self.notices.next() => {
                    if let Some(came) = came {
                        let happening = self.notices.take(came, clock::now());
                        self.book.note_notices(self.notices.told(), happening);
                    }
                }
                _ = relooks.tick() => self.look_at_host(&config),
                news = map.recv() => match news {
                    Some(news) => self.hear(news),
                    None => anyhow::bail!("the thread that changes the map has ended"),
                },
                () = sleep_until(waits.unwrap_or_else(Instant::now)), if waits.is_some() => {}
                _ = ticks.tick() => {
                    ticked = true;
                    let now = clock::now();
                    self.take(Input::Tick, now);
                    for trouble in self.troubles.lasting(now) {
                        self.take(trouble, now);
                    }
                    self.book.note_clock(now);
                    self.look_for_requests = true;
                }
                () = nudge.notified() => self.look_for_requests = true,
                _ = signals.usr1.recv() => self.look_for_requests = true,
                _ = signals.hup.recv() => {
                    if let Some(new) = self.reload(args) {
                        config = new;
                        reader.use_patterns(config.patterns());
                        self.look_at_host(&config);
                    }
                }
                () = Signals::ended(&mut signals.term, &mut signals.int) => {
                    return Ok(End::BetweenCommits);
                }
            }
            tokio::select! {
                settled = self.settle_and_tell() => settled?,
                // A ledger that takes no commits holds everything up, but not the end.
                () = signals.end() => return Ok(End::DuringOne),
            }
            if ticked {
                self.pulse.step(Part::Heart);
                if self.service.is_ready() {
                    self.pulse.feed();
                }
                self.service.stands(self.state.figures());
            }
        }
    }

    /// Takes what the reader still has on its way, and commits it, if that is soon done: what is not committed is read
    /// again. What would follow from it the next start does.
    async fn finish(&mut self, sources: &mut Sources) -> anyhow::Result<()> {
        let Sources { logs, signals, .. } = sources;
        let rest = async {
            while let Some(heard) = logs.recv().await {
                self.read(heard);
            }
            self.commit().await
        };
        tokio::select! {
            committed = rest => Ok(committed?),
            () = sleep(PARTING) => {
                warn!("the ledger takes no commit; what was read last will be read again");
                Ok(())
            }
            // Once more: at once.
            () = signals.end() => Ok(()),
        }
    }

    fn read(&mut self, heard: Heard) {
        match heard {
            Heard::Events(batch, mark) => {
                let events = batch.len();
                for Sighting { event, at, line } in batch {
                    self.take(Input::Event(&event), at);
                    if let (Some(line), Some(relay)) = (line, event.what.against()) {
                        self.book.keep_line(relay, at, line);
                    }
                }
                self.book.mark(mark, events);
            }
            Heard::Trouble(why) => self.hear_of_trouble(Outside::Log, why),
            Heard::Opened => self.service.ready(self.state.figures()),
            Heard::AllRead => {
                self.service.follows(self.state.figures());
                info!("all that was logged so far is read; following");
                self.vitals.set_following();
                // What an earlier daemon has not told.
                self.notices.may_be_news(clock::now());
                self.take(Input::Request(Request::Resume), clock::now());
                if !self.dry_run {
                    // What a dry run has shown that ended with its process.
                    self.take(Input::Request(Request::Arm), clock::now());
                }
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Answer(input) => {
                let now = clock::now();
                if let Input::Votes(votes) = &input {
                    self.book.keep_votes(votes, now);
                }
                self.take(input, now);
            }
            News::Trouble(why) => self.hear_of_trouble(Outside::Map, why),
            News::Looked { map, rest, number } => {
                self.looks = number;
                self.take(Input::Map(map), clock::now());
                self.book.note_rest(rest);
            }
        }
    }

    /// That it has ended the heart hears at once.
    fn hear_of_trouble(&mut self, of: Outside, why: Option<String>) {
        let now = clock::now();
        if why.is_none() {
            self.take(Input::Trouble(of, None), now);
        }
        self.troubles.hear(of, why, now);
    }

    /// Feeds the heart. What it wants done waits in [`Daemon::due`].
    fn take(&mut self, input: Input<'_>, at: Timestamp) {
        let outcome = step(&mut self.state, input, at);
        for change in outcome.changes {
            self.book.tell(&change, at);
            self.notices.hear(&change, clock::now());
            if matches!(change, Change::Raised(_) | Change::Ended(_)) {
                self.book.note_alarms(self.state.alarms());
            }
            match change {
                Change::Cleared(_) | Change::Client(_, ClientChange::Cleared) => {
                    happening::log(&change);
                }
                _ => self.decided.push(change),
            }
        }
        if self.state.is_unsaved() {
            self.book.dirty();
        }
        self.due.extend(outcome.effects);
    }

    /// Commits what must be, and carries out what the heart wants. What was decided is committed at once: who reads of
    /// it in the log may act on it.
    async fn settle(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.look_for_requests) {
            let requests = self.book.requests().await;
            self.answer_all(requests)?;
        }
        loop {
            let is_edit = |effect: &Effect| {
                matches!(effect, Effect::Edit(_) | Effect::EditClient(_) | Effect::TakeOut(..))
            };
            let edits = self.due.iter().any(is_edit);
            if edits || !self.decided.is_empty() || self.book.is_due() {
                self.commit().await?;
            }
            if self.due.is_empty() {
                return Ok(());
            }
            for effect in std::mem::take(&mut self.due) {
                self.carry_out(effect)?;
            }
        }
    }

    /// Settles, and has notices made and given away, if it is time. That one is on its way is committed before.
    async fn settle_and_tell(&mut self) -> anyhow::Result<()> {
        self.settle().await?;
        if self.notices.look(clock::now()) {
            self.book.note_notices(self.notices.told(), None);
        }
        if self.notices.is_ready() {
            self.commit().await?;
            self.notices.send();
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), ledger::Error> {
        self.book.commit(&mut self.state).await?;
        self.decided.drain(..).for_each(|change| happening::log(&change));
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> anyhow::Result<()> {
        match effect {
            Effect::Ask(question) => {
                let resolver = Arc::clone(&self.resolver);
                self.asks.spawn(async move { resolver.ask(question, clock::now()).await });
            }
            Effect::Vote(vote) => self.mapper.order(Order::Vote(vote)),
            Effect::Unvote(relay) => self.mapper.order(Order::Unvote(relay)),
            Effect::Flush(relay, ids) => self.flusher.flush(relay, ids),
            Effect::Probe(relay, addresses, began) => {
                let (watcher, resolver) = (Arc::clone(&self.watcher), Arc::clone(&self.resolver));
                self.probes.spawn(async move {
                    let probed = watcher.probe(&resolver, &relay, addresses).await;
                    (relay, began, probed)
                });
            }
            Effect::Edit(edit) if self.withholds(!edit.add.is_empty()) => self.withhold(edit)?,
            Effect::Edit(edit) => self.mapper.order(Order::Edit(edit, self.looks)),
            Effect::EditClient(edit) if self.withholds(matches!(edit, ClientEdit::Add(..))) => {
                self.withhold_client(edit)?;
            }
            Effect::EditClient(edit) => self.mapper.order(Order::EditClient(edit, self.looks)),
            Effect::TakeOut(relay, line) if self.dry_run => self.withhold_line(relay, &line)?,
            Effect::TakeOut(relay, line) => self.mapper.order(Order::TakeOut(relay, line)),
            Effect::ProveClient(address, name) => {
                self.mapper.order(Order::ProveClient((address, name)));
            }
            Effect::Prove(relay, remedy, at) => {
                self.mapper.order(Order::Prove((relay, remedy, at)));
            }
        }
        Ok(())
    }

    /// Whether an edit is not carried out: in dry run; but what an operator has disarmed is taken out then, too.
    fn withholds(&self, adds: bool) -> bool {
        let disarmed = self.state.halt().is_some_and(|halt| halt.kind == HaltKind::Disarmed);
        self.dry_run && (adds || !disarmed)
    }

    /// Dry run: the lines are shown instead of written.
    fn withhold(&mut self, edit: Edit) -> anyhow::Result<()> {
        let keys: Vec<_> = edit.add.iter().map(Managed::tagged).collect();
        if keys.is_empty() {
            return Ok(()); // What is to be taken out stays until dry run ends.
        }
        let record = self.state.record(edit.relay.as_str());
        let in_force = record.map_or(&[][..], |record| record.active());
        let new = keys.iter().filter(|key| !in_force.contains(key));
        print(new.map(|key| key.line() + "\n").collect::<String>())?;
        self.take(Input::Map(MapState::Withheld(edit.relay, keys)), clock::now());
        Ok(())
    }

    /// Looks anew at what the guards need to know of this host. sendmail may think for long about its own name.
    fn look_at_host(&mut self, config: &Config) {
        let config = config.clone();
        self.hosts.spawn_blocking(move || Host::known_now(&config));
    }

    /// The same for a client.
    fn withhold_client(&mut self, edit: ClientEdit) -> anyhow::Result<()> {
        let ClientEdit::Add(address, managed) = edit else { return Ok(()) };
        print(managed.line() + "\n")?;
        let withheld = ClientNews::Map(address, Became::Withheld);
        self.take(Input::Client(withheld), clock::now());
        Ok(())
    }

    /// The same for a line of the admin's that an operator lifts.
    fn withhold_line(&mut self, relay: Relay<'static>, line: &AdminsLine) -> anyhow::Result<()> {
        // A comment, for whoever takes what is printed for lines to be written.
        print(format!("# would be taken out: {}\n", Safe(&line.text)))?;
        self.take(Input::Line(relay, LineNews::Withheld), clock::now());
        Ok(())
    }

    /// Reads the config again. A broken one changes nothing.
    fn reload(&mut self, args: &cli::Run) -> Option<Config> {
        self.service.reloading();
        let config = match Config::load_or_default(args.config.as_deref()) {
            Ok(config) => config,
            Err(error) => {
                let why = error.to_string();
                warn!("{}; the old config stays in force", Safe(&why));
                self.service.reloaded(Some(&why), self.state.figures());
                return None;
            }
        };
        if let Err(error) = Host::look(&config).can_do(&config) {
            warn!("{}; the old config stays in force", Safe(&error.to_string()));
            return None;
        }
        if config.is_shared() != self.state.rules().fleet.is_some() {
            let why = "[access] target is another one; it takes effect at the next start";
            warn!("{why}; the old config stays in force");
            self.service.reloaded(Some(why), self.state.figures());
            return None;
        }
        let mut dry_run = args.dry_run || *config.top.dry_run;
        if !dry_run && !self.book.is_durable() {
            warn!("without its ledger this dry run goes on; start trytlsd again to end it");
            dry_run = true;
        }
        let ttl = self.state.rules().fleet.as_ref().map(|fleet| fleet.ttl);
        let mut rules = rules(&config, &self.name);
        if let (Some(fleet), Some(ttl)) = (&mut rules.fleet, ttl) {
            fleet.ttl = ttl; // What is written has that of the start.
        }
        self.state.set_rules(rules);
        self.watcher = Arc::new(Watcher::new(&config));
        self.notices.reload(&config);
        self.notices.may_be_news(clock::now());
        let was_dry = std::mem::replace(&mut self.dry_run, dry_run);
        self.vitals.set_dry_run(dry_run);
        if let Some(control) = &self.control {
            control.reload(&config);
        }
        info!(
            dry_run = self.dry_run,
            "read the config again; dry_run, [[log.pattern]], [policy], [guards], [entry], [notice], [fleet] quorum and settle, and [access] key and put_back_every take effect, all else at the next start"
        );
        self.mapper.order(Order::Armed(!self.dry_run));
        let request = if self.dry_run { Request::Disarm } else { Request::Arm };
        if was_dry != self.dry_run {
            self.take(Input::Request(request), clock::now());
        }
        self.service.set_dry_run(dry_run);
        self.service.reloaded(None, self.state.figures());
        Some(config)
    }
}
