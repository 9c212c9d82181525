//! The HTML page in a browser: headless Chromium, if the machine has it. `SIMTEST_SCREENSHOTS=<folder>` also takes pictures.

#![allow(clippy::disallowed_methods, reason = "a test may start a browser")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use simtest::{Chaos, FromSchedule, FromSeed, Link, Sim, ms, search, secs, why};

use crate::common::ledger::{Bug, Ledger};
use crate::common::setup::ledger;

/// A run with crashes, partitions, wrong clocks and much traffic.
fn page(clients: u8, puts: u16, until: u64, seed: u64) -> String {
    let mut sim = ledger(Bug::None, clients, puts, Link::wifi());
    sim.campaign(Chaos::default().clock(secs(2), ms(100)..secs(2)).until(secs(until)).quiet_for(secs(30)));
    sim.record(true);
    sim.run(FromSeed::new(seed)).html()
}

fn chromium() -> Option<PathBuf> {
    let given = env::var_os("SIMTEST_CHROMIUM").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let known = env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    given.into_iter().chain(known).find(|file| file.is_file())
}

/// What the page is asked to do; what it says goes into the document, which the browser prints.
const DRIVE: &str = r#"<script>
const out=[];
const press=k=>window.dispatchEvent(new KeyboardEvent("keydown",{key:k}));
const ink=()=>{const d=cv.getContext("2d").getImageData(0,0,cv.width,cv.height).data,b=parseInt(C.bg.slice(1,3),16);let n=0;for(let i=0;i<d.length;i+=4)if(d[i+3]&&Math.abs(d[i]-b)>40)n++;return n;};
const check=(name,ok)=>out.push((ok?"ok ":"NOT ")+name);
try{
press("g");check("starts at the first record",sel===0);
press("j");press("j");check("j goes on",sel>0);const two=sel;press("k");check("k goes back",sel<two&&sel>0);
press("f");check("f finds a fault",R[sel].fault>0);const fault1=sel;press("f");check("and the next",sel>fault1);press("F");check("F the one before",sel===fault1);
check("a fault is told with its line",$("detail").textContent.includes("f"+R[sel].fault+" "));
press("G");check("G goes to the end",sel===R.length-1&&sc.scrollTop>0);
const sentOne=R.findIndex((r,i)=>r.kind==="tx"&&ends.has(key(r)));pick(sentOne);press("o");check("o follows an arrow",sel===ends.get(key(R[sentOne])));press("o");check("and back",sel===sentOne);
const own=R[sel].node;press("l");check("l stays on the host",R[sel].node===own&&sel>sentOne);
press("1");const few=shown.length;press("3");check("levels",few<shown.length&&shown.length===R.length);press("2");
$("find").value="crash";search();check("search finds crashes",hits.length>=R.filter(r=>r.kind==="crash").length&&hits.length>0);
const h=sel;press("n");check("n goes to the next",hits.length===1||sel!==h);$("find").value="no such thing";search();check("search says when there is nothing",$("count").textContent==="0 found");$("find").value="";search();
press("g");check("something is drawn",ink()>2000);
pick(R.findIndex(r=>r.kind==="crash"));check("a crash is drawn",ink()>2000);
check("judges are listed",D.judges.length>0&&D.states.length>0);
check("a clock is wrong somewhere",wrong.some(l=>l.length>0));
check("the copied test has the schedule",test().includes("simtest::replay(")&&test().includes(D.schedule.split("\n")[0]));
$("copy").click();
const t=performance.now();for(let i=0;i<100;i++){sc.scrollTop=i*50;draw();}check("it draws 100 times in 2 s",performance.now()-t<2000);
check("nothing is fetched",performance.getEntriesByType("resource").length===0);
check("nothing is wider than the window",document.documentElement.scrollWidth<=innerWidth);
}catch(e){check("no error: "+e,false);}
const pre=document.createElement("pre");pre.id="result";pre.textContent=out.join("\n");document.body.append(pre);
</script></body>"#;

