//! `trytlsd explain`: all that is known of a relay, put to every guard as if the decision were now.

use std::collections::HashSet;
use std::net::IpAddr;

use access::remedy::Tagged;
use config::Config;
use jiff::Timestamp;
use ledger::Happening;
use maillog::relay::Relay;
use policy::adoption::adoptable;
use policy::approval::Approval;
use policy::asked::Asked;
use policy::candidate::keys_for;
use policy::evidence::Weight;
use policy::fact::{Answer, Ptr};
use policy::guard::{Opinion, Says, judge};
use policy::life::Life;
use policy::moment::moment;
use policy::record::Record;
use policy::state::State;

use crate::asking::Answers;
use crate::cli;
use crate::clock;
use crate::explained::{
    Address, Adopted, Alarm, Approved, Evidence, Explained, Guard, Happened, Lived, Success,
};
use crate::glimpse::Glimpse;
use crate::happening::probe_words;
use crate::output::{Style, complain, print};
use crate::remembered::CLIENT;
use crate::subject::Subject;
use crate::verdict::missing;
use crate::{FAILED, explain_client};

/// Runs the command.
pub(crate) fn run(args: &cli::Explain, config: &Config) -> anyhow::Result<u8> {
    let now = clock::now();
    let mut glimpse = Glimpse::take(config)?;
    let subject = match Subject::of(&args.about, &glimpse.state) {
        Ok(subject) => subject,
        Err(status) => return Ok(status),
    };
    let mut status = 0;
    let name = match &subject {
        Subject::Relay(relay) => relay.as_str().to_owned(),
        Subject::Client(address) => format!("{CLIENT}{address}"),
    };
    let history = glimpse.history(&name).unwrap_or_else(|error| {
        complain(error);
        status = FAILED;
        Vec::new()
    });
    let (json, style) = (args.about.json, Style::of_stdout());
    let shown = match &subject {
        Subject::Relay(relay) => {
            let asked = ask(args, config, &mut glimpse, relay)?;
            let explained = explain(&glimpse, relay, &asked, history, now);
            if json { explained.json()? } else { explained.text(style) }
        }
        Subject::Client(address) => {
            let explained = explain_client::explain(&glimpse, *address, history, now);
            if json { explained.json()? } else { explained.text(style) }
        }
    };
    print(shown)?;
    Ok(status)
}

/// Asks the network all that would be asked of the relay.
fn ask(
    args: &cli::Explain,
    config: &Config,
    glimpse: &mut Glimpse,
    relay: &Relay<'_>,
) -> anyhow::Result<Asked> {
    let mut asked = glimpse.state.would_ask(relay);
    let mut answers = match args.no_dns {
        true => Answers::default(),
        false => Answers::over(config, std::mem::take(&mut glimpse.policies))?,
    };
    loop {
        let questions: HashSet<_> = asked.open().collect();
        if questions.is_empty() {
            break;
        }
        answers.ask(questions.clone())?;
        for question in questions {
            asked.answer(&answers.get(&question));
        }
    }
    Ok(asked)
}

/// What is known, with the answers that have come.
fn explain(
    glimpse: &Glimpse,
    relay: &Relay<'_>,
    asked: &Asked,
    history: Vec<Happening>,
    now: Timestamp,
) -> Explained {
    let state = &glimpse.state;
    let record = state.record(relay.as_str());
    let adopted = state.adoptions().get(relay.as_str());
    let opinions = judge(state, relay, asked, now);
    let (keys, no_key) = match keys_for(state, relay, asked) {
        Ok(keys) => (keys, None),
        Err(hold) => (Vec::new(), Some(hold.to_string())),
    };
    let lines = |keys: &[Tagged]| keys.iter().map(Tagged::line).collect::<Vec<_>>();
    Explained {
        relay: relay.as_str().to_owned(),
        at: now,
        ledger: glimpse.has_ledger(),
        entries: lines(record.map_or(&[], Record::active)),
        proposed: lines(record.map_or(&[], Record::proposed)),
        adopted: adopted.map(|adopted| shown(state, adopted)),
        adoptable: adoptable(state, relay),
        life: record.and_then(Record::life).or(adopted.map(|a| &a.life)).map(lived),
        probation: record.and_then(|r| r.probation(now)).map(|p| moment(p.until)),
        evidence: record.and_then(|record| evidence(state, record, now)),
        last_success: state.last_success(relay.as_str()).map(|success| Success {
            at: moment(success.second),
            version: success.handshake.version(),
            verify: success.handshake.verify(),
        }),
        addresses: asked.ptr.iter().map(address).collect(),
        domains: record.and_then(Record::domains).map_or(Vec::new(), |domains| {
            domains.list().iter().map(|domain| domain.to_string()).collect()
        }),
        more_domains: record.and_then(Record::domains).is_some_and(|domains| domains.has_more()),
        lines: lines(&keys),
        no_line: no_key,
        guards: opinions.iter().map(|opinion| guard(state, opinion)).collect(),
        approved: record.and_then(|record| record.approval(now)).map(approved),
        lifted_until: record
            .and_then(Record::lifted_until)
            .map(moment)
            .filter(|until| *until > now),
        alarms: alarms(state),
        missing: missing(
            state.rules(),
            record.map(|r| r.evidence.clone().weigh(state.rules(), now)),
        ),
        history: happened(history),
    }
}

