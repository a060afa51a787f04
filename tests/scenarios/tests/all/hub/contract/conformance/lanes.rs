// SPDX-License-Identifier: GPL-3.0-or-later
//! The lanes: whose turn it is, who overtakes whom, what gives way.

use super::*;
use thundergate_common::hub::Retried;

pub async fn background_work_takes_no_place_from_mail_and_gives_way_to_its_own(stage: Stage) {
    let half = limits().max_jobs / stage.here.worker.shards() / 2;
    for number in 0..half {
        submit(&*stage.here.milter, &format!("rescan {number}"), Lane::Background).await;
    }
    submit(&*stage.here.milter, "one more", Lane::Background).await;
    assert_eq!(waiting(&stage).await, [0, 0, half as u64], "half of the jobs");
    for number in 0..2 * half {
        let lane = if number % 2 == 0 { Lane::Mail } else { Lane::Bulk };
        submit(&*stage.here.milter, &format!("job {number}"), lane).await;
    }
    assert_eq!(waiting(&stage).await, [half as u64, half as u64, 0], "all of them are for mail and bulk");
    for lane in Lane::ALL {
        assert_eq!(stage.here.milter.reserve(&[key("none")], lane).await.unwrap(), [Reservation::Owner]);
        assert_eq!(submit_again(&*stage.here.milter, "none", lane).await, Admission::Full, "{lane:?}");
    }
    let all =
        stage.there.milter.reserve(&[key("rescan 0"), key("one more")], Lane::Background).await.unwrap();
    assert_eq!(all, [Reservation::Owner, Reservation::Owner], "nobody joins what is gone");
    assert_eq!(stage.here.operator.dead_letters(1).await.unwrap(), []);
}

pub async fn the_oldest_gives_way_and_what_is_claimed_stays(stage: Stage) {
    let half = limits().max_jobs / stage.here.worker.shards() / 2;
    for number in 0..half {
        submit(&*stage.here.milter, &format!("rescan {number}"), Lane::Background).await;
    }
    let first = claimed(&*stage.there.worker).await;
    assert_eq!(first.job.sample, key("rescan 0"));
    for number in 0..half + 2 {
        submit(&*stage.here.milter, &format!("mail {number}"), Lane::Mail).await;
    }
    let Begin::Scan { bytes: kept, .. } = stage.there.worker.begin(&first).await.unwrap() else {
        panic!("what is claimed stays")
    };
    assert_eq!(kept, bytes("rescan 0"));
    assert_eq!(waiting(&stage).await, [half as u64 + 2, 0, half as u64 - 3], "two of the oldest gave way");
    let room = Room { most: 2 * half + 2, background: 1 };
    let claims = stage.there.worker.claim("worker", 0, room, SOON).await.unwrap();
    assert_eq!(claims.last().unwrap().job.sample, key("rescan 3"), "the oldest that is left");
}

pub async fn large_samples_of_background_give_way_to_the_bytes_of_mail(stage: Stage) {
    let third = limits().max_bytes.as_u64() as usize / stage.here.worker.shards() / 3;
    let large = |letter: &str| letter.repeat(third - 100);
    for letter in ["a", "b", "c"] {
        submit(&*stage.here.milter, &large(letter), Lane::Background).await;
    }
    submit(&*stage.here.milter, &large("d"), Lane::Mail).await;
    assert_eq!(waiting(&stage).await, [1, 0, 2]);
    submit(&*stage.here.milter, &large("e"), Lane::Bulk).await;
    submit(&*stage.here.milter, &large("f"), Lane::Mail).await;
    assert_eq!(waiting(&stage).await, [2, 1, 0]);
    let most = limits().max_bytes.as_u64() / stage.here.worker.shards() as u64;
    assert!(stage.here.operator.queue().await.unwrap().sample_bytes <= most);
    stage.here.milter.reserve(&[key(&large("g"))], Lane::Mail).await.unwrap();
    assert_eq!(submit_again(&*stage.here.milter, &large("g"), Lane::Mail).await, Admission::Full);
}

