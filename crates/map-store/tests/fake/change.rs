//! One change of an access file, in a process of its own that can be killed at a failure point:
//! `change ACCESS MAKEMAP WAY CHANGE`.

#![allow(clippy::print_stderr, reason = "it is a program that prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use access::managed::Managed;
use access::remedy::{Remedy, Tagged};
use map_store::{Class, FileStore, Rebuild, Settings};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [access, makemap, way, change] = args.as_slice() else { return ExitCode::from(2) };
    let rebuild = match way.as_str() {
        "replace" => Rebuild::Replace,
        "append" => Rebuild::Append,
        "none" => Rebuild::None,
        command => Rebuild::Command(vec![command.to_owned()]),
    };
    let settings = Settings {
        access: access.into(),
        map: access.into(),
        class: Class::Hash,
        rebuild,
        makemap: PathBuf::from(makemap),
        cf: None,
        timeout: Duration::from_secs(20),
    };
    match run(settings, change) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// `+KEY` adds an entry, `~KEY` changes its comment, `-KEY` takes it out, `mend` mends; `*N` is N changes, for which it
/// does not matter if others never stop saving.
fn run(settings: Settings, change: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut store = FileStore::open(settings)?;
    let (what, key) = change.split_at(1);
    let entry = |until: Option<&str>| -> Result<Managed, Box<dyn std::error::Error>> {
        let Tagged { remedy, key: parsed } = key.parse()?;
        Ok(Managed {
            remedy,
            key: parsed,
            relay: key.into(),
            why: "3 stuck".to_owned(),
            since: "2026-11-23T10:50:38Z".parse()?,
            until: until.map(str::parse).transpose()?,
        })
    };
    match what {
        "+" => store.apply(&[entry(None)?], &[])?,
        "~" => store.apply(&[entry(Some("2027-01-01T00:00:00Z"))?], &[])?,
        "-" => store.apply(&[], &[key.parse()?])?,
        "*" => return many(&mut store, key.parse()?),
        _ => store.mend()?,
    };
    Ok(())
}

fn many(store: &mut FileStore, count: u32) -> Result<(), Box<dyn std::error::Error>> {
    for n in 0..count {
        let entry = Managed {
            remedy: Remedy::TryTls,
            key: format!("mx{n}.example").parse()?,
            relay: "mx.example".into(),
            why: "3 stuck".to_owned(),
            since: "2026-11-23T10:50:38Z".parse()?,
            until: None,
        };
        let gone = n.checked_sub(2).map(|n| format!("mx{n}.example").parse()).transpose()?;
        unless_changing(store.apply(&[entry], gone.as_slice()))?;
    }
    unless_changing(store.mend())
}

fn unless_changing<T>(done: Result<T, map_store::Error>) -> Result<(), Box<dyn std::error::Error>> {
    match done {
        Ok(_) | Err(map_store::Error::Changing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
