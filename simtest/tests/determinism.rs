//! The same runs everywhere: with and without optimization, on 64 and on 32 bits.

#[path = "../examples/hashes/runs.rs"]
mod runs;

/// Ten blocks of a hundred seeds. They may change when the simulator or the register changes, but never with the machine or the
/// profile: `cargo test`, `cargo test --release` and `.ci/determinism` compare with the same file.
#[test]
fn a_thousand_seeds_have_their_hashes() {
    let golden = include_str!("../examples/hashes/golden.txt");
    let now: String = (0..runs::BLOCKS).map(|block| runs::line(block) + "\n").collect();
    assert_eq!(now, golden);
}
