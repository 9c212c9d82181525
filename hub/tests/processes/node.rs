//! Programs of Node that drive the server: published clients, and a browser.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use crate::support::{Server, run, write_private};

/// Says what was not tested, past the capture of the test harness.
pub(crate) fn skip(what: &str, why: &str) {
    let words = format!("SKIPPED: {what} NOT tested: {why}\n");
    std::io::stderr().write_all(words.as_bytes()).unwrap();
}

/// A program of this name, where the PATH has it.
pub(crate) fn program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let files = env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let mut files = files.collect::<Vec<_>>().into_iter();
    files.find(|file| file.is_file())
}

/// A folder of `tests/`, with exactly the packages that its lock file names; why not, if it cannot be had.
pub(crate) fn installed(folder: &str) -> Result<TempDir, String> {
    if program(&["node"]).is_none() || program(&["npm"]).is_none() {
        return Err("there is no Node here".to_owned());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let place = tempdir().unwrap();
    for entry in std::fs::read_dir(source).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), place.path().join(entry.file_name())).unwrap();
        }
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(place.path());
    let done = npm.stdin(Stdio::null()).output().unwrap();
    if done.status.success() {
        Ok(place)
    } else {
        Err(format!("the packages cannot be installed: {}", String::from_utf8_lossy(&done.stderr)))
    }
}

/// Where the server has HTTP.
pub(crate) fn web(server: &Server) -> String {
    server.urls.iter().find(|url| url.starts_with("http://")).expect("it serves HTTP").clone()
}

/// Runs a program to its end, and kills and restarts the server whenever it says so.
pub(crate) fn drive(place: &Path, script: &str, arguments: &[&str], data: &Path, mut server: Server) {
    let address = web(&server);
    let mut node = Command::new("node");
    node.arg(script).args(arguments).current_dir(place);
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
        println!("{line}");
        if line == "restart" {
            server.kill();
            drop(server);
            server = Server::start_with(data, &["--http", &address]);
            writeln!(stdin, "done").unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "see above");
    assert!(server.signal("TERM").0.success());
}

#[test]
fn published_clients_of_the_piano_work_unmodified() {
    let place = match installed("clients") {
        Ok(place) => place,
        Err(why) => return skip("published clients of Multiplayer Piano were", &why),
    };
    let salt = place.path().join("salt");
    write_private(&salt, "a salt of this test alone");
    let salt = salt.to_str().unwrap();
    let ways: [(&[&str], &[&str]); 3] =
        [(&[], &[]), (&["--salted"], &["--salt-file", salt]), (&["--drop"], &["--crown-on-leave", "drop"])];
    let place = place.path();
    std::thread::scope(|scope| {
        for (mode, options) in ways {
            scope.spawn(move || {
                let data = tempdir().unwrap();
                let options = [&["--http", "127.0.0.1:0"], options].concat();
                let server = Server::start_with(data.path(), &options);
                let url = format!("{}/ws", web(&server).replace("http://", "ws://"));
                let arguments = [&[&*url], mode].concat();
                drive(place, "conformance.mjs", &arguments, data.path(), server);
            });
        }
    });
}

#[test]
fn the_page_works_in_a_browser() {
    let given = env::var_os("BOWLINE_CHROMIUM").map(PathBuf::from);
    let known = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let Some(browser) = given.or_else(|| program(&known)) else {
        return skip("the page was", "there is no Chromium here (BOWLINE_CHROMIUM names one)");
    };
    let place = match installed("page") {
        Ok(place) => place,
        Err(why) => return skip("the page was", &why),
    };
    let data = tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--http", "127.0.0.1:0"]);
    let pictures = env::var("BOWLINE_SCREENSHOTS").unwrap_or_default();
    let arguments = [&web(&server), browser.to_str().unwrap(), &pictures];
    drive(place.path(), "page.mjs", &arguments, data.path(), server);
}

#[test]
fn the_page_says_its_lines_once() {
    if program(&["node"]).is_none() {
        return skip("the connection of the page was", "there is no Node here");
    }
    let hub = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempdir().unwrap();
    let net = place.path().join("net.mjs");
    std::fs::copy(hub.join("web/net.js"), &net).unwrap();
    let mut node = Command::new("node");
    node.arg("--test").arg(hub.join("tests/page/net.test.mjs")).env("BOWLINE_NET", &net);
    let done = node.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

/// Cases 1 to 7 and 10 of the Autobahn suite, where it is: `BOWLINE_WSTEST` is the command that runs it.
#[test]
fn echo_passes_the_autobahn_suite() {
    let given = env::var("BOWLINE_WSTEST").ok();
    let found = || program(&["wstest"]).map(|file| file.to_str().unwrap().to_owned());
    let Some(wstest) = given.or_else(found) else {
        return skip(
            "the Autobahn suite was",
            "there is no wstest here (BOWLINE_WSTEST is the command for it)",
        );
    };
    let (data, place) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start_with(data.path(), &["--http", "127.0.0.1:0"]);
    let url = format!("{}/echo", web(&server).replace("http://", "ws://"));
    let spec = format!(
        r#"{{"outdir": "reports", "servers": [{{"agent": "bowline", "url": "{url}"}}],
            "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"],
            "exclude-cases": [], "exclude-agent-cases": {{}}}}"#
    );
    std::fs::write(place.path().join("spec.json"), spec).unwrap();
    let mut suite = Command::new("sh");
    suite.args(["-c", &format!("{wstest} -m fuzzingclient -s spec.json")]).current_dir(place.path());
    assert!(suite.output().unwrap().status.success());
    let report = std::fs::read(place.path().join("reports/index.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let cases = report["bowline"].as_object().unwrap();
    assert!(cases.len() > 240, "{} cases", cases.len());
    for (case, result) in cases {
        for part in ["behavior", "behaviorClose"] {
            let result = result[part].as_str().unwrap();
            assert!(["OK", "NON-STRICT", "INFORMATIONAL"].contains(&result), "case {case}: {part} {result}");
        }
    }
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempdir().unwrap();
    let refused = run(&["serve", "--http", &address, "--data", data.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(3) && said.contains(&format!("http://{address}")), "{said}");
}
