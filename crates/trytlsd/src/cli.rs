//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use config::Span;

/// Turns TLS off for relays whose STARTTLS is broken, so that stuck mail flows again.
///
/// trytlsd follows sendmail's log, finds relays with which the TLS handshake keeps failing, and past a threshold adds
/// `Try_TLS:<relay> NO` to the access map. Until the config says `dry_run = false` it only shows what it would write.
#[derive(Debug, Parser)]
#[command(name = "trytlsd", version, max_term_width = 100, subcommand_required = true)]
#[command(after_help = "Examples:
  trytlsd scan /var/log/mail.log*          what would have been done, from old logs
  trytlsd run --dry-run                    follow the log and show each entry
  trytlsd status                           what is going on
  trytlsd list                             entries, holds, liftings
  trytlsd explain mx.example.org           what is known of a relay, and what holds it back
  trytlsd adopt mx.example.org             look after the Try_TLS: line that you wrote for it
  trytlsd probe mx.example.org             whether its STARTTLS works now, and where it breaks
  trytlsd doctor                           whether this host has what trytlsd needs, and how to mend it
  grep tls_server mail.log | trytlsd match how each line is read, and why it counts or not")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Run),
    Scan(Scan),
    Match(Match),
    Explain(Explain),
    Approve(Approve),
    Lift(Lift),
    Hold(Hold),
    Adopt(Adopt),
    Status(Status),
    List(List),
    Pause(Pause),
    Resume(Resume),
    Disarm(Disarm),
    Events(Events),
    Report(Report),
    Notice(Notice),
    Probe(Probe),
    CheckConfig(CheckConfig),
    Doctor(Doctor),
}

/// Follow the log and act.
///
/// Each entry that dry run proposes is printed to standard output as the line that would be written; everything else is
/// logged to standard error. SIGHUP reads the config again; SIGTERM and SIGINT end it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 ended by a signal, 2 the config or the command line is wrong, 1 anything else.

