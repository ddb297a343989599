//! A stand-in for makemap: the same calls, the same exit statuses, a map of its own form (a header line, then one
//! entry a line). What it does was measured on makemap 8.17.1; the tests run their tables against both.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that prints")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use access::text::{Kind, records};

const DATAERR: u8 = 65;
const NOINPUT: u8 = 66;
const CANTCREAT: u8 = 73;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn main() -> ExitCode {
    let (mut append, mut replace, mut dump) = (false, false, false);
    let mut rest = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-C" => {
                if rustix::process::geteuid().is_root()
                    && !args.next().is_some_and(|cf| Path::new(&cf).exists())
                {
                    return fail(NOINPUT, "no sendmail.cf");
                }
            }
            "-c" => drop(args.next()),
            "-o" => append = true,
            "-r" => replace = true,
            "-u" => dump = true,
            "-l" => {
                println!("hash\nbtree\nimplicit");
                return ExitCode::SUCCESS;
            }
            _ => rest.push(arg),
        }
    }
    // As a user it reads no cf, but the option has its argument all the same.
    let [.., class, map] = rest.as_slice() else { return fail(64, "usage") };
    if !["hash", "btree"].contains(&class.as_str()) {
        return fail(CANTCREAT, "Need to recompile");
    }
    let path = if map.ends_with(".db") { map.clone() } else { format!("{map}.db") };
    let old = load(&path, class);
    if dump {
        let Some(map) = old else { return fail(CANTCREAT, "error opening map") };
        let lines = map.iter().map(|(key, value)| line(key, value));
        return match std::io::stdout().write_all(&lines.collect::<Vec<_>>().concat()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(74, &error.to_string()),
        };
    }
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|m| m.is_symlink());
    let mut entries = match (append, old) {
        _ if is_link(Path::new(&path)) => return fail(CANTCREAT, "Symbolic links not allowed"),
        (true, None) => return fail(CANTCREAT, "error opening map"),
        (true, Some(map)) => map,
        (false, _) => Map::new(),
    };
    let mut text = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut text) {
        return fail(74, &error.to_string());
    }
    let status = fill(&mut entries, &text, replace);
    let mut out = header(class).into_bytes();
    entries.iter().for_each(|(key, value)| out.extend(line(key, value)));
    let options = File::options().write(true).create(true).truncate(true).mode(0o640).open(&path);
    match options.and_then(|mut file| file.write_all(&out)) {
        Ok(()) => ExitCode::from(status),
        Err(error) => fail(CANTCREAT, &error.to_string()),
    }
}

fn fail(status: u8, why: &str) -> ExitCode {
    eprintln!("makemap: {why}");
    ExitCode::from(status)
}

fn header(class: &str) -> String {
    format!("fake {class}\n")
}

fn line(key: &[u8], value: &[u8]) -> Vec<u8> {
    [key, b"\t", value, b"\n"].concat()
}

/// The map's entries; `None` if there is none, or one of another type.
fn load(path: &str, class: &str) -> Option<Map> {
    let bytes = std::fs::read(path).ok()?;
    let lines = bytes.strip_prefix(header(class).as_bytes())?.split(|&b| b == b'\n');
    let entry = |line: &[u8]| {
        let at = line.iter().position(|&b| b == b'\t')?;
        let (key, value) = line.split_at(at);
        Some((key.to_vec(), value.split_at(1).1.to_vec()))
    };
    Some(lines.filter_map(entry).collect())
}

/// Puts the text's entries into the map; the exit status.
fn fill(map: &mut Map, text: &[u8], replace: bool) -> u8 {
    let mut status = 0;
    for record in records(text) {
        match record.kind {
            Kind::Blank | Kind::Comment => {}
            Kind::Bad(fault) => {
                eprintln!("makemap: line {}: {fault}", record.line_no);
                status = DATAERR;
            }
            Kind::Entry { key, value } => {
                let key = key.to_ascii_lowercase();
                if map.contains_key(&key) && !replace {
                    eprintln!("makemap: line {}: duplicate key", record.line_no);
                    status = DATAERR;
                } else {
                    map.insert(key, value.to_vec());
                }
            }
        }
    }
    status
}
