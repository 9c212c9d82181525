//! How fast the simulator is on this machine, beside its goals.

mod adder;
mod clock;
mod ping;

use simtest::{Bounds, Budget, FromSeed, certify, ms, search, secs, shrink};

use self::clock::Clock;
use super::error::Error;
use super::json::Object;
use super::usage::Arguments;

/// What there is to do.
#[derive(Clone, Copy)]
enum Goal {
    None,
    AtLeast(u64),
    AtMost(u64),
}

struct Figures<'a> {
    arguments: &'a Arguments,
    told: u64,
    missed: u64,
}

impl Figures<'_> {
    /// Whether the section is asked for: all are, unless names begin with the words that were given.
    fn wants(&self, name: &str) -> bool {
        self.arguments.words.is_empty()
            || self.arguments.words.iter().any(|word| name.contains(word.as_str()))
    }

    /// How much there is to do: a part of it if it is to be short, for it is seen then whether it works, not how fast.
    fn part(&self, whole: u64) -> u64 {
        if self.arguments.has("short") { (whole / SHORT).max(1) } else { whole }
    }

    fn tell(&mut self, name: &str, unit: &str, value: u64, goal: Goal) {
        let goal = if self.arguments.has("short") { Goal::None } else { goal };
        let (word, number, met) = match goal {
            Goal::None => ("", 0, true),
            Goal::AtLeast(least) => ("at least", least, value >= least),
            Goal::AtMost(most) => ("at most", most, value <= most),
        };
        self.told += 1;
        self.missed += u64::from(!met);
        if self.arguments.has("json") {
            let object =
                Object::default().text("bench", name).text("unit", unit).number("value", value.into());
            if word.is_empty() {
                object.print();
            } else {
                let goal = format!("{word} {number}");
                object.text("goal", &goal).raw("met", if met { "true" } else { "false" }).print();
            }
        } else if word.is_empty() {
            tell!(" {name:<34} {value:>14} {unit}");
        } else {
            let met = if met { "" } else { "  MISSED" };
            tell!(" {name:<34} {value:>14} {unit:<16} goal: {word} {number}{met}");
        }
    }
}

/// With `--short`, all is so much shorter.
const SHORT: u64 = 50;

/// How many a second.
fn rate(count: u64, nanos: u64) -> u64 {
    (u128::from(count) * 1_000_000_000 / u128::from(nanos.max(1))) as u64
}

/// Measures, each for about a second or less, on one core. The clock counts this program's own processor time where the system
/// tells it.
pub(crate) fn bench(arguments: &Arguments) -> Result<u8, Error> {
    let mut figures = Figures { arguments, told: 0, missed: 0 };
    speed(&mut figures);
    faults(&mut figures);
    copies(&mut figures);
    certificates(&mut figures)?;
    shrinking(&mut figures)?;
    if figures.told == 0 {
        return Err(Error::Usage(format!("no figure is called like {}", arguments.words.join(" or "))));
    }
    if cfg!(debug_assertions) && !arguments.has("short") {
        eprintln!("simtest: this is a build without optimization; install it with `cargo install`");
    }
    Ok(u8::from(figures.missed > 0 && arguments.has("strict")))
}

fn speed(figures: &mut Figures<'_>) {
    for (name, hosts, span) in [
        ("ping-pong, 2 hosts", 2, 500_000),
        ("ping-pong, 10 hosts", 10, 100_000),
        ("ping-pong, 50 hosts", 50, 20_000),
        ("ping-pong, 1000 hosts", 1_000, 1_000),
    ] {
        if figures.wants(name) {
            let sim = ping::calm(hosts, ms(figures.part(span)));
            let begun = Clock::now();
            let events = sim.run(FromSeed::new(1)).stats.events;
            figures.tell(name, "events/s", rate(events, begun.elapsed()), Goal::None);
        }
    }
    for (name, pause, span, goal) in [
        ("1000 hosts, 10 rounds a second", ms(100), 60_000, Goal::AtLeast(100)),
        ("1000 hosts, 1 round a minute", secs(60), 7_200_000, Goal::AtLeast(10_000)),
    ] {
        if figures.wants(name) {
            let sim = ping::paced(1_000, pause, ms(figures.part(span)));
            let begun = Clock::now();
            let nanos = sim.run(FromSeed::new(1)).stats.virtual_nanos;
            figures.tell(name, "x real time", nanos / begun.elapsed().max(1), goal);
        }
    }
}

