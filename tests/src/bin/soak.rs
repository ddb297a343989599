//! `make soak`: see [`tests::soak`].

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    Ok(if tests::soak::main()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
