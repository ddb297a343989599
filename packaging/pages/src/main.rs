//! Writes the manual pages and the shell completions into a folder: `pages FOLDER CONFIG`, CONFIG being the sample config.
//!
//! All of it comes from what is there already: the commands from the definition that `--help` is made from, the config's
//! page from the sample. So nothing of it is kept in the repository, where it could fall behind.

mod config_page;

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

/// System administration commands.
const SECTION: &str = "8";

fn main() -> Result<()> {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let [folder, config] = args.as_slice() else { bail!("usage: pages FOLDER CONFIG") };
    let (folder, config) = (Path::new(folder), Path::new(config));
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut command = trytlsd::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "trytlsd", folder)?;
    }
    command.build();
    pages(folder, &command)?;
    let sample = fs::read_to_string(config).with_context(|| config.display().to_string())?;
    put(folder, "trytlsd.toml.5", config_page::roff(&sample).as_bytes())
}

/// A page for the command, and one for each command below it.
fn pages(folder: &Path, command: &Command) -> Result<()> {
    // As clap names it: `trytlsd-scan`.
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let source = format!("trytlsd {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(SECTION)
        .source(source)
        .manual("trytlsd");
    let mut page = Vec::new();
    man.render(&mut page)?;
    put(folder, &format!("{name}.{SECTION}"), &page)?;
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    below.filter(|below| !below.is_hide_set()).try_for_each(|below| pages(folder, below))
}

fn put(folder: &Path, name: &str, text: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let mut file = File::create(&path).with_context(|| path.display().to_string())?;
    file.write_all(text).with_context(|| path.display().to_string())
}
