//! Who hears that there is something.

use super::*;

fn ready(world: &mut World) -> Vec<GuestId> {
    let mut ids: Vec<_> = std::iter::from_fn(|| world.gateway.poll_ready()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn who_takes_nothing_hears_once_that_there_is_something_and_once_that_it_is_to_go() {
    let mut world = World::new();
    let [player, taker, slow] = [(); 3].map(|()| world.come("a room"));
    let note = json!({"m": "n", "t": 0, "n": [{"n": "a1", "v": 0.5}]});
    for id in [player, taker, slow] {
        world.take_texts(id);
    }
    ready(&mut world);

    world.send(player, &note);
    assert_eq!(ready(&mut world), [taker, slow]);
    assert_eq!(world.take_texts(taker).0.len(), 1);
    world.send(player, &note);
    world.send(player, &note);
    assert_eq!(ready(&mut world), [taker]);
    world.gateway.send_away(slow);
    assert_eq!(ready(&mut world), [slow]);

    let (texts, end) = world.take_texts(slow);
    assert_eq!((texts.len(), end), (3, Some(End::SENT_AWAY)));
}
