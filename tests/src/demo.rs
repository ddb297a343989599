//! The demo: the whole main job on one screen, in a folder of its own, without root and without
//! touching the host's mail set-up. It checks itself: what does not come out as it should is said, and
//! the status is then 1.
//!
//! What is real: the daemon, makemap and its map, the log's lines as sendmail 8.17 words them (names,
//! addresses and times are changed). What is not: no sendmail runs here, so the last queue run shows
//! what one logged in the same situation; `make test` has the real one.

mod diff;
mod sample;
mod show;
mod stage;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use self::sample::{Round, Sample};
use self::show::Show;
use self::stage::{SCAN_NAMES, Stage};
use crate::local::{self, Local};

/// How long anything that is awaited may take. On an idle machine it takes milliseconds.
const LIMIT: Duration = Duration::from_secs(15);

/// What stays silent is listened to for so long.
const SILENCE: Duration = Duration::from_millis(300);

/// The entries that dry run must propose, in the order in which the relays fail.
const PROPOSED: [(&str, &str); 3] = [
    ("mx.alder.example.test", "its PTR is that very name"),
    ("192.0.2.22", "its PTR is another name: the address"),
    ("IPv6:2001:db8:0:0:0:0:0:41", "no PTR: the address"),
];

/// The entry that the second address of a relay gets.
const FURTHER: &str = "192.0.2.23";

/// The relay that only imitations name.
const VICTIM: &str = "mx.victim.example.test";

/// The command; gives whether all came out as it should.
///
/// # Errors
/// Where the demo cannot go on; what was seen so far is then printed.
pub fn main() -> Result<bool> {
    let mut show = Show::new();
    let begin = Instant::now();
    let mut stage = Stage::new()?;
    let outcome = play(&mut stage, &mut show);
    if let Err(error) = &outcome {
        show.failed(&format!("{error:#}"))?;
    }
    let time = begin.elapsed().as_secs_f32();
    if show.failures() == 0 {
        show.end(&format!("All {} checks hold, after {time:.0} s.", show.checks()))?;
        return Ok(true);
    }
    let folder = stage.keep();
    let failures = show.failures();
    show.end(&format!("FAILED in {failures} points; the files are left in {}", folder.display()))?;
    Ok(false)
}

fn play(stage: &mut Stage, show: &mut Show) -> Result<()> {
    let program = local::program()?;
    let sample = Sample::load();
    let [first, second, third, last] = sample.rounds() else {
        anyhow::bail!("config/sample.log has not four queue runs");
    };
    show.title(
        "trytlsd: from a growing maillog to a map that sendmail obeys",
        &[
            &format!("All of it happens in {}.", stage.folder().display()),
            "It needs no root, and nothing of the host's mail set-up is touched.",
        ],
    )?;

    set(stage, show)?;

    show.step("Dry run: the daemon follows the log and only says what it would do")?;
    show.command("trytlsd run --config trytlsd.toml &")?;
    let before = stage.access()?;
    let map_before = stage.map()?;
    let mut daemon = Local::start(&program, &["run", "--config", "trytlsd.toml"], stage.folder())?;
    let played = (|| {
        daemon.wait_for(LIMIT, "the start", |said| said.line.contains("following"))?;
        show.note("Three runs of the queue, half an hour apart in life, are written bit by bit:")?;
        for round in [first, second, third] {
            write(stage, show, round, std::ptr::eq(round, first))?;
        }
        dry_run(stage, show, &mut daemon, &before, &map_before)?;
        for_real(stage, show, &mut daemon, &before)?;
        next_run(stage, show, &mut daemon, last)?;
        reasons(stage, show, &program)?;
        show.step("The end")?;
        show.command(&format!("kill -TERM {}", daemon.pid()))?;
        let status = daemon.stop()?;
        show.check(status.success(), &format!("the daemon has ended: {status}"), String::new)
    })();
    if played.is_err() || show.failures() > 0 {
        let lines: Vec<&str> = daemon.said().iter().map(|said| said.line.as_str()).collect();
        show.note("The daemon said:")?;
        show.log(&lines)?;
    }
    played
}

