//! What is kept of those who have gone.

use super::*;
use crate::room::limits::REMEMBER_QUOTA;

#[test]
fn who_comes_back_is_remembered_from_when_he_goes_again() {
    let mut now = Now { mono: Timestamp::from_millis(1000), unix_ms: 1_700_000_000_000 };
    let mut hall = Hall::new(RoomConfig::default(), [7; 32]);
    let (peer, user) = (Peer::Guest(1), UserId([2; 12]));
    let open = |hall: &mut Hall, now| {
        let who = Who { user, prefix: None, name: "user 1".into(), color: None, is_plain: false };
        hall.open(now, peer, who).expect("there is room");
    };
    let pass = |hall: &mut Hall, now: &mut Now, time: Duration| {
        now.mono += time;
        now.unix_ms += time.as_millis() as u64;
        hall.handle_timeout(*now);
    };
    open(&mut hall, now);
    hall.close(now, peer, Departure::Left);
    pass(&mut hall, &mut now, REMEMBER_QUOTA / 2);
    open(&mut hall, now);
    hall.close(now, peer, Departure::Left);
    pass(&mut hall, &mut now, REMEMBER_QUOTA * 3 / 4);
    assert!(hall.accounts.knows(user), "half of his time has passed");
    open(&mut hall, now);
    pass(&mut hall, &mut now, REMEMBER_QUOTA * 2);
    assert!(hall.accounts.knows(user), "he is here");
    hall.close(now, peer, Departure::Left);
    pass(&mut hall, &mut now, REMEMBER_QUOTA);
    assert!(!hall.accounts.knows(user), "nothing is kept of him for longer");
}
