//! Every promise of `docs/spec/guarantees.md` has a defect that breaks it, and every defect a test that finds it.

use std::collections::BTreeSet;

const SPEC: &str = include_str!("../../../docs/spec/guarantees.md");
const DEFECTS: &str = concat!(
    include_str!("../../src/planted.rs"),
    include_str!("../../src/chat/config.rs"),
    include_str!("../../src/room/config.rs")
);
/// The first is a module called `planted`; of the others only what is called so is run where defects are planted (`.ci/run`).
const TESTS: [&str; 6] = [
    include_str!("planted.rs"),
    include_str!("admission.rs"),
    include_str!("../../src/chat/server/tests/join.rs"),
    include_str!("../../src/endpoint/tests/handshake.rs"),
    include_str!("../../src/endpoint/tests/resume.rs"),
    include_str!("../../src/endpoint/tests/roaming.rs"),
];

/// The rows of tables in `text` that begin with a guarantee.
fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = text.lines().filter(|line| line.starts_with("| G"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect())
}

/// What the table in `planted.rs` says.
fn least_faults(guarantee: &str, defect: &str) -> Option<usize> {
    let what = match guarantee {
        "G17" => "rooms ",
        "G18" | "G19" => "chat ",
        _ if defect == "WrittenIsAcked" => "streams ",
        _ if ["WindowBeforeTag", "UpdateForgetsSide"].contains(&defect) => "sealed ",
        _ => "",
    };
    let head = format!("    (\"{what}{defect}\", ");
    let (_, rest) = TESTS[0].split_once(&head)?;
    rest.split_once(')')?.0.parse().ok()
}

fn variants() -> BTreeSet<&'static str> {
    let enums = DEFECTS.split("pub enum Planted {").skip(1).filter_map(|rest| rest.split('}').next());
    let lines = enums.flat_map(str::lines).map(str::trim);
    lines.filter(|line| !line.starts_with("//")).filter_map(|line| line.strip_suffix(',')).collect()
}

#[test]
fn every_guarantee_has_a_planted_defect_and_every_defect_a_test() {
    let (promises, planted) = SPEC.split_once("## Planted defects").expect("the table of defects");
    let promises: BTreeSet<_> = rows(promises).map(|row| row[0]).collect();
    let rows: Vec<_> = rows(planted).collect();
    let broken: BTreeSet<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(promises, broken, "the promises, and those with a defect");

    let (_, rest) = planted.split_once("G16 is about adapters").expect("what is tested elsewhere");
    let elsewhere = |id: &str| rest.split([' ', ',', '.']).any(|word| word == id);
    for id in (1..=20).filter(|&id| id != 16).map(|id| format!("G{id}")) {
        assert!(promises.contains(id.as_str()) != elsewhere(&id), "{id} is built, or said not to be");
    }

    let variants = variants();
    assert!(variants.len() > 20, "{variants:?}");
    let listed: BTreeSet<_> = rows.iter().map(|row| row[1]).collect();
    assert_eq!(variants, listed, "the defects, and those that the table lists");
    for row in rows {
        let [guarantee, defect, _, faults, test] = row[..] else { panic!("not a row: {row:?}") };
        let head = format!("#[test]\nfn {test}() {{");
        let least = least_faults(guarantee, defect).map_or_else(|| "-".to_owned(), |least| least.to_string());
        assert_eq!(faults, least, "{guarantee}: the faults that {defect} takes");
        let found = (0..).zip(TESTS).find_map(|(file, text)| Some((file, text.split_once(&head)?.1)));
        let runs = found.is_some_and(|(file, _)| file == 0 || test.contains("planted"));
        assert!(runs, "{guarantee}: {test} is not there, or not run where defects are planted");
        let body = found.and_then(|(_, rest)| rest.split("\n}\n").next());
        let plants = body.is_some_and(|body| body.contains(&format!("Planted::{defect}")));
        assert!(plants, "{guarantee}: {test} does not plant {defect}");
    }
}