/// The files before anything happens.
fn set(stage: &Stage, show: &mut Show) -> Result<()> {
    show.step("The stage")?;
    show.command("cat access")?;
    let access = stage.access()?;
    show.block(&access.lines().collect::<Vec<_>>())?;
    match stage.makemap() {
        Some(makemap) => {
            if !makemap.is_own {
                show.note(&format!(
                    "This host has no makemap; Debian's, unpacked and not installed, is {}.",
                    makemap.path.display()
                ))?;
            }
            show.command("makemap hash access < access")?;
            stage.build_map()?;
        }
        None => show.note(
            "There is no makemap here and none could be unpacked: map class text is used, where \
             sendmail reads the text itself.",
        )?,
    }
    show.command("cat trytlsd.toml")?;
    show.block(&stage.config()?.lines().collect::<Vec<_>>())?;
    show.note(&format!(
        "The DNS server at {} is the demo's own. It knows these addresses:",
        stage.dns_address()
    ))?;
    show.block(&stage::DNS.map(|(address, ptr)| match ptr {
        Some(name) => format!("{address:<14} PTR {name}, and back"),
        None => format!("{address:<14} no PTR"),
    }))
}

/// Write a queue run and show what is in it.
fn write(stage: &Stage, show: &mut Show, round: &Round, whole: bool) -> Result<()> {
    let failures = match round.failures().count() {
        1 => "1 broken handshake".to_owned(),
        many => format!("{many} broken handshakes"),
    };
    let colon = if whole { "; the first looks like this:" } else { "" };
    let lines = round.lines().len();
    show.note(&format!("{}  {lines} lines, among them {failures}{colon}", round.minute()))?;
    if whole {
        show.log(&round.first_failure())?;
    }
    stage.append(round)
}

fn dry_run(
    stage: &Stage,
    show: &mut Show,
    daemon: &mut Local,
    before: &str,
    map_before: &[String],
) -> Result<()> {
    for (key, _) in PROPOSED {
        let line = stage::entry(key);
        daemon.wait_for(LIMIT, &line, |said| said.proposed && said.line == line)?;
    }
    std::thread::sleep(SILENCE);
    let said: Vec<String> =
        daemon.said().iter().filter(|said| said.proposed).map(|said| said.line.clone()).collect();
    show.note("On its standard output it shows what it would write, and why that key:")?;
    for line in &said {
        let why = PROPOSED.iter().find(|(key, _)| stage::entry(key) == *line);
        show.added(line, why.map_or("", |(_, why)| why))?;
    }
    let same = |a: &[String]| {
        a.len() == PROPOSED.len() && PROPOSED.iter().all(|(key, _)| a.contains(&stage::entry(key)))
    };
    show.check(same(&said), "three relays are proposed, and no other", || format!("{said:#?}"))?;
    let after = stage.access()?;
    show.check(after == before, "the access file is as it was, to the byte", || after.clone())?;
    if stage.makemap().is_none() {
        return Ok(());
    }
    let map = stage.map()?;
    show.check(map == map_before, "so is the map", || format!("{map:#?}"))
}

fn for_real(stage: &Stage, show: &mut Show, daemon: &mut Local, before: &str) -> Result<()> {
    show.step("For real: dry run ends, without a restart")?;
    show.command("sed -i 's/^dry_run = true/dry_run = false/' trytlsd.toml")?;
    stage.arm()?;
    show.command(&format!("kill -HUP {}", daemon.pid()))?;
    daemon.signal(Signal::HUP)?;
    for (key, _) in PROPOSED {
        let wanted = format!("entry=\"{}\"", stage::entry(key).escape_default());
        daemon.wait_for(LIMIT, &format!("{key} being active"), |said| {
            said.line.contains(" active ") && said.line.contains(&wanted)
        })?;
    }
    show.note("What was proposed went through the guards again and is written, in one block:")?;
    let after = stage.access()?;
    show.diff(&diff::lines(before, &after))?;
    let kept = after.strip_prefix(before);
    show.check(kept.is_some(), "the admin's lines are untouched, to the byte", || after.clone())?;
    in_map(stage, show, PROPOSED.iter().map(|(key, _)| *key))?;
    let proofs = PROPOSED.len();
    let relays = ["mx.alder", "mx.birch", "mx.cedar"];
    for relay in relays {
        let what = format!("the proof for {relay}");
        daemon.wait_for(LIMIT, &what, |said| {
            said.line.contains(" proof ") && said.line.contains(relay)
        })?;
    }
    let lines: Vec<String> = daemon
        .said()
        .iter()
        .filter(|said| said.line.contains(" proof "))
        .map(|said| show::without_stamp(&said.line))
        .collect();
    show.note("The proof: no sendmail uses this map, so the keys were read back from it:")?;
    show.block(&lines)?;
    let good = lines.len() == proofs && lines.iter().all(|line| line.contains("ReadBack"));
    show.check(good, "each entry is proven", || format!("{lines:#?}"))
}

