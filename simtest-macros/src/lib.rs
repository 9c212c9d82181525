//! The attribute `#[simtest::test]`. It is documented there.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use proc_macro::{Delimiter, Spacing, TokenStream, TokenTree};

/// Makes a test of a function that sets a simulation up.
///
/// ```text
/// #[simtest::test(seeds = 0..500, exhaustive = 2)]
/// fn chat_survives_chaos(sim: &mut Sim<Chat>) {
///     let s = sim.node("s", |boot| Chat::server(boot));
///     ...
/// }
/// ```
///
/// It stays a function of that name, so that a fuzzer can call it; beside it comes a module of the same name with a plain
/// `#[test]` called `simtest`, which runs it under all drivers. Where seeds differ in more than their faults, such as in how many hosts
/// there are, the function takes the seed as well: `fn name(sim: &mut Sim<Chat>, seed: u64)`. Options, all of them optional:
///
/// - `seeds = a..b`: the seeds (0..500).
/// - `exhaustive = k`: also every schedule with at most `k` faults; `weathers = n`: in so many weathers (8);
///   `most = n`: but not more than so many schedules (100,000).
/// - `corpus = "folder"`: where stored schedules are, from the crate's folder
///   (`tests/corpus/<crate>-<name>`, where the crate of `tests/sim.rs` is `sim`; modules between them with `-` too).
/// - `strict`: what did not happen, or was not tried, fails the test.
///
/// `#[cfg]`, `#[ignore]` and `#[should_panic]` on the function hold for the test.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(arguments, item)
        .unwrap_or_else(|message| format!("::core::compile_error!({message:?});").parse().unwrap_or_default())
}

fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, String> {
    let (name, parameters) = signature(&item)?;
    let run = match parameters {
        1 => "run",
        2 => "run_seeded",
        _ => return Err(SHAPE.into()),
    };
    let mut options = String::new();
    for argument in split(arguments) {
        let mut tokens = argument.into_iter();
        let option = tokens.next().map(|token| token.to_string()).unwrap_or_default();
        match (option.as_str(), tokens.next().map(|token| token.to_string()).as_deref()) {
            ("seeds" | "exhaustive" | "weathers" | "most" | "corpus", Some("=")) => {
                let value: TokenStream = tokens.collect();
                let _ = write!(options, ".{option}({value})");
            }
            ("strict", None) => options += ".strict()",
            _ => {
                let known = "seeds = 0..500, exhaustive = 2, weathers = 8, most = 100_000, corpus = \"folder\", strict";
                return Err(format!("simtest::test: found `{option}`, expected any of: {known}"));
            }
        }
    }
    let Attributes { rest, on_module, on_test } = attributes(item);
    let test = format!(
        "#[cfg(test)] {on_module} mod {name} {{ \
             #[::core::prelude::v1::test] {on_test} fn simtest() {{ \
                 ::simtest::Test::new(::core::module_path!(), ::core::env!(\"CARGO_MANIFEST_DIR\")){options}.{run}(super::{name}); \
             }} \
         }}"
    );
    let mut all = rest;
    all.extend(test.parse::<TokenStream>().map_err(|error| error.to_string())?);
    Ok(all)
}

/// An item, and what of its attributes concerns the test that is made of it.
struct Attributes {
    /// Without those that only tests have.
    rest: TokenStream,
    on_module: TokenStream,
    on_test: TokenStream,
}

/// Where the function is left out (`cfg`), so is the test; `ignore` and `should_panic` are the test's.
fn attributes(item: TokenStream) -> Attributes {
    let mut all =
        Attributes { rest: TokenStream::new(), on_module: TokenStream::new(), on_test: TokenStream::new() };
    let mut tokens = item.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let attribute = match (&token, tokens.peek()) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(group))) if hash.as_char() == '#' => group,
            _ => {
                all.rest.extend([token]);
                continue;
            }
        };
        let word = attribute.stream().into_iter().next().map(|word| word.to_string()).unwrap_or_default();
        let both: [TokenTree; 2] = [token, attribute.clone().into()];
        tokens.next();
        match word.as_str() {
            "ignore" | "should_panic" => all.on_test.extend(both),
            "cfg" => {
                all.on_module.extend(both.clone());
                all.rest.extend(both);
            }
            _ => all.rest.extend(both),
        }
    }
    all
}

const SHAPE: &str = "simtest::test goes before a function: fn name(sim: &mut Sim<Node>) { .. }, or fn name(sim: &mut Sim<Node>, seed: u64) { .. }";

/// The name of the function, and how many parameters it has.
fn signature(item: &TokenStream) -> Result<(String, usize), String> {
    let mut tokens = item.clone().into_iter();
    let name = loop {
        match tokens.next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                return Err(SHAPE.into());
            }
            Some(token) if token.to_string() == "fn" => break tokens.next().ok_or(SHAPE)?.to_string(),
            Some(_) => {}
            None => return Err(SHAPE.into()),
        }
    };
    let parameters = tokens.find_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some(group.stream()),
        _ => None,
    });
    Ok((name, colons(parameters.ok_or(SHAPE)?)))
}

/// Colons that are not part of a path: each parameter has one.
fn colons(parameters: TokenStream) -> usize {
    let (mut count, mut is_path) = (0, false);
    for token in parameters {
        let TokenTree::Punct(punct) = token else {
            is_path = false;
            continue;
        };
        let is_first_of_two = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
        count += usize::from(punct.as_char() == ':' && !is_first_of_two && !is_path);
        is_path = is_first_of_two;
    }
    count
}

/// At the commas.
fn split(arguments: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for token in arguments {
        if token.to_string() == "," {
            parts.push(TokenStream::new());
        } else if let Some(part) = parts.last_mut() {
            part.extend([token]);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
