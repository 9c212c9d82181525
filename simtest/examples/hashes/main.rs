//! Prints the hashes of a thousand runs, for machines on which `cargo test` cannot run: `.ci/determinism` compares them with
//! `golden.txt`.

mod runs;

fn main() {
    for block in 0..runs::BLOCKS {
        println!("{}", runs::line(block));
    }
}
