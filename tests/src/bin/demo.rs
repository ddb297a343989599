//! `make demo`: see [`tests::demo`].

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    Ok(if tests::demo::main()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
