//! `make demo`: see [`tests::demo`].

fn main() {}
