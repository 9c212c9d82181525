//! How this program is called again from another terminal.

use std::borrow::Cow;
use std::env;
use std::ffi::OsStr;
use std::path::{self, Path, PathBuf};

/// A line for a shell that runs this program with these arguments, from any directory.
pub(crate) fn command(arguments: &[&str]) -> String {
    let called = PathBuf::from(env::args_os().next().unwrap_or_default());
    let program = program(called, env::var_os("PATH").as_deref(), env::current_exe().ok());
    let program = program.to_string_lossy();
    let words = [&*program].into_iter().chain(arguments.iter().copied());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// The name by which the program was called if a shell finds it by that, or else its path.
fn program(called: PathBuf, search: Option<&OsStr>, running: Option<PathBuf>) -> PathBuf {
    let has_folder = called.parent().is_some_and(|folder| folder != Path::new(""));
    if has_folder {
        return path::absolute(&called).unwrap_or(called);
    }
    let real = |path: &Path| path.canonicalize().ok();
    let this = running.as_deref().and_then(real);
    let is_this = |folder: PathBuf| this.is_some() && real(&folder.join(&called)) == this;
    if search.is_some_and(|search| env::split_paths(search).any(is_this)) {
        called
    } else {
        running.unwrap_or(called)
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::{OsStr, PathBuf, env, program, quoted};

    #[test]
    fn words_are_quoted_only_where_a_shell_would_change_them() {
        let cases = [
            ("target/release/bowline", "target/release/bowline"),
            ("udp://127.0.0.1:4100", "udp://127.0.0.1:4100"),
            ("udp://[::1]:4100", "'udp://[::1]:4100'"),
            ("/my programs/bowline", "'/my programs/bowline'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ];
        for (word, expected) in cases {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn a_name_is_kept_only_if_it_is_found_and_is_this_program() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let running = dir.join("bowline");
        File::create(&running).unwrap();
        let search = env::join_paths(["/nowhere".into(), dir.clone()]).unwrap();
        let called = |name: &str, search: Option<&OsStr>| program(name.into(), search, Some(running.clone()));
        assert_eq!(called("bowline", Some(&search)), PathBuf::from("bowline"));
        assert_eq!(called("other", Some(&search)), running);
        File::create(dir.join("other")).unwrap();
        assert_eq!(called("other", Some(&search)), running, "that is another program");
        assert_eq!(called("bowline", Some(OsStr::new("/nowhere"))), running);
        assert_eq!(called("bowline", None), running);
        assert_eq!(
            program("bowline".into(), Some(&search), None),
            PathBuf::from("bowline"),
            "nothing better is known"
        );
    }

    #[test]
    fn a_path_works_from_any_folder() {
        let here = env::current_dir().unwrap();
        for name in ["target/release/bowline", "./target/release/bowline"] {
            assert_eq!(program(name.into(), None, None), here.join("target/release/bowline"));
        }
        assert_eq!(program("/opt/bowline".into(), None, None), PathBuf::from("/opt/bowline"));
    }
}
