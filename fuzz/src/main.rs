//! Runs targets on stable, each in a process of its own: inputs of the corpus, changed by a small mutator. It has no eye for
//! coverage, which libFuzzer has.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it runs for as long as it is told")]

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use fuzz::cap::{CAP_OF_AN_INPUT, Capped, measured};
use fuzz::{TARGETS, Target, target};

#[global_allocator]
static ALLOCATOR: Capped = Capped;

/// How long one input may take.
const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST: usize = 4096;

/// Runs fuzz targets on inputs made from their corpora.
#[derive(Debug, Parser)]
struct Arguments {
    /// Targets; all of them if none is named.
    targets: Vec<String>,
    /// How long each is run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many targets are run at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Another number makes other inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the corpora are, a folder for each target.
    #[arg(long, default_value = "fuzz/corpus")]
    corpus: PathBuf,
    /// Writes the seeds of hostile input into a folder, a file for each, and runs nothing.
    #[arg(long, value_name = "FOLDER")]
    seeds: Option<PathBuf>,
    /// Where an input that fails is put.
    #[arg(long, default_value = "fuzz/failed")]
    failed: PathBuf,
}

/// `SplitMix64`.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// An input like one of `corpus`.
fn mutate(draw: &mut Draw, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus.get(draw.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=draw.below(6) {
        let at = draw.below(input.len());
        match draw.below(6) {
            0 if !input.is_empty() => input[at] ^= 1 << draw.below(8),
            1 if !input.is_empty() => input[at] = [0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xFE, 0xFF][draw.below(8)],
            2 if !input.is_empty() => drop(input.drain(at..(at + draw.below(8)).min(input.len()))),
            3 => {
                let part: Vec<u8> = (0..draw.below(16)).map(|_| draw.next() as u8).collect();
                drop(input.splice(at..at, part));
            }
            4 => {
                let other = corpus.get(draw.below(corpus.len())).map_or(&[][..], Vec::as_slice);
                let from = draw.below(other.len());
                let part = other[from..(from + draw.below(64)).min(other.len())].to_vec();
                drop(input.splice(at..at, part));
            }
            _ => input.extend((0..draw.below(32)).map(|_| draw.next() as u8)),
        }
    }
    input.truncate(LONGEST);
    input
}

fn read_corpus(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let files = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()))).collect()
}

fn write_seeds(folder: &Path, name: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut seeds = fuzz::seeds::of(name)?.into_iter().enumerate();
    seeds.try_for_each(|(index, seed)| fs::write(folder.join(format!("abuse-{index:04}")), seed))
}

/// Keeps an input that failed, and says where.
fn keep(failed: &Path, name: &str, input: &[u8]) -> String {
    let mark = input.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let path = failed.join(format!("{name}-{mark:016x}"));
    let written = fs::create_dir_all(failed).and_then(|()| fs::write(&path, input));
    match written {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("an input that could not be kept ({}: {error})", path.display()),
    }
}

/// A file with the input under way: what is left of a process that a refused allocation has ended.
struct UnderWay {
    path: PathBuf,
    file: File,
}

impl UnderWay {
    fn create(failed: &Path, name: &str) -> Result<Self, String> {
        let path = failed.join(format!("{name}.current"));
        let file = fs::create_dir_all(failed).and_then(|()| File::create(&path));
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, file })
    }

    fn write(&mut self, input: &[u8]) -> Result<(), String> {
        let written = self.file.rewind().and_then(|()| self.file.write_all(input));
        let cut = written.and_then(|()| self.file.set_len(input.len() as u64));
        cut.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// Nothing is under way any more.
    fn end(self) {
        // It is only in the way.
        let _ = fs::remove_file(&self.path);
    }
}

/// Runs a target until its time is over; how many inputs.
fn run(arguments: &Arguments, (name, body): Target) -> Result<(u64, usize), String> {
    let mut corpus = read_corpus(&arguments.corpus.join(name))?;
    corpus.extend(fuzz::seeds::of(name).map_err(|error| format!("the seeds of hostile input: {error}"))?);
    corpus.push(Vec::new());
    let mut draw = Draw(arguments.seed);
    let begun = Instant::now();
    let current = Arc::new(Mutex::new((begun, Vec::new())));
    let (watched, failed) = (Arc::clone(&current), arguments.failed.clone());
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if Arc::strong_count(&watched) == 1 {
                return;
            }
            if let Ok(now) = watched.lock()
                && now.0.elapsed() > PATIENCE
            {
                eprintln!("{name} hangs: {}", keep(&failed, name, &now.1));
                std::process::exit(1);
            }
        }
    });
    let (mut count, mut most) = (0, 0);
    let mut under_way = UnderWay::create(&arguments.failed, name)?;
    while begun.elapsed().as_secs() < arguments.seconds {
        let input = mutate(&mut draw, &corpus);
        if let Ok(mut now) = current.lock() {
            *now = (Instant::now(), input.clone());
        }
        under_way.write(&input)?;
        let mut is_sound = false;
        let taken = measured(|| is_sound = panic::catch_unwind(|| body(&input)).is_ok());
        if !is_sound {
            return Err(format!("{name} failed: {}", keep(&arguments.failed, name, &input)));
        }
        if taken > CAP_OF_AN_INPUT {
            return Err(format!("{name} took {taken} bytes: {}", keep(&arguments.failed, name, &input)));
        }
        (count, most) = (count + 1, most.max(taken));
    }
    under_way.end();
    Ok((count, most))
}

/// Runs each target in a process of its own, some at a time; whether all went well.
fn run_each(arguments: &Arguments, targets: &[Target]) -> bool {
    let next = Mutex::new(targets.iter());
    let alone = |name: &str| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).args(["--seconds", &arguments.seconds.to_string()]);
        command.args(["--seed", &arguments.seed.to_string()]);
        command.arg("--corpus").arg(&arguments.corpus).arg("--failed").arg(&arguments.failed);
        command.status()
    };
    let work = || {
        let mut is_well = true;
        while let Some((name, _)) = next.lock().ok().and_then(|mut next| next.next()) {
            match alone(name) {
                Ok(status) if status.success() => {}
                Ok(status) => {
                    eprintln!("{name} ended with {status}; seed {}", arguments.seed);
                    is_well = false;
                }
                Err(error) => {
                    eprintln!("{name} cannot be run: {error}");
                    is_well = false;
                }
            }
        }
        is_well
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        // The scope waits for all of them.
        workers.into_iter().all(|worker| worker.join().unwrap_or(false))
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut targets = Vec::new();
    for name in &arguments.targets {
        let Some(found) = target(name) else {
            let names: Vec<_> = TARGETS.iter().map(|target| target.0).collect();
            eprintln!("there is no target {name}; there are {}", names.join(", "));
            return ExitCode::from(2);
        };
        targets.push(found);
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    if let Some(folder) = &arguments.seeds {
        return match targets.iter().try_for_each(|(name, _)| write_seeds(folder, name)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", folder.display());
                ExitCode::FAILURE
            }
        };
    }
    let [target] = targets[..] else {
        return if run_each(&arguments, &targets) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    match run(&arguments, target) {
        Ok((count, most)) => {
            let Arguments { seconds, seed, .. } = arguments;
            println!(
                "{}: {count} inputs in {seconds} s, seed {seed}, at most {} KiB each",
                target.0,
                most / 1024
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
