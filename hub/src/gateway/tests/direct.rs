//! What guests tell each other past the log.

use super::*;

#[test]
fn words_for_one_reach_him_and_their_author_and_nobody_else() {
    let mut world = World::new();
    let [ann, bob, carl] = ["a room", "a room", "a room"].map(|room| world.come(room));
    let other = world.come("elsewhere");
    let (ann_id, bob_id) = (world.user(ann), world.user(bob));
    for id in [ann, bob, carl, other] {
        world.take(id);
    }
    world.send(ann, &json!({"m": "dm", "_id": bob_id, "message": "for \"you\""}));
    for id in [ann, bob] {
        let told = world.take(id);
        assert_eq!(told.len(), 1);
        let dm = &told[0];
        assert_eq!(
            (&dm["m"], &dm["a"], &dm["t"]),
            (&json!("dm"), &json!("for \"you\""), &json!(world.now.unix_ms))
        );
        assert_eq!((&dm["sender"]["_id"], &dm["recipient"]["_id"]), (&json!(ann_id), &json!(bob_id)));
        assert_eq!(dm["recipient"]["name"], "Anonymous");
    }
    assert!(world.take(carl).is_empty() && world.take(other).is_empty());
    for message in [
        json!({"m": "dm", "_id": world.user(other), "message": "not here"}),
        json!({"m": "dm", "_id": bob_id, "message": " "}),
        json!({"m": "dm", "_id": bob_id}),
        json!({"m": "dm", "_id": 7, "message": "x"}),
        json!({"m": "dm", "message": "x"}),
    ] {
        world.send(ann, &message);
        assert!([ann, bob, carl, other].iter().all(|id| world.take(*id).is_empty()), "{message}");
    }
    assert_eq!(world.gateway.stats().ignored_for(Ignored::Nobody), 1);
    assert_eq!(world.gateway.stats().ignored_for(Ignored::BadField), 4);
    for _ in 0..10 {
        world.send(ann, &json!({"m": "dm", "_id": bob_id, "message": "again"}));
    }
    assert_eq!(of(&world.take(bob), "dm").len(), 3, "5 in 6 s, of which two are spent");
    assert_eq!(world.gateway.stats().ignored_for(Ignored::TooOften), 7);
}

#[test]
fn custom_messages_reach_those_who_want_them() {
    let mut world = World::new();
    let [ann, bob, carl] = ["a room", "a room", "a room"].map(|room| world.come(room));
    let other = world.come("elsewhere");
    for id in [ann, bob, other] {
        world.send(id, &json!({"m": "+custom"}));
    }
    for id in [ann, bob, carl, other] {
        world.take(id);
    }
    let (bob_id, carl_id, other_id) = (world.user(bob), world.user(carl), world.user(other));
    let mut heard = |target: Value| {
        world.send(ann, &json!({"m": "custom", "data": {"a": [1, "x\"\u{2028}"]}, "target": target}));
        [ann, bob, carl, other].map(|id| {
            let told = world.take(id);
            assert!(told.iter().all(|message| message["data"] == json!({"a": [1, "x\"\u{2028}"]})));
            told.len()
        })
    };
    assert_eq!(heard(json!({"mode": "subscribed"})), [0, 1, 0, 0]);
    assert_eq!(heard(json!({"mode": "subscribed", "global": true})), [0, 1, 0, 1]);
    assert_eq!(heard(json!({"mode": "id", "id": bob_id})), [0, 1, 0, 0]);
    assert_eq!(heard(json!({"mode": "id", "id": carl_id})), [0; 4], "he does not want them");
    assert_eq!(heard(json!({"mode": "id", "id": other_id})), [0; 4], "he is elsewhere");
    assert_eq!(heard(json!({"mode": "ids", "ids": [bob_id, other_id], "global": true})), [0, 1, 0, 1]);
    for wrong in [
        json!(null),
        json!({}),
        json!({"mode": "all"}),
        json!({"mode": "id"}),
        json!({"mode": "ids", "ids": [7]}),
        json!({"mode": "ids", "ids": vec![bob_id.clone(); 33]}),
    ] {
        assert_eq!(heard(wrong.clone()), [0; 4], "{wrong}");
    }
    world.send(bob, &json!({"m": "-custom"}));
    world.send(ann, &json!({"m": "custom", "data": 1, "target": {"mode": "subscribed"}}));
    assert!(world.take(bob).is_empty());
    world.send(bob, &json!({"m": "+custom"}));
    let large = json!({"m": "custom", "data": "x".repeat(10_000), "target": {"mode": "subscribed"}});
    world.send(ann, &large);
    world.send(ann, &large);
    assert_eq!(world.take(bob).len(), 1, "16 KiB in 10 s");
    world.pass(Duration::from_secs(10));
    world.send(ann, &large);
    assert_eq!(world.take(bob).len(), 1);
}
