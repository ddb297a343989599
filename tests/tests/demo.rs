//! The demo checks itself; here it is only run.

use tests::need;

#[test]
fn the_demo_comes_out_as_it_should() {
    #[expect(clippy::disallowed_methods, reason = "the demo is what is tested")]
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_demo"))
        .env("TRYTLSD_BIN", tests::trytlsd::binary().unwrap())
        .output()
        .unwrap();
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{wrong}", output.status);
    assert!(said.contains(" checks hold, after "), "{said}");
    // Not a terminal: no colour.
    assert!(!said.contains('\x1b'), "{said:?}");
    if said.contains("map class text is used") {
        need::skip("the_demo_comes_out_as_it_should (its map)", "no makemap here");
    }
}
