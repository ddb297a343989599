//! `trytlsd scan`: whole logs through the same heart as the daemon, with the map left alone.
//!
//! The lines are read first, with their log times; then the facts are asked for, all at once; then the verdicts are
//! given. A question that was raised in the middle of the log is therefore answered with what DNS says today.

use std::collections::HashSet;
use std::net::IpAddr;

use access::block;
use access::managed::Managed;
use access::remedy::Tagged;
use config::Config;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maillog::finder::Finder;
use maillog::pending::Pending;
use maillog::stamp::Calendar;
use policy::fact::{Answer, Fact, Ptr, Question};
use policy::input::{Effect, Input, MapState};
use policy::state::State;
use policy::step::step;
use tailer::Source;

use crate::asking::Answers;
use crate::beside::Beside;
use crate::cli;
use crate::clock;
use crate::glimpse;
use crate::host::Host;
use crate::output::{Style, complain, print};
use crate::progress::Progress;
use crate::reader::KINDS;
use crate::report::{Listed, Report};
use crate::tally::{Relay, Tally};
use crate::verdict::{Verdict, judge};

/// The exit status if something could not be read.
const UNREAD: u8 = 1;

/// One run over some logs.
struct Scan {
    state: State,
    tally: Tally,
    lines: u64,
    bytes: u64,
    skipped: u64,
    /// The last moment that the log names.
    last: Timestamp,
}

/// Runs the command.
pub(crate) fn run(args: &cli::Scan, config: &Config) -> anyhow::Result<u8> {
    let mut status = 0;
    let mut unread = |error: tailer::Error| {
        complain(error);
        status = UNREAD;
    };
    let good = args.files.iter().filter(|spec| match tailer::sources([spec]) {
        Ok(_) => true,
        Err(error) => {
            unread(error);
            false
        }
    });
    let sources = tailer::sources(good.collect::<Vec<_>>())?;
    let mut scan = Scan {
        state: state(config),
        tally: Tally::default(),
        lines: 0,
        bytes: 0,
        skipped: 0,
        last: Timestamp::UNIX_EPOCH,
    };
    let progress = Progress::start(sources.iter().map(Source::size).sum());
    let mut before = 0;
    let mut finder = Finder::with(KINDS, config.patterns(), Pending::default());
    for source in &sources {
        if let Err(error) = scan.read(source, &mut finder, |bytes| progress.at(before + bytes)) {
            unread(error);
        }
        before += source.size().unwrap_or(0);
    }
    progress.finish();
    let mut answers = match args.no_dns {
        true => Answers::default(),
        false => Answers::over(config, Vec::new())?,
    };
    scan.decide(&mut answers)?;
    let report = scan.report(&answers);
    print(if args.json { report.json()? } else { report.text(config, Style::of_stdout()) })?;
    Ok(status)
}

/// A heart for old logs. All decisions fall at their end, so how many there may be in an hour says nothing. Of this host
/// only the access file, or the directory of a fleet, is read, if it can be; the logs may be another one's.
fn state(config: &Config) -> State {
    let mut rules = config.rules();
    rules.guards.max_per_hour = 0;
    // Nobody else is asked about an old log.
    rules.fleet = None;
    let mut state = State::new(rules);
    if let Some(look) = glimpse::look_at_directory(config, &Host::look(config)) {
        state.set_admin(match look {
            Ok(look) => Answer::Known(look.admins),
            Err(why) => Answer::Unknown(why.into()),
        });
    } else if let Ok(text) = std::fs::read(&config.access.file.0.0) {
        let admins = block::parse(&text).admins;
        state.set_admin(match Beside::of(Host::look(config).beside()).read() {
            Ok(beside) => Answer::Known(beside.before(admins)),
            Err(error) => Answer::Unknown(error.to_string().into()),
        });
    }
    state
}

impl Scan {
    fn read(
        &mut self,
        source: &Source,
        finder: &mut Finder,
        progress: impl Fn(u64),
    ) -> Result<(), tailer::Error> {
        let mut input = source.open()?;
        let written = input.mtime().and_then(|mtime| Timestamp::try_from(mtime).ok());
        let latest = written.unwrap_or_else(clock::now);
        let mut stamps = Calendar { latest, zone: TimeZone::system() }.reader();
        let Self { state, tally, last, lines, .. } = self;
        let outcome = loop {
            let block = match input.next_block() {
                Ok(Some(block)) => block,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            *lines += count_lines(block.bytes);
            finder.feed(block.bytes, &mut |event| {
                let at = stamps.resolve(event.stamp).unwrap_or(latest);
                *last = at.max(*last);
                tally.note(&event, at);
                withhold(state, Input::Event(&event), at);
            });
            progress(input.read_bytes());
        };
        self.bytes += input.unpacked_bytes();
        self.skipped += input.skipped();
        self.lines += input.skipped();
        outcome
    }

    /// Gives the candidates their facts, and withholds the edits. Asked is about every address at which mail was stuck,
    /// and whatever else candidates wait for, all at once; then about what follows from the answers.
    fn decide(&mut self, answers: &mut Answers) -> anyhow::Result<()> {
        let relays = self.tally.sorted();
        let addresses = relays.iter().flat_map(|(_, relay)| &relay.addresses);
        let mut questions: HashSet<Question> =
            addresses.map(|address| Question::Ptr(*address)).collect();
        questions.extend(self.state.questions());
        while !questions.is_empty() {
            answers.ask(questions)?;
            let open: HashSet<Question> = self.state.questions().collect();
            for question in open {
                withhold(&mut self.state, Input::Fact(answers.get(&question)), self.last);
            }
            questions = self.state.questions().collect();
        }
        Ok(())
    }

    fn report(&mut self, answers: &Answers) -> Report {
        let rules = self.state.rules().clone();
        let relays = self.tally.sorted();
        let list = |(name, relay): &(&str, &Relay)| {
            let record = self.state.record(name);
            let (verdict, why) = judge(&rules, name, relay, record);
            let ptrs: Vec<_> =
                relay.addresses.iter().map(|address| ptr_of(answers, *address)).collect();
            let keys: &[Tagged] = match (verdict, record) {
                (Verdict::Propose, Some(record)) => record.proposed(),
                _ => &[],
            };
            Listed::new(name, relay, &ptrs, verdict, why, keys)
        };
        Report {
            lines: self.lines,
            bytes: self.bytes,
            skipped: self.skipped,
            unlisted: self.tally.unlisted,
            relays: relays.iter().map(list).collect(),
        }
    }
}

fn ptr_of(answers: &Answers, address: IpAddr) -> Answer<Ptr> {
    match answers.get(&Question::Ptr(address)) {
        Fact::Ptr(_, answer) => answer,
        Fact::Tlsa(..) | Fact::Sts(..) | Fact::Addresses(..) => Answer::NotAsked,
    }
}

/// One step, its edits withheld.
fn withhold(state: &mut State, input: Input<'_>, now: Timestamp) {
    for effect in step(state, input, now).effects {
        if let Effect::Edit(edit) = effect {
            let keys = edit.add.iter().map(Managed::tagged).collect();
            withhold(state, Input::Map(MapState::Withheld(edit.relay, keys)), now);
        }
    }
}

/// Lines in a block; a last line without its newline counts.
fn count_lines(block: &[u8]) -> u64 {
    let newlines = memchr::memchr_iter(b'\n', block).count() as u64;
    newlines + u64::from(block.last().is_some_and(|byte| *byte != b'\n'))
}