/// The adopted line, and where it stands now.
fn shown(state: &State, adopted: &policy::adoption::Adopted) -> Adopted {
    Adopted {
        line: adopted.line.to_string(),
        line_no: state.admins_line(&adopted.key),
        at: moment(adopted.word.at),
        who: adopted.word.who.to_string(),
        reason: adopted.word.reason.to_string(),
        mended_since: (adopted.mended > 0).then(|| moment(adopted.mended)),
        lifting: adopted.lifting,
    }
}

pub(crate) fn approved(approval: &Approval) -> Approved {
    Approved {
        until: moment(approval.until),
        at: moment(approval.at),
        who: approval.who.to_string(),
        reason: approval.reason.to_string(),
    }
}

pub(crate) fn alarms(state: &State) -> Vec<Alarm> {
    let alarm = |alarm: &policy::alarm::Alarm| Alarm {
        about: alarm.about.word(),
        since: moment(alarm.since),
        says: alarm.says.to_string(),
    };
    state.alarms().iter().map(alarm).collect()
}

pub(crate) fn happened(history: Vec<Happening>) -> Vec<Happened> {
    let one = |row: Happening| Happened { at: row.at, what: row.what, detail: row.detail };
    history.into_iter().map(one).collect()
}

fn lived(life: &Life) -> Lived {
    Lived {
        since: moment(life.since),
        until: (life.until != u32::MAX).then(|| moment(life.until)),
        next_probe: moment(life.next),
        last_probe: life.last.as_ref().map(|(at, _)| moment(*at)),
        found: life.last.as_ref().map(|(_, probed)| probe_words(probed)),
        hits: life.hits,
        last_used: (life.used > 0).then(|| moment(life.used)),
        sent: life.sent,
        deferred: life.deferred,
        failed: life.failed,
    }
}

fn evidence(state: &State, record: &Record, now: Timestamp) -> Option<Evidence> {
    let weight = record.evidence.clone().weigh(state.rules(), now);
    evidence_of(&record.evidence, weight)
}

/// What was counted, and what it weighs.
pub(crate) fn evidence_of(
    evidence: &policy::evidence::Evidence,
    weight: Weight,
) -> Option<Evidence> {
    let (began, last) = (evidence.began()?, evidence.last()?);
    Some(Evidence {
        stuck: weight.stuck,
        handshake: weight.strong,
        network: weight.stuck.saturating_sub(weight.strong),
        span: weight.span.as_secs(),
        began: moment(began),
        last: moment(last),
        enough: weight.enough,
    })
}

fn address((address, answer): &(IpAddr, Option<Answer<Ptr>>)) -> Address {
    let names = match answer {
        Some(Answer::Known(ptr)) => ptr.names.as_slice(),
        _ => &[],
    };
    let state = match answer {
        Some(Answer::Unknown(why)) => format!("unknown: {why}"),
        Some(Answer::NotAsked) | None => "not asked".to_owned(),
        Some(Answer::Known(_)) if names.is_empty() => "none".to_owned(),
        Some(Answer::Known(_)) => names
            .iter()
            .map(|name| {
                let not = if name.confirmed { "" } else { "not " };
                format!("{} ({not}confirmed)", name.name)
            })
            .collect::<Vec<_>>()
            .join(", "),
    };
    Address { address: *address, ptr: state }
}

pub(crate) fn guard(state: &State, opinion: &Opinion) -> Guard {
    let guard = opinion.guard.to_string();
    match &opinion.says {
        Says::Silent(fact) => Guard { guard, says: "silent", why: fact.clone(), to_do: None },
        Says::Waits(what) => Guard { guard, says: "waits", why: what.clone(), to_do: None },
        Says::Holds(hold) => Guard {
            guard,
            says: if hold.is_unknown() { "unknown" } else { "holds" },
            why: hold.to_string(),
            to_do: Some(hold.overrule(state.host().dane).err()),
        },
    }
}
