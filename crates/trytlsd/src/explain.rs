//! `trytlsd explain`: all that is known of a relay, put to every guard as if the decision were now.

use std::collections::HashSet;
use std::net::IpAddr;

use access::remedy::Tagged;
use config::Config;
use jiff::Timestamp;
use ledger::Happening;
use maillog::relay::{Relay, parse_address};
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
use crate::control::client::{self, Form, Reached};
use crate::explain_client;
use crate::explained::{
    Address, Adopted, Alarm, Approved, Evidence, Explained, Guard, Halted, Happened, Lived, Success,
};
use crate::glimpse::Glimpse;
use crate::happening::probe_words;
use crate::output::{complain, print};
use crate::remembered::CLIENT;
use crate::subject::Subject;
use crate::verdict::missing;

/// Runs the command: the daemon is asked; where none answers, the ledger.
pub(crate) fn run(args: &cli::Explain, config: &Config) -> anyhow::Result<u8> {
    let about = &args.about;
    let form = if about.common.json { Form::Json } else { Form::of_stdout() };
    // What cannot be a relay's name, or is a client's, is settled here.
    let question = match (&about.relay, &about.client) {
        (Some(relay), None) if is_name(relay) => {
            Some(client::about_relay(relay, form, !args.no_dns))
        }
        (None, Some(client)) => parse_address(client.trim()).map(|a| client::about_client(a, form)),
        _ => None,
    };
    if let Some(question) = question {
        match client::get(config, &question)? {
            Reached::Answer(answer) => {
                print(String::from_utf8_lossy(&answer))?;
                return Ok(0);
            }
            Reached::Refused(refusal) => return refusal.tell(),
            Reached::Nobody(why) => complain(format!("{why}; this is what the ledger says")),
        }
    }
    match look(config, |state| Subject::of(about, state), !args.no_dns, form)? {
        Ok(shown) => print(shown).map(|()| 0).map_err(Into::into),
        Err(status) => Ok(status),
    }
}

/// Whether a log could name a relay so.
pub(crate) fn is_name(typed: &str) -> bool {
    Relay::parse(typed.trim().trim_end_matches('.').as_bytes()).is_some()
}

/// All that is known of whom `subject` finds, in the form that is asked for; or what `subject` says instead. Waits for the
/// network, if that is to be asked.
///
/// # Errors
/// If the ledger cannot be read, or nobody can be asked.
pub(crate) fn look(
    config: &Config,
    subject: impl FnOnce(&State) -> Result<Subject, u8>,
    ask_network: bool,
    form: Form,
) -> anyhow::Result<Result<String, u8>> {
    let now = clock::now();
    let mut glimpse = Glimpse::take(config)?;
    let subject = match subject(&glimpse.state) {
        Ok(subject) => subject,
        Err(status) => return Ok(Err(status)),
    };
    Ok(Ok(match &subject {
        Subject::Relay(relay) => {
            let history = glimpse.history(relay.as_str())?;
            let asked = ask(config, &mut glimpse, relay, ask_network)?;
            let mut explained = explain(&glimpse, relay, &asked, history, now);
            let log = glimpse.lines(relay.as_str())?;
            explained.log = log.into_iter().map(|kept| kept.line).collect();
            form.of(|| explained.json(), |style| explained.text(style))?
        }
        Subject::Client(address) => {
            let history = glimpse.history(&format!("{CLIENT}{address}"))?;
            let explained = explain_client::explain(&glimpse, *address, history, now);
            form.of(|| explained.json(), |style| explained.text(style))?
        }
    }))
}

/// Asks the network all that would be asked of the relay.
fn ask(
    config: &Config,
    glimpse: &mut Glimpse,
    relay: &Relay<'_>,
    ask_network: bool,
) -> anyhow::Result<Asked> {
    let mut asked = glimpse.state.would_ask(relay);
    let mut answers = match ask_network {
        false => Answers::default(),
        true => Answers::over(config, std::mem::take(&mut glimpse.policies))?,
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
        halt: state.halt().map(Halted::of),
        alarms: alarms(state),
        missing: missing(
            state.rules(),
            record.map(|r| r.evidence.clone().weigh(state.rules(), now)),
        ),
        log: Vec::new(),
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
