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
        let files = paths.iter().map(|path| (path.display().to_string(), fs::read(path).expect("a file")));
        let seeds = fuzz::seeds::of(name).expect("they can be read").into_iter().enumerate();
        let seeds = seeds.map(|(index, seed)| (format!("seed {index} of hostile input"), seed));
        for (what, input) in files.chain(seeds) {
            let mut is_sound = false;
            let taken = measured(|| is_sound = std::panic::catch_unwind(|| body(&input)).is_ok());
            assert!(is_sound, "{what} fails {name}");
            assert!(taken <= CAP_OF_AN_INPUT, "{what} takes {taken} bytes of {name}");
        }
    }
}