Examples:
  trytlsd run
  trytlsd run --config ./trytlsd.toml --dry-run"
)]
pub(crate) struct Run {
    /// The config file; drop-ins are read from trytlsd.d/*.toml beside it [default: /etc/trytlsd/trytlsd.toml]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Show the entries and write none, whatever the config says
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Read whole logs and show what would be done.
///
/// Reads files, globs, gzip files and standard input (-); rotated files of one log are read oldest first. Writes nothing
/// but its report.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 all was read, 1 something could not be read (what could is reported), 2 the config
or the command line is wrong. What is found does not change it.

Examples:
  trytlsd scan /var/log/mail.log
  trytlsd scan '/var/log/mail.log*'
  zcat old/*.gz | trytlsd scan --no-dns --json -"
)]
pub(crate) struct Scan {
    /// The config file, for the thresholds [default: /etc/trytlsd/trytlsd.toml if it exists]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask no DNS server; a relay is then written by its address
    #[arg(long)]
    pub(crate) no_dns: bool,
    /// Log files, globs, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
}

/// Show how a log line is read, field by field, and why it counts or not.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 some line tells something, 1 none does, 2 the config or the command line is wrong.

Examples:
  trytlsd match 'Nov 23 11:30:13 mx1 sm-mta[276]: ruleset=tls_server, arg1=SOFTWARE, relay=mx.example.org, reject=454 4.7.0 TLS handshake failed.'
  trytlsd match mail.log
  trytlsd match            (paste lines, then Ctrl-D)"
)]
pub(crate) struct Match {
    /// The config file, for its patterns ([[log.pattern]]) [default: /etc/trytlsd/trytlsd.toml]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// A log line, or a file of lines, or - for standard input, which is also the default
    #[arg(value_name = "LINE|FILE")]
    pub(crate) input: Vec<String>,
}

/// Show all that is known of a relay or a client: what counts against it, each guard with its reason, and what is missing
/// until an entry.
///
/// Reads the ledger, the access file and sendmail.cf as they are, with a daemon at work or without, and changes nothing.
/// DNS and MTA-STS are asked anew.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 it is shown, 1 something could not be read, 2 the config or the command line is wrong.
What is found does not change it.

Examples:
  trytlsd explain mx.example.org
  trytlsd explain --no-dns --json '[192.0.2.25]'
  trytlsd explain --client 192.0.2.50"
)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) about: About,
    /// Ask neither DNS nor web servers
    #[arg(long)]
    pub(crate) no_dns: bool,
}

/// Let a relay, or a client, have its entry although a guard holds it back.
///
/// It must still fail as often as the config says; then the entry is made. Refused where mail would bounce, where
/// an entry would have no effect, and where the config forbids it; then it says what to change.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 approved, or queued for a daemon that does not run; 1 refused, or something failed; 2 the config
or the command line is wrong.

Examples:
  trytlsd approve mx.example.org --reason 'their certificate ran out; mended by Monday'
  trytlsd approve mx.example.org --for 2d --reason 'ticket 4711'
  trytlsd approve --client 192.0.2.50 --reason 'an old scanner in house 7'"
)]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) about: About,
    /// How long the approval holds: 12h, 30d
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    pub(crate) r#for: Span,
    /// Why; it is kept with the approval
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// Take a relay's or a client's entry out, and have none made for as long as the config says ([policy] hold_off).
///
/// The same as to delete it from the access file, but the map follows at once. A line of your own is taken out only if it is
/// adopted (trytlsd adopt); it is printed then.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 lifted, or queued for a daemon that does not run; 1 refused, or something failed; 2 the config or
the command line is wrong.

Examples:
  trytlsd lift mx.example.org
  trytlsd lift --client 192.0.2.50"
)]
pub(crate) struct Lift {
    #[command(flatten)]
    pub(crate) about: About,
}

/// Have no entry made for a relay or a client, for a time; one that it has goes. Lines of your own stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 held, or queued for a daemon that does not run; 1 something failed; 2 the config or the command
line is wrong. To end a hold early: trytlsd hold --for 0s RELAY

Examples:
  trytlsd hold mx.example.org
  trytlsd hold --for 2d '[192.0.2.25]'
  trytlsd hold --client 192.0.2.50"
)]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(crate) about: About,
    /// How long: 12h, 30d
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    pub(crate) r#for: Span,
}

/// Look after a line Try_TLS: that you wrote by hand, as after an entry of trytlsd's own.
///
/// The line stays as it is. The peer is probed, the line's use is counted, and that the peer is mended is logged once; but
/// the line is taken out by nothing but a word of yours (trytlsd lift). Refused where you have no such line for the relay,
/// and where it acts on other hosts too. It ends by itself when you take the line out or change it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 adopted (with --end: ended), or queued for a daemon that does not run; 1 refused, or something
failed; 2 the config or the command line is wrong.

Examples:
  trytlsd adopt mx.example.org
  trytlsd adopt '[192.0.2.25]' --reason 'from the old server, see ticket 4711'
  trytlsd adopt --end mx.example.org"
)]
pub(crate) struct Adopt {
    #[command(flatten)]
    pub(crate) common: Common,
    /// End the adoption; the line stays
    #[arg(long, conflicts_with = "reason")]
    pub(crate) end: bool,
    /// Why; it is kept with the adoption
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// The relay that the line is for, as in the log: mx.example.org, [mx.example.org]; [192.0.2.25] for a line by address
    #[arg(value_name = "RELAY")]
    pub(crate) relay: String,
}

/// What each command about one relay or client takes.
#[derive(Debug, Args)]
pub(crate) struct About {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The relay as in the log: mx.example.org, [mx.example.org] or [192.0.2.25]
    #[arg(value_name = "RELAY", required_unless_present = "client")]
    pub(crate) relay: Option<String>,
    /// Instead of a relay, a client of yours ([receiving]): its address, or its PTR name if trytlsd knows it by that
    #[arg(long, value_name = "ADDRESS", conflicts_with = "relay")]
    pub(crate) client: Option<String>,
}

/// Show what is going on: the daemon, alarms, mail that is stuck, entries, holds.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 shown, 1 something failed, 2 the config or the command line is wrong. What is found does not
change it.

Examples:
  trytlsd status
  trytlsd status --json"
)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// List the relays and clients about which something was decided: entries, holds, liftings.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 shown, 1 something failed, 2 the config or the command line is wrong. What is found does not
change it.

Examples:
  trytlsd list
  trytlsd list --fleet
  trytlsd list --json"
)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Show what the MTAs of the fleet say of relays instead.
    #[arg(long)]
    pub(crate) fleet: bool,
}

/// Decide nothing for now: the log is read and counted, and what would follow from it waits.
///
/// No entry is made, put back or lifted, no peer is probed, until trytlsd resume, over restarts too. What is in force stays.
/// Your words about one relay (lift, hold) are carried out all the same, and so are entries taken out with which mail would
/// bounce.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 paused, or queued for a daemon that does not run; 1 refused, or something failed; 2 the config
or the command line is wrong.

Examples:
  trytlsd pause"
)]
pub(crate) struct Pause {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Go on with what was paused or disarmed: what was counted meanwhile is judged.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 resumed, or queued for a daemon that does not run; 1 something failed; 2 the config or the
command line is wrong.

Examples:
  trytlsd resume"
)]
pub(crate) struct Resume {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Take all our entries out of the map, and decide nothing until trytlsd resume.
///
/// TLS is then tried with every host again. Your own entries stay. Where no daemon runs it is done at once by this command
/// itself; the next daemon finds all disarmed.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 all entries are out of file and map; 1 not all are yet, or something failed; 2 the config or the
command line is wrong, or it was not confirmed.

Examples:
  trytlsd disarm
  trytlsd disarm --yes --json"
)]
pub(crate) struct Disarm {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Do not ask; needed where no terminal is there to ask on
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What most commands take.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The config file [default: /etc/trytlsd/trytlsd.toml]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what happened, the oldest first: candidates, holds, entries, probes, alarms, your own words.
///
/// The latest 1000 at most. Each line: time (UTC), what, relay or client (- for the daemon as a whole), the rest.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 shown, 1 something failed, 2 the config or the command line is wrong.

Examples:
  trytlsd events --since 7d
  trytlsd events --relay mx.example.org
  trytlsd events --follow --json"
)]
pub(crate) struct Events {
    /// The config file [default: /etc/trytlsd/trytlsd.toml]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// How far back: 12h, 30d
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    pub(crate) since: Span,
    /// Of one relay or client only, by name or address
    #[arg(long, value_name = "RELAY")]
    pub(crate) relay: Option<String>,
    /// Go on with what happens from now on, until it is interrupted
    #[arg(long)]
    pub(crate) follow: bool,
}

/// Send a test notice, to see whether notices come ([notice] in the config).
///
/// It goes as the daemon's own go: by sendmail -i -t, or to the command that the config names.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true),
    after_help = "Exit status: 0 given away, 1 it could not be, 2 the config names nobody, or it or the command line is wrong.

Examples:
  trytlsd notice --test"
)]
pub(crate) struct Notice {
    /// The config file [default: /etc/trytlsd/trytlsd.toml]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Send a test notice
    #[arg(long, group = "which")]
    pub(crate) test: bool,
    /// Send what the daemon has put beside its ledger: what trytlsd-notice.service does
    #[arg(long, group = "which")]
    pub(crate) send: bool,
}

/// Show what happened over a span of time: which relays, for how long TLS was off with them, what was done and undone.
///
/// Reads the ledger as it is, with a daemon at work or without, and asks nothing of the network.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 it is shown, 1 something could not be read or written, 2 the config or the command line is wrong.

Examples:
  trytlsd report
  trytlsd report --since 7d --html report.html"
)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How far back: 7d, 30d; the history is kept for 90 days
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    pub(crate) since: Span,
    /// Write it as one page with plots, which can be mailed, in place of the text
    #[arg(long, value_name = "F")]
    pub(crate) html: Option<PathBuf>,
}

/// Look whether STARTTLS works with a host, where it breaks, and what would mend it.
///
/// Holds an SMTP conversation with each address of the host (four at most), through the same OpenSSL and with the same
/// options as the sendmail here (sendmail.cf is read), so that it fails where sendmail fails. Where the handshake breaks it
/// also asks differently. No mail is sent, nothing is changed. The name is that of a mail host, as in relay=: its addresses
/// are looked up, MX records are not.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 STARTTLS works, 1 it is broken at some address, 2 no address was reached, or the config or the
command line is wrong. Certificates that are out of date, self-signed or for other names stop nobody.

Examples:
  trytlsd probe mx.example.org
  trytlsd probe --letter mx.example.org | mail -s 'Your STARTTLS' postmaster@example.org
  trytlsd probe --json '[2001:db8::25]:25'"
)]
pub(crate) struct Probe {
    /// The config file, for the path of sendmail.cf [default: /etc/trytlsd/trytlsd.toml if it exists]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a text for the postmaster of the other side, if something is broken
    #[arg(long, conflicts_with = "json")]
    pub(crate) letter: bool,
    /// The longest that each step of the conversation may take, 1s to 1h
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = step)]
    pub(crate) timeout: Span,
    /// A mail host or an address, with a port if it is not 25
    #[arg(value_name = "HOST|IP[:PORT]")]
    pub(crate) target: String,
}

fn step(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    let fits = (1..=3600).contains(&span.to_std().as_secs());
    if fits { Ok(span) } else { Err("it must be from 1s to 1h".to_owned()) }
}

/// Check the config and what it names, and show every key with the file that set it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 the config can be used, 1 it can be used but something that it names is missing or
wrong, 2 it cannot be used.

Examples:
  trytlsd check-config
  trytlsd check-config --config ./trytlsd.toml"
)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Look at this host and say what is right, what is wrong and how to mend it.
///
/// Looks at sendmail and its configuration, the access map, makemap, the log and its lines, rights, DNS and time. Changes
/// nothing. Without a config it looks at what it finds itself. Run it as root, as the daemon runs.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 all is right (notes do not count), 1 something is wrong, 2 it could not look, or the config or the
command line is wrong.

Examples:
  trytlsd doctor
  trytlsd doctor --json | jq '.findings[] | select(.grade == \"wrong\")'
  trytlsd doctor --write-config > /etc/trytlsd/trytlsd.toml
  trytlsd doctor --sequence-map"
)]
pub(crate) struct Doctor {
    /// The config file [default: /etc/trytlsd/trytlsd.toml if it exists]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask no DNS server
    #[arg(long)]
    pub(crate) no_dns: bool,
    /// Print a config that fits this host, whatever the config says, and look no further
    #[arg(long, conflicts_with_all = ["json", "no_dns", "sequence_map"])]
    pub(crate) write_config: bool,
    /// Print the lines for sendmail.mc that put a map of trytlsd's own beside yours, and look no further
    #[arg(long, conflicts_with_all = ["json", "no_dns"])]
    pub(crate) sequence_map: bool,
}
