//! `trytlsd disarm`: all our entries go, and nothing is written until an operator says so.
//!
//! A daemon at work is asked, and the command waits until file and map are without them. Where none runs an operator may
//! want it all the more: then the command does it itself, with the ledger's lock, so that no daemon can start meanwhile,
//! and along the daemon's own path: the heart decides, the ledger is told, the map is changed, the ledger is told of that.
//! The next daemon finds all disarmed. What is in our block and unknown to the ledger goes too.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use access::block;
use access::managed::Managed;
use access::remedy::Tagged;
use anyhow::Context as _;
use config::Config;
use ledger::Error;
use policy::clients::{Became, ClientEdit, ClientNews};
use policy::halt::{Halt, HaltKind};
use policy::input::{Effect, Input, MapState};
use policy::state::State;
use policy::step::step;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::MISUSED;
use crate::beside::Beside;
use crate::book::Book;
use crate::cli;
use crate::clock;
use crate::control::client;
use crate::glimpse::Glimpse;
use crate::halt::{Told, ask};
use crate::host::Host;
use crate::keeper::{Keeper, Seen};
use crate::output::complain;
use crate::pulse::Pulse;
use crate::remembered::Remembered;
use crate::request::{Outcome, Wish};

/// How often it is looked whether all is out.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long that may take beside what makemap may.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the ledger may take.
const COMMIT: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) fn run(args: &cli::Disarm, config: &Config) -> anyhow::Result<u8> {
    if !args.yes && !is_confirmed(config)? {
        return Ok(MISUSED);
    }
    let told = match ledger::holder(&config.ledger.path.0.0) {
        Some(_) => by_daemon(config)?,
        None if config.is_shared() => anyhow::bail!(
            "the map is shared, and no daemon runs: start trytlsd, or disarm it on another MTA of the fleet"
        ),
        None => match Book::open(&config.ledger.path.0.0, false, Pulse::new()) {
            Ok((book, remembered)) => directly(config, book, remembered)?,
            Err(Error::Locked { .. }) => by_daemon(config)?,
            Err(error) => return Err(error.into()),
        },
    };
    told.tell(args.common.json)
}

/// Whether whoever typed it means it.
fn is_confirmed(config: &Config) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        complain("disarm takes all entries out; to say that you mean it, add --yes");
        return Ok(false);
    }
    if config.is_shared() {
        return ask_whether(
            "This takes the entries of the whole fleet out of its directory, for all MTAs: TLS is then tried with those\n\
             hosts again, and mail to one whose STARTTLS is still broken is stuck. Go on? [y/N] ",
        );
    }
    let file = &config.access.file.0.0;
    let ours = fs::read(file).map_or(0, |text| block::parse(&text).managed.len());
    let question = format!(
        "This takes all entries of trytlsd ({ours}) out of {}: TLS is then tried with those hosts again,\n\
         and mail to one whose STARTTLS is still broken is stuck. Go on? [y/N] ",
        file.display()
    );
    ask_whether(&question)
}

fn ask_whether(question: &str) -> anyhow::Result<bool> {
    io::stderr().lock().write_all(question.as_bytes())?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes" | "Yes");
    if !yes {
        complain("nothing was changed");
    }
    Ok(yes)
}

/// Asks the daemon, and waits until its map is without them.
fn by_daemon(config: &Config) -> anyhow::Result<Told> {
    let mut told = ask(config, &Wish::Disarm, DISARMED)?;
    if told.outcome != DISARMED {
        return Ok(told);
    }
    let deadline = Instant::now() + config.access.timeout.to_std() + PATIENCE;
    loop {
        let left = Glimpse::of_ledger(config)?.state.removing();
        told.left = Some(left);
        if left == 0 {
            told.says.push_str("; they are out of file and map");
            return Ok(told);
        }
        if Instant::now() >= deadline {
            told.says.push_str(&format!("; {left} are not out yet (see the daemon's log)"));
            return Ok(told);
        }
        thread::sleep(LOOK_EVERY);
    }
}

