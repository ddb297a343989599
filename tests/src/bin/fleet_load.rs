//! `make fleet-bench`: see [`tests::fleet_load`].

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    tests::fleet_load::main()?;
    Ok(ExitCode::SUCCESS)
}
