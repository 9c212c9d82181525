use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::probe::{Cmd, three};
use crate::{Chaos, FromSeed, ms, secs};

/// Judges may leave out all nodes but the one that they are told of.
#[test]
fn all_but_the_latest_node_are_as_they_were() {
    let (mut sim, [a, b, c]) = three();
    sim.campaign(Chaos::default().until(secs(3)).quiet_for(secs(1)));
    sim.workload(|w| {
        for i in 0..200 {
            w.at(ms(10 * i)).cmd(a, Cmd::Send(b, vec!["x"])).cmd(b, Cmd::Send(c, vec!["y", "z"]));
        }
    });
    let told = Rc::new([Cell::new(0_u32), Cell::new(0)]);
    let (known, tell) = (RefCell::new([0; 3]), Rc::clone(&told));
    sim.invariant("the others are as they were", move |view| {
        let latest = view.latest().map(|(id, _)| id);
        let mut known = known.borrow_mut();
        for (id, node) in view.nodes() {
            let before = std::mem::replace(&mut known[id.index()], node.got);
            if before != node.got && latest != Some(id) {
                return Err(format!("{} has changed, and the latest was {latest:?}", view.name(id)));
            }
        }
        let count = &tell[usize::from(latest.is_none())];
        count.set(count.get() + 1);
        Ok(())
    });
    sim.run(FromSeed::new(1)).assert_pass();
    assert!(told[0].get() > 500, "events of nodes");
    assert!(told[1].get() > 5, "events of none, such as losses");
}