const DISARMED: &str = "disarmed";

/// Does it here, in the daemon's stead.
fn directly(config: &Config, mut book: Book, mut remembered: Remembered) -> anyhow::Result<Told> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let host = Host::look(config);
    let beside = Beside::of(host.beside());
    let mut keeper = Keeper::new(host.settings(config), beside, true, remembered.rest.take());
    let Seen { look, rest } = keeper.begin()?;
    book.note_rest(rest);
    // An older word does not undo this one at the next start.
    for request in std::mem::take(&mut remembered.requests) {
        if let Ok(Wish::Pause | Wish::Resume | Wish::Disarm) = Wish::of_text(&request.what) {
            let later = Outcome::refused("a later word stands: all was disarmed".to_owned());
            book.answer(request.id, &later, clock::now());
        }
    }
    let uid = rustix::process::getuid().as_raw();
    let who = client::who(client::login().as_deref(), uid);
    let wish = Wish::Disarm.into_request(&who, clock::now());
    let wish = wish.map_err(|outcome| anyhow::anyhow!(outcome.says))?;
    // Halted from the first: what was wiped away is not put back before it is taken out.
    let paused = Halt { kind: HaltKind::Paused, since: 0, who: who.into() };
    let halt = remembered.halt.clone().unwrap_or(paused);
    let mut state = remembered.state(config.rules()).with_halt(Some(halt));
    let remove: Vec<Tagged> = look.ours.iter().map(Managed::tagged).collect();
    let mut effects = Vec::new();
    for input in [Input::Map(MapState::Loaded(look)), Input::Request(wish)] {
        effects.extend(take(&mut state, &mut book, input));
    }
    commit(&runtime, &mut book, &mut state)?;
    let applied = match remove.is_empty() {
        true => Ok(()),
        false => keeper.apply(&[], &remove).map(drop),
    };
    if applied.is_ok() {
        for effect in effects {
            if let Some(answer) = removed(effect) {
                take(&mut state, &mut book, answer);
            }
        }
        commit(&runtime, &mut book, &mut state)?;
    }
    runtime.block_on(book.close());
    let (says, left) = match applied {
        Ok(()) => (format!("{} out of file and map", entries(remove.len())), 0),
        Err(error) => {
            let left = entries(remove.len());
            (
                format!("{error}; {left} still in the file, for the next daemon to take out"),
                remove.len(),
            )
        }
    };
    let says = format!(
        "no daemon runs, so it was done here: {says}; nothing is written until trytlsd resume"
    );
    Ok(Told { outcome: DISARMED, says, request: None, left: Some(left) })
}

/// Feeds the heart; what it wants done.
fn take(state: &mut State, book: &mut Book, input: Input<'_>) -> Vec<Effect> {
    let now = clock::now();
    let outcome = step(state, input, now);
    outcome.changes.iter().for_each(|change| book.tell(change, now));
    outcome.effects
}

fn commit(runtime: &Runtime, book: &mut Book, state: &mut State) -> anyhow::Result<()> {
    let committed = runtime.block_on(async { timeout(COMMIT, book.commit(state)).await });
    Ok(committed.context("the ledger takes no commit")??)
}

/// The answer to an order to take out.
fn removed(effect: Effect) -> Option<Input<'static>> {
    match effect {
        Effect::Edit(edit) if edit.add.is_empty() => {
            Some(Input::Map(MapState::Removed(edit.relay, edit.remove)))
        }
        Effect::EditClient(ClientEdit::Remove(address, _)) => {
            Some(Input::Client(ClientNews::Map(address, Became::Removed)))
        }
        _ => None,
    }
}

/// So many entries.
pub(crate) fn entries(count: usize) -> String {
    match count {
        0 => "no entries".to_owned(),
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    }
}
