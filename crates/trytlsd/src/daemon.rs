//! `trytlsd run`: the loop that feeds the heart and carries out what it wants.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use access::key::Key;
use access::managed::{Managed, line};
use facts::Resolver;
use jiff::Timestamp;
use map_store::{FileStore, Settings};
use policy::fact::Fact;
use policy::input::{Change, Edit, Effect, Input, Look, MapState, Request};
use policy::state::State;
use policy::step::step;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::cli;
use crate::clock;
use crate::config::Config;
use crate::host::Host;
use crate::mapper::{Mapper, Order, Tools};
use crate::output::{Safe, print};
use crate::reader::{Heard, Reader, Sighting};

/// How often what failed is tried again.
const TICK: Duration = Duration::from_secs(60);

/// Messages between the reader and the heart.
const BACKLOG: usize = 64;

/// Runs until a signal ends it.
pub(crate) fn run(args: &cli::Run, config: Config) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(args, config))?;
    Ok(0)
}

/// The heart and its surroundings.
struct Daemon {
    state: State,
    dry_run: bool,
    resolver: Arc<Resolver>,
    asks: JoinSet<Fact>,
    mapper: Mapper,
}

async fn follow(args: &cli::Run, config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let dry_run = args.dry_run || *config.top.dry_run;
    let host = Host::look(&config);
    info!(version = env!("CARGO_PKG_VERSION"), dry_run, "starting");
    info!(path = %config.ledger.path.0.0.display(), "state is kept in memory; [ledger] does nothing yet");
    for finding in host.findings.iter().filter(|finding| !finding.good) {
        warn!("{}", Safe(&finding.text));
    }
    let (store, loaded) = open(host.settings(&config), dry_run)?;
    info!(entries = loaded.len(), "entries of ours in force");
    let (answers, mut inputs) = channel(BACKLOG);
    let (events, mut sightings) = channel(BACKLOG);
    let tools = Tools {
        settings: host.settings(&config),
        store,
        asked: host.asked(&config),
        armed: !dry_run,
    };
    let mapper = Mapper::start(tools, answers)?;
    let resolver = Arc::new(Resolver::new(config.resolver()));
    let mut daemon = Daemon {
        state: State::restored(config.rules(), [], []),
        dry_run,
        resolver,
        asks: JoinSet::new(),
        mapper,
    };
    let look =
        Look { block: !loaded.is_empty(), ours: loaded, rest_changed: false, admins: Vec::new() };
    daemon.take(Input::Map(MapState::Loaded(look)), clock::now())?;
    let reader = Reader::start(&config, events)?;
    let ended = daemon.serve(args, &mut sightings, &mut inputs, &mut signals).await;
    drop(sightings);
    reader.stop();
    drop(inputs);
    daemon.mapper.stop();
    info!("ended");
    ended
}

/// Opens the store and reads our entries. Dry run does without it.
fn open(
    settings: Settings,
    dry_run: bool,
) -> Result<(Option<FileStore>, Vec<Managed>), map_store::Error> {
    let opened = FileStore::open(settings).and_then(|store| {
        let snapshot = store.read()?;
        for oddity in snapshot.oddities {
            warn!("{}", Safe(&oddity.to_string()));
        }
        Ok((Some(store), snapshot.managed))
    });
    match opened {
        Err(error) if dry_run => {
            warn!("{}", Safe(&error.to_string()));
            Ok((None, Vec::new()))
        }
        opened => opened,
    }
}

/// The signals that the daemon knows.
struct Signals {
    hup: Signal,
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }
}

