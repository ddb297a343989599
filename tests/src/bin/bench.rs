//! `make bench`: see [`tests::bench`].

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    Ok(if tests::bench::main()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