fn faults(figures: &mut Figures<'_>) {
    let name = "faults, invariant and hash";
    if figures.wants(name) {
        let sim = ping::stormy(ms(figures.part(1_000_000)));
        let begun = Clock::now();
        let events = sim.run(FromSeed::new(1)).stats.events;
        figures.tell(name, "events/s", rate(events, begun.elapsed()), Goal::AtLeast(3_000_000));
    }
    let name = "seeds with all faults";
    if figures.wants(name) {
        let sim = ping::stormy(ms(1_800));
        let (seeds, begun) = (figures.part(2_000), Clock::now());
        let events: u64 = (0..seeds).map(|seed| sim.run(FromSeed::new(seed)).stats.events).sum();
        let hourly = rate(seeds * 3_600, begun.elapsed());
        figures.tell(name, "events each", events / seeds, Goal::None);
        figures.tell(name, "seeds/hour", hourly, Goal::AtLeast(10_000_000));
    }
}

fn copies(figures: &mut Figures<'_>) {
    let name = "copies of a running simulation";
    if figures.wants(name) {
        let mut run = ping::stormy(secs(4)).start(FromSeed::new(1));
        run.until(secs(2));
        let (copies, begun) = (figures.part(20_000), Clock::now());
        for _ in 0..copies {
            std::hint::black_box(run.clone());
        }
        figures.tell(name, "copies/s", rate(copies, begun.elapsed()), Goal::AtLeast(50_000));
    }
}

fn certificates(figures: &mut Figures<'_>) -> Result<(), String> {
    for (name, faults, most) in
        [("certificate, at most 2 faults", 2, 1_000), ("certificate, at most 3 faults", 3, 10_000)]
    {
        if !figures.wants(name) || faults > 2 && figures.arguments.has("short") {
            continue;
        }
        let bounds = Bounds::faults(faults).weathers(1).crashes(ms(40), [ms(10)]);
        let begun = Clock::now();
        let certificate = certify(ping::small, &bounds).map_err(|failure| failure.report())?;
        let nanos = begun.elapsed();
        figures.tell(name, "decisions", certificate.schedules[1], Goal::None);
        figures.tell(name, "schedules", certificate.total(), Goal::None);
        figures.tell(name, "ms", nanos / 1_000_000, Goal::AtMost(most));
    }
    Ok(())
}

fn shrinking(figures: &mut Figures<'_>) -> Result<(), String> {
    let name = "shrinking";
    if !figures.wants(name) {
        return Ok(());
    }
    let sim = adder::adders();
    let (mut seed, mut stories) = (0, Vec::new());
    let enough = figures.part(20) as usize;
    while stories.len() < enough {
        let Err(failure) = search(seed..seed + 2_000, |_| adder::adders()) else { break };
        seed = failure.seed.map_or(seed, |seed| seed + 1);
        let begun = Clock::now();
        let story = shrink(&sim, &failure.schedule, Budget::default()).ok_or("what failed passes")?;
        let ms = begun.elapsed() / 1_000_000;
        stories.push((story.after.faults as u64, story.after.events, ms, story.before.events));
    }
    let mut at = |what: fn(&(u64, u64, u64, u64)) -> u64, percent: usize| {
        stories.sort_by_key(what);
        stories.get((stories.len().saturating_sub(1)) * percent / 100).map_or(0, what)
    };
    let events = at(|story| story.3, 50);
    let (median, most) = (at(|story| story.0, 50), at(|story| story.0, 95));
    let (slice, ms) = (at(|story| story.1, 50), at(|story| story.2, 50));
    figures.tell(name, "events before", events, Goal::None);
    figures.tell(name, "faults, median", median, Goal::AtMost(3));
    figures.tell(name, "faults, p95", most, Goal::AtMost(6));
    figures.tell(name, "events, median", slice, Goal::None);
    figures.tell(name, "ms, median", ms, Goal::AtMost(1_000));
    Ok(())
}