/// The same of a page with the share of runs that fail from each moment on.
const CURVED: &str = r#"<script>
const out=[];const check=(name,ok)=>out.push((ok?"ok ":"NOT ")+name);
try{pick(0);check("there are moments",CURVE.length>8);
check("the share is told",/decided anew from here on, \d+ of \d+ runs fail/.test($("detail").textContent));
check("it grows until the failure is certain",CURVE[0][1]<CURVE[0][2]&&CURVE.at(-1)[1]===CURVE.at(-1)[2]);
check("moments are records in order",CURVE.every(([i],k)=>i<R.length&&(!k||i>=CURVE[k-1][0])));
check("the curve has its place",st.clientHeight>=48);
check("nothing is wider than the window",document.documentElement.scrollWidth<=innerWidth);
}catch(e){check("no error: "+e,false);}
const pre=document.createElement("pre");pre.id="result";pre.textContent=out.join("\n");document.body.append(pre);
</script></body>"#;

/// A failing run, and how likely the failure became.
fn failing() -> String {
    let build = || -> Sim<Ledger> {
        let mut sim = ledger(Bug::AckBeforeSync, 2, 6, Link::wifi());
        sim.campaign(Chaos::default().until(secs(3)).quiet_for(secs(30)));
        sim
    };
    let failure = search(0..200, |_| build()).expect_err("it fails");
    let mut sim = build();
    let curve = why(&sim, &failure.schedule, 24, 8).expect("it fails again");
    sim.record(true);
    sim.run(FromSchedule::new(&failure.schedule)).html_with(Some(&curve))
}

#[test]
fn ten_thousand_events_are_less_than_a_megabyte() {
    let page = page(5, 200, 20, 3);
    let rows = page.matches("],[").count();
    assert!(rows > 10_000, "{rows} rows");
    assert!(page.len() < 1_000_000 * rows / 10_000, "{} bytes for {rows} rows", page.len());
    assert!(!page.contains("http://") && !page.contains("https://"), "it needs nothing else");
}

#[test]
fn the_page_works_in_a_browser() {
    let Some(browser) = chromium() else {
        // Past the capture of the test harness.
        let why =
            "SKIPPED: the HTML page was NOT tested: there is no Chromium here (SIMTEST_CHROMIUM names one)\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return;
    };
    let folder = env::temp_dir().join(format!("simtest-page-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("run.html");
    let plain = page(3, 30, 5, 3);
    fs::write(&file, plain.replace("</body>", DRIVE)).unwrap();
    let start = |size: &str, dark: bool, page: &Path| {
        let mut command = Command::new(&browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--virtual-time-budget=5000", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
            .arg(format!("--window-size={size}"));
        (command, format!("file://{}", page.display()))
    };
    let curved = folder.join("failing.html");
    let failing = failing();
    fs::write(&curved, failing.replace("</body>", CURVED)).unwrap();
    for (size, file, least) in [("1400,900", &file, 20), ("500,800", &file, 20), ("1400,900", &curved, 6)] {
        let (mut command, address) = start(size, false, file);
        let shown = command.arg("--dump-dom").arg(address).output().unwrap();
        let dom = String::from_utf8_lossy(&shown.stdout);
        let result = dom.split("<pre id=\"result\">").nth(1).and_then(|rest| rest.split("</pre>").next());
        let result = result.unwrap_or_else(|| panic!("{size}: {}", String::from_utf8_lossy(&shown.stderr)));
        assert!(result.lines().count() >= least && !result.contains("NOT "), "{size}:\n{result}");
    }
    if let Some(kept) = env::var_os("SIMTEST_SCREENSHOTS").map(PathBuf::from) {
        fs::create_dir_all(&kept).unwrap();
        let pages = [("small", plain), ("failing", failing), ("large", page(5, 200, 20, 3))];
        for (name, page) in pages {
            let file = kept.join(format!("{name}.html"));
            fs::write(&file, page).unwrap();
            for (size, dark) in
                [("1400,900", false), ("1400,900", true), ("500,800", false), ("2200,1200", true)]
            {
                let shot = kept.join(format!("{name}-{size}-{}.png", if dark { "dark" } else { "light" }));
                let (mut command, address) = start(size, dark, &fs::canonicalize(&file).unwrap());
                let taken = command
                    .arg(format!("--screenshot={}", shot.display()))
                    .arg(address + "#700")
                    .output()
                    .unwrap();
                assert!(taken.status.success() && shot.is_file());
            }
        }
    }
    let _ = fs::remove_dir_all(&folder);
}
