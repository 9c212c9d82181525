//! The command line, as far as it needs no cargo.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::{env, fs};

fn simtest(folder: &PathBuf, arguments: &str) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_simtest"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn wrong_usage_has_its_exit_code() {
    let folder = folder("usage");
    for arguments in [
        "",
        "frobnicate",
        "run --speed 9",
        "replay onlyatest",
        "diff a.jsonl",
        "corpus",
        "show t 1 --html --qlog",
        "corpus frobnicate",
        "corpus prune extra",
        "run one other",
        "run --seeds 5",
        "run --seeds 5..5",
        "run --budget 1m",
        "certify t --faults two",
        "replay t 1 --until f2",
        "replay t 1 --view everything",
        "replay t 1 --seeds 0..5",
        "bench no-such-figure",
        "run -j 4",
        "run --json=yes",
        "run --seeds=5",
    ] {
        let (output, _) = simtest(&folder, arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"), "{arguments}");
    }
    for (name, text) in [("prose", "this is no trace\n"), ("empty", ""), ("half", "{\"h\":\"a\",\"k\":\"t")] {
        fs::write(folder.join(name), text).unwrap();
        let (output, _) = simtest(&folder, &format!("diff {name} {name}"));
        assert_eq!(output.status.code(), Some(70), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("simtest show --jsonl"), "{name}");
    }
    let (output, _) = simtest(&folder, "diff no-such-file neither");
    assert_eq!(output.status.code(), Some(70));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("usage:"), "what it is told is not wrong");
    for arguments in ["run --help", "replay t 1 -h", "corpus prune --help", "-h"] {
        let (output, text) = simtest(&folder, arguments);
        assert!(output.status.success() && text.starts_with("usage:"), "{arguments}");
    }
    let (output, text) = simtest(&folder, "help");
    assert!(output.status.success() && text.contains("exit codes: 0 pass"));
    let (output, text) = simtest(&folder, "--version");
    assert!(output.status.success() && text.starts_with("simtest "), "{text}");
}

#[test]
fn whoever_reads_no_further_changes_nothing() {
    let folder = folder("closed");
    fs::write(folder.join("a"), "{\"h\":\"a\",\"k\":\"tx\"}\n").unwrap();
    fs::write(folder.join("b"), "{\"h\":\"a\",\"k\":\"rx\"}\n").unwrap();
    for (arguments, code) in
        [(&["help"][..], 0), (&["diff", "a", "b"], 1), (&["diff", "a", "b", "--json"], 1)]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_simtest"));
        let output = command.args(arguments).current_dir(&folder).stdout(writer).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &errors[..]), (Some(code), ""), "{arguments:?}");
    }
}

#[test]
fn traces_are_compared_but_for_times() {
    let folder = folder("diff");
    let line = |n, t, what| format!("{{\"v\":1,\"n\":{n},\"t\":{t},\"h\":\"a\",\"k\":\"{what}\"}}\n");
    fs::write(folder.join("a"), line(0, 1, "tx") + &line(1, 5, "rx")).unwrap();
    fs::write(folder.join("b"), line(0, 2, "tx") + &line(1, 9, "rx")).unwrap();
    fs::write(folder.join("c"), line(0, 2, "tx") + &line(1, 9, "drop")).unwrap();
    let (output, text) = simtest(&folder, "diff a b");
    assert_eq!((output.status.code(), text.trim()), (Some(0), "no difference but in times"));
    let (_, text) = simtest(&folder, "diff a b --json");
    assert_eq!(text, "{\"command\":\"diff\",\"record\":null}\n");
    let (_, text) = simtest(&folder, "diff a c --json");
    assert!(text.starts_with("{\"command\":\"diff\",\"record\":1,\"first\":\"{"), "{text}");
    let (output, text) = simtest(&folder, "diff a c");
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("record 1, on a\n"), "{text}");
}

#[test]
fn hosts_are_compared_each_by_itself() {
    let folder = folder("diff-hosts");
    let line = |host, what, causes| format!("{{\"h\":\"{host}\",\"k\":\"{what}\"{causes}}}\n");
    let (a, b) = (line("a", "tx", ",\"c\":[3]"), line("b", "timer", ""));
    fs::write(folder.join("one"), format!("{a}{b}{b}")).unwrap();
    fs::write(folder.join("other"), format!("{b}{}{b}", line("a", "tx", ",\"c\":[4]"))).unwrap();
    fs::write(folder.join("third"), format!("{b}{a}")).unwrap();
    let (output, text) = simtest(&folder, "diff one other");
    assert_eq!((output.status.code(), text.trim()), (Some(0), "no difference but in times"));
    let (output, text) = simtest(&folder, "diff one third");
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("record 2, on b\n") && text.ends_with("third: ended\n"), "{text}");
}
