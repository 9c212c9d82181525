//! Every committed input holds.

use std::fs;
use std::path::Path;

use fuzz::cap::{CAP_OF_AN_INPUT, Capped, measured};

#[global_allocator]
static ALLOCATOR: Capped = Capped;

#[test]
fn every_input_of_the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, body) in fuzz::TARGETS {
        let folder = corpus.join(name);
        let mut paths: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|file| file.expect("a file").path())
            .collect();
        paths.sort();
        assert!(!paths.is_empty(), "{name} has no corpus");
        for path in paths {
            let input = fs::read(&path).expect("a file");
            let mut is_sound = false;
            let taken = measured(|| is_sound = std::panic::catch_unwind(|| body(&input)).is_ok());
            assert!(is_sound, "{} fails", path.display());
            assert!(taken <= CAP_OF_AN_INPUT, "{} takes {taken} bytes", path.display());
        }
    }
}
