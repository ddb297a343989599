//! The soak in brief: nothing lost, nothing counted twice, over rotations and kills.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use tests::soak::{Args, run};

#[test]
fn nothing_is_lost_and_nothing_repeated() {
    let missed: Vec<_> =
        run(&Args::brief()).unwrap().into_iter().filter(|figure| !figure.met).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}