/// Look the keys up in the map that the daemon has built.
fn in_map<'a>(stage: &Stage, show: &mut Show, keys: impl Iterator<Item = &'a str>) -> Result<()> {
    let keys: Vec<&str> = keys.collect();
    if stage.makemap().is_none() {
        return show.note("(the text is the map: there is nothing to look up)");
    }
    show.command("makemap -u hash access | grep -i try_tls")?;
    let map = stage.map()?;
    let ours: Vec<&str> =
        map.iter().map(String::as_str).filter(|line| line.starts_with("try_tls:")).collect();
    show.block(&ours)?;
    let all = keys.iter().all(|key| {
        let wanted = format!("try_tls:{}\tNO", key.to_ascii_lowercase());
        ours.contains(&wanted.as_str())
    });
    show.check(all, "makemap finds each of them in the new map", || format!("{map:#?}"))?;
    let admins = stage.access()?;
    let admins = admins.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    show.check(map.len() == admins, "and every line of the admin's", || format!("{map:#?}"))
}

fn next_run(stage: &Stage, show: &mut Show, daemon: &mut Local, last: &Round) -> Result<()> {
    show.step("The next run of the queue")?;
    let before = stage.access()?;
    write(stage, show, last, false)?;
    show.note(
        "No sendmail runs here (make test has a real one). Where it finds the entries in its map it \
         logs this, and the mail is out, in clear:",
    )?;
    show.log(&last.obeyed())?;
    show.note(
        "mx.birch.example.test has a second address, not covered by its entry. One stuck attempt \
         there is enough for a relay that is past its threshold:",
    )?;
    let wanted = format!("entry=\"{}\"", stage::entry(FURTHER).escape_default());
    daemon.wait_for(LIMIT, "the further address being active", |said| {
        said.line.contains(" active ") && said.line.contains(&wanted)
    })?;
    let after = stage.access()?;
    show.diff(&diff::lines(&before, &after))?;
    let keys = PROPOSED.iter().map(|(key, _)| *key).chain([FURTHER]);
    let all = keys.clone().all(|key| after.contains(&format!("\n{}\n", stage::entry(key))));
    let count = after.matches("\nTry_TLS:").count();
    let right = all && count == PROPOSED.len() + 2;
    show.check(right, "four entries of ours and one of the admin's", || after.clone())?;
    in_map(stage, show, keys)
}

/// Every relay with what became of it.
fn reasons(stage: &Stage, show: &mut Show, program: &std::path::Path) -> Result<()> {
    show.step("Who got no entry, and why")?;
    show.command("trytlsd scan --config trytlsd.toml mail.log")?;
    let relays = stage.scan(program)?;
    ensure!(!relays.is_empty(), "scan found no relay");
    let row = |relay: &str, broken: &str, stuck: &str, verdict: &str, why: &str| {
        format!("{relay:<24} {broken:>6} {stuck:>5}  {verdict:<10} {why}")
    };
    let head = row("relay", "broken", "stuck", "verdict", "why");
    let rows = relays.iter().map(|relay| {
        let (broken, stuck) = (relay.attempts.to_string(), relay.confirmed.to_string());
        row(&relay.name, &broken, &stuck, &relay.verdict, &relay.why)
    });
    show.table(&[head].into_iter().chain(rows).collect::<Vec<_>>())?;
    let got: Vec<(&str, &str)> =
        relays.iter().map(|relay| (relay.name.as_str(), relay.verdict.as_str())).collect();
    let right =
        SCAN_NAMES.iter().all(|expect| got.contains(expect)) && got.len() == SCAN_NAMES.len();
    show.check(right, "each verdict is the right one", || format!("{got:#?}"))?;
    let log = stage.log()?;
    let imitations = log.lines().filter(|line| line.contains(VICTIM)).count();
    show.note(&format!(
        "{VICTIM} stands in {imitations} lines, in text that a remote side wrote:"
    ))?;
    let line = log.lines().find(|line| line.contains(VICTIM) && line.contains("arg1=SOFTWARE"));
    show.log(&[show::without_stamp(line.context("no imitation in the log")?)])?;
    let accused = got.iter().any(|(name, _)| *name == VICTIM) || stage.access()?.contains(VICTIM);
    show.check(!accused && imitations > 0, "it is accused of nothing", || format!("{got:#?}"))
}
