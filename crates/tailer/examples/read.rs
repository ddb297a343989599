//! Reads what a scan would read, and counts: `cargo run --release -p tailer --example read -- FILE…`

use std::io::{self, Write};

use tailer::sources;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for source in sources(std::env::args_os().skip(1)).map_err(io::Error::other)? {
        let mut input = source.open().map_err(io::Error::other)?;
        let (mut lines, mut bytes) = (0, 0);
        while let Some(block) = input.next_block().map_err(io::Error::other)? {
            lines += memchr::memchr_iter(b'\n', block.bytes).count();
            bytes += block.bytes.len();
        }
        writeln!(
            out,
            "{:?}: {lines} lines, {bytes} bytes, {} skipped",
            input.path(),
            input.skipped()
        )?;
    }
    Ok(())
}
