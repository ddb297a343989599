//! trytlsd.

fn main() {}