pub async fn jobs_that_nobody_waits_for_any_more_are_bounded_as_background_is(stage: Stage) {
    let half = limits().max_jobs / stage.here.worker.shards() / 2;
    for number in 0..2 * half {
        let lane = if number % 2 == 0 { Lane::Mail } else { Lane::Bulk };
        submit(&*stage.here.milter, &format!("left {number}"), lane).await;
        stage.here.milter.leave(&[key(&format!("left {number}"))]).await.unwrap();
    }
    for claim in
        stage.there.worker.claim("worker", 0, Room { most: 2 * half, background: 0 }, SOON).await.unwrap()
    {
        assert_eq!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Nothing);
    }
    assert_eq!(waiting(&stage).await, [0, 0, half as u64]);
    let claims = stage.there.worker.claim("worker", 0, room(1), SOON).await.unwrap();
    assert!(
        matches!(stage.there.worker.begin(&claims[0]).await.unwrap(), Begin::Scan { .. }),
        "its bytes stayed"
    );
}

pub async fn a_dead_letters_bytes_do_not_give_way_with_a_job(stage: Stage) {
    let claim = queued(&stage, "hopeless", Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    stage.there.worker.complete(&claim, &Completion::Dead("no instance could".into())).await.unwrap();
    submit(&*stage.here.milter, "hopeless", Lane::Background).await;
    for number in 0..limits().max_jobs / stage.here.worker.shards() {
        submit(&*stage.here.milter, &format!("mail {number}"), Lane::Mail).await;
    }
    assert_eq!(waiting(&stage).await[2], 0);
    let letter = stage.here.operator.dead_letters(10).await.unwrap().remove(0);
    let retried = stage.here.operator.retry(&letter).await.unwrap();
    // Within one process a letter keeps none.
    let expected = if stage._server.is_some() { Retried::Queued } else { retried };
    assert_eq!(retried, expected);
}

pub async fn what_is_owed_gives_way_last_and_is_told(stage: Stage) {
    let half = limits().max_jobs / stage.here.worker.shards() / 2;
    for number in 0..half {
        submit(&*stage.here.milter, &format!("left {number}"), Lane::Background).await;
    }
    let (oldest, second) = (key("left 0"), key("left 1"));
    stage.here.milter.owe(&[oldest.clone(), second.clone(), key("no job")], "4Bqueue").await.unwrap();
    for number in 0..half - 2 {
        submit(&*stage.here.milter, &format!("rescan {number}"), Lane::Background).await;
    }
    submit(&*stage.here.milter, "one of the rest", Lane::Background).await;
    assert_eq!(waiting(&stage).await[2], half as u64, "a re-scan replaces a re-scan");
    for number in 0..2 * half - 2 {
        submit(&*stage.here.milter, &format!("mail {number}"), Lane::Mail).await;
    }
    assert_eq!(waiting(&stage).await, [2 * half as u64 - 2, 0, 2], "these two are left");
    submit(&*stage.here.milter, "one more", Lane::Mail).await;
    assert_eq!(waiting(&stage).await[2], 1);
    let claims = stage.there.worker.claim("worker", 0, Room { most: 99, background: 9 }, SOON).await.unwrap();
    let last = claims.last().unwrap();
    assert_eq!((&last.job.sample, last.job.lane), (&second, Lane::Background));
    assert!(matches!(stage.there.worker.begin(last).await.unwrap(), Begin::Scan { .. }), "its bytes stayed");
    stage.there.worker.complete(last, &answered(&verdict())).await.unwrap();
    assert_eq!(
        stage.there.milter.reserve(&[oldest], Lane::Background).await.unwrap(),
        [Reservation::Owner],
        "nobody joins what is gone"
    );
}

pub async fn three_of_mail_are_taken_and_one_of_bulk(stage: Stage) {
    // Many claims of small rooms are as one of a large one.
    for rooms in [[1, 1, 1, 1, 1, 1, 1, 1], [8, 0, 0, 0, 0, 0, 0, 0], [2, 1, 2, 1, 2, 0, 0, 0]] {
        for number in 0..2 {
            submit(&*stage.here.milter, &format!("bulk {number} {rooms:?}"), Lane::Bulk).await;
        }
        for number in 0..6 {
            submit(&*stage.here.milter, &format!("mail {number} {rooms:?}"), Lane::Mail).await;
        }
        let mut claims = Vec::new();
        for most in rooms {
            claims.extend(stage.there.worker.claim("worker", 0, room(most), Duration::ZERO).await.unwrap());
        }
        let lanes: Vec<_> = claims.iter().map(|claim| claim.job.lane.as_str()).collect();
        // Within one claim the order is that of the lanes' turns, too.
        assert_eq!(lanes, ["mail", "mail", "mail", "bulk", "mail", "mail", "mail", "bulk"], "{rooms:?}");
        for claim in claims {
            stage.there.worker.begin(&claim).await.unwrap();
            stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
        }
    }
    submit(&*stage.here.milter, "rescan", Lane::Background).await;
    for number in 0..2 {
        submit(&*stage.here.milter, &format!("only bulk {number}"), Lane::Bulk).await;
    }
    let claims = stage.there.worker.claim("worker", 0, room(2), Duration::ZERO).await.unwrap();
    assert!(claims.iter().all(|claim| claim.job.lane == Lane::Bulk), "background waits for both");
    let claims = stage.there.worker.claim("worker", 0, room(2), Duration::ZERO).await.unwrap();
    assert_eq!(names(&claims), [key("rescan")]);
}

pub async fn who_asks_from_a_better_lane_overtakes(stage: Stage) {
    submit(&*stage.here.milter, "before", Lane::Bulk).await;
    submit(&*stage.here.milter, "wanted", Lane::Bulk).await;
    let join = async |lane| stage.there.milter.reserve(&[key("wanted")], lane).await.unwrap().remove(0);
    for lane in [Lane::Bulk, Lane::Background] {
        assert_eq!(join(lane).await, Reservation::Joined, "{lane:?}");
    }
    let mut ticket = stage.here.milter.announcements().subscribe(&key("wanted"));
    assert_eq!(join(Lane::Mail).await, Reservation::Owner);
    assert_eq!(submit_again(&*stage.there.milter, "wanted", Lane::Mail).await, Admission::Queued);
    assert_eq!(join(Lane::Mail).await, Reservation::Joined);
    let claims = stage.there.worker.claim("worker", 0, room(3), SOON).await.unwrap();
    assert_eq!(names(&claims), [key("wanted"), key("before"), key("wanted")]);
    assert!(matches!(stage.there.worker.begin(&claims[0]).await.unwrap(), Begin::Scan { .. }));
    assert_eq!(stage.there.worker.begin(&claims[2]).await.unwrap(), Begin::Nothing, "one scan");
    stage.there.worker.complete(&claims[0], &answered(&verdict())).await.unwrap();
    let answer = timeout(SOON, ticket.answer()).await.expect("who joined in bulk hears it");
    assert_eq!(answer, Answer::Verdict(verdict()));
    assert!(
        matches!(stage.there.worker.begin(&claims[1]).await.unwrap(), Begin::Scan { .. }),
        "awaited as mail is"
    );
    assert_eq!(stage.here.operator.queue().await.unwrap().sample_bytes, bytes("before").len() as u64);
}

pub async fn what_is_being_scanned_from_bulk_is_joined_from_mail(stage: Stage) {
    let claim = queued(&stage, "under way", Lane::Bulk).await;
    stage.there.worker.begin(&claim).await.unwrap();
    let joined = stage.there.milter.reserve(&[key("under way")], Lane::Mail).await.unwrap();
    assert_eq!(joined, [Reservation::Joined]);
    submit(&*stage.here.milter, "left", Lane::Bulk).await;
    stage.here.milter.leave(&[key("left")]).await.unwrap();
    let claim = claimed(&*stage.there.worker).await;
    assert_eq!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Nothing, "it goes to background");
    assert_eq!(claimed(&*stage.there.worker).await.job.lane, Lane::Background);
}

async fn waiting(stage: &Stage) -> Vec<u64> {
    stage.here.operator.queue().await.unwrap().lanes.iter().map(|lane| lane.waiting).collect()
}