impl Daemon {
    async fn serve(
        &mut self,
        args: &cli::Run,
        sightings: &mut Receiver<Heard>,
        inputs: &mut Receiver<Input<'static>>,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                heard = sightings.recv() => match heard {
                    Some(Heard::Events(batch)) => {
                        for Sighting { event, at } in batch {
                            self.take(Input::Event(&event), at)?;
                        }
                    }
                    Some(Heard::AllRead) => {
                        info!("all that was logged so far is read; following");
                        self.take(Input::Request(Request::Resume), clock::now())?;
                    }
                    None => anyhow::bail!("the thread that reads the log has ended"),
                },
                Some(fact) = self.asks.join_next(), if !self.asks.is_empty() => match fact {
                    Ok(fact) => self.take(Input::Fact(fact), clock::now())?,
                    Err(error) => warn!("a question to DNS was lost: {error}"),
                },
                Some(input) = inputs.recv() => self.take(input, clock::now())?,
                _ = ticks.tick() => self.take(Input::Tick, clock::now())?,
                _ = signals.hup.recv() => self.reload(args)?,
                _ = signals.term.recv() => return Ok(()),
                _ = signals.int.recv() => return Ok(()),
            }
        }
    }

    fn take(&mut self, input: Input<'_>, at: Timestamp) -> anyhow::Result<()> {
        let outcome = step(&mut self.state, input, at);
        outcome.changes.iter().for_each(tell);
        for effect in outcome.effects {
            match effect {
                Effect::Ask(question) => {
                    let resolver = Arc::clone(&self.resolver);
                    self.asks.spawn(async move { resolver.ask(question).await });
                }
                Effect::Edit(edit) if self.dry_run => self.withhold(edit)?,
                Effect::Edit(edit) => self.mapper.order(Order::Edit(edit)),
                Effect::Prove(relay, addresses) => {
                    self.mapper.order(Order::Prove(relay, addresses));
                }
            }
        }
        Ok(())
    }

    /// Dry run: the lines are shown instead of written.
    fn withhold(&mut self, edit: Edit) -> anyhow::Result<()> {
        let keys: Vec<_> = edit.add.into_iter().map(|managed| managed.key).collect();
        let lines: String = keys.iter().map(|key| line(key) + "\n").collect();
        print(lines)?;
        self.take(Input::Map(MapState::Withheld(edit.relay, keys)), clock::now())
    }

    /// Reads the config again. A broken one changes nothing.
    fn reload(&mut self, args: &cli::Run) -> anyhow::Result<()> {
        let config = match Config::load_or_default(args.config.as_deref()) {
            Ok(config) => config,
            Err(error) => {
                warn!("{}; the old config stays in force", Safe(&error.to_string()));
                return Ok(());
            }
        };
        self.state.set_rules(config.rules());
        let was_dry = std::mem::replace(&mut self.dry_run, args.dry_run || *config.top.dry_run);
        info!(
            dry_run = self.dry_run,
            "read the config again; [log], [access] paths and [dns] take effect at the next start"
        );
        self.mapper.order(Order::Armed(!self.dry_run));
        if was_dry && !self.dry_run {
            self.take(Input::Request(Request::Arm), clock::now())?;
        }
        Ok(())
    }
}

fn list(keys: &[Key]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Logs a change. Foreign text is escaped.
fn tell(change: &Change) {
    match change {
        Change::Candidate(relay, weight) => {
            info!(%relay, stuck = weight.stuck, span = format!("{:#}", weight.span), "candidate");
        }
        Change::Held(relay, hold) => warn!(%relay, reason = %Safe(&hold.to_string()), "held"),
        Change::Proposed(relay, keys) => {
            for key in keys {
                info!(%relay, entry = line(key), "proposed");
            }
        }
        Change::Active(relay, keys) => {
            for key in keys {
                info!(%relay, entry = line(key), "active");
            }
        }
        Change::Proven(relay, proof) => info!(%relay, ?proof, "proof"),
        Change::Cleared(relay) => debug!(%relay, "TLS worked; the count is cleared"),
        Change::Lifted(relay, keys, _) => {
            info!(%relay, keys = list(keys), "lifted by hand; it stays out");
        }
        Change::Replaced(relay, keys) => {
            info!(%relay, keys = list(keys), "the admin's own entry replaces ours");
        }
        Change::PutBack(relay, keys) => {
            warn!(%relay, keys = list(keys), "others rewrote the file; put back");
        }
    }
}
