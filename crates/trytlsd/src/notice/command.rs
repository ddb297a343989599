//! `trytlsd notice`: whether notices come, and what the unit does that gives them away.

use config::Config;

use super::{content, is_on, send, whom};
use crate::cli;
use crate::clock;
use crate::output::{Safe, complain, print};
use crate::{FAILED, MISUSED};

/// Runs the command.
pub(crate) fn run(args: &cli::Notice, config: &Config) -> anyhow::Result<u8> {
    if !is_on(config) {
        complain("no notices are sent: the config names neither [notice] mail_to nor command");
        return Ok(MISUSED);
    }
    let sent = match args.send {
        true => send::what_was_put(config),
        false => send::directly(config, &content::test(config, clock::now())),
    };
    if let Err(why) = sent {
        complain(format!("the notice cannot be sent: {why}"));
        return Ok(FAILED);
    }
    print(format!("given away, to {}\n", Safe(&whom(config))))?;
    Ok(0)
}
