// SPDX-License-Identifier: GPL-3.0-or-later
//! What every hub does. Scenarios know two processes' ends of it and nothing of what lies behind them.

mod failures;
mod lanes;
mod oversight;
mod queue;
mod records;
mod samples;

use super::*;
use thundergate_common::hub::Begin;
use thundergate_harness::redis::{Certificates, Guard};
use tokio::{task::JoinSet, time::timeout};

/// Makes a test of every scenario for the two quick hubs, and one function that runs all of them.
macro_rules! scenarios {
    ($($part:ident::$scenario:ident),* $(,)?) => {
        mod in_memory {
            use super::in_memory;
            $(#[tokio::test] async fn $scenario() { super::$part::$scenario(in_memory()).await; })*
        }
        mod over_redis {
            use super::over_redis;
            $(#[tokio::test] async fn $scenario() { super::$part::$scenario(over_redis().await).await; })*
        }
        /// Runs every scenario on a stage of its own.
        async fn all_hold(stage: impl AsyncFn() -> Stage) {
            $(
                eprintln!("{}", stringify!($scenario));
                $part::$scenario(stage().await).await;
            )*
        }
    };
}

scenarios!(
    samples::a_completed_sample_is_known,
    samples::a_hundred_reservations_have_one_owner,
    samples::an_announcement_reaches_everybody_who_waits,
    samples::a_missed_announcement_is_found_by_reserving_again,
    samples::a_dead_owner_is_succeeded_after_reserve_ttl,
    samples::a_job_whose_sample_is_known_announces_it_again,
    samples::a_skipped_sample_is_announced_and_not_stored,
    samples::bytes_that_expired_end_their_job,
    samples::a_verdict_expires_and_can_be_forgotten,
    samples::what_is_known_of_a_sample_is_told_under_every_name,
    samples::the_farms_generation_makes_clean_verdicts_stale,
    samples::a_bump_makes_clean_verdicts_stale,
    samples::a_job_needs_a_verdict_of_its_signatures,
    samples::a_known_verdict_ends_no_scan_for_a_better_one,
    samples::a_scan_that_comes_late_clears_no_finding,
    records::mails_that_held_a_sample_are_told_newest_first_under_one_name_or_any,
    records::every_decision_about_a_queue_id_is_told_newest_first,
    records::the_oldest_records_go_where_there_is_no_room,
    records::a_mail_that_had_more_parts_than_its_record_may_have_held_it,
    oversight::what_a_blind_instance_called_clean_is_stale_everywhere,
    oversight::who_is_blind_or_late_does_not_count_for_the_generation,
    oversight::one_worker_leads_and_keeps_it,
    queue::a_claim_waits_for_a_job_and_mail_goes_first,
    queue::a_dead_workers_job_is_delivered_again,
    queue::a_renewed_job_is_not_reclaimed,
    queue::a_resubmitted_sample_is_queued_once,
    queue::a_sample_is_not_scanned_by_two_jobs,
    queue::a_dead_letter_announces_its_failure_and_stores_no_verdict,
    queue::a_full_queue_refuses_and_later_admits,
    queue::a_queue_full_of_bytes_refuses,
    lanes::background_work_takes_no_place_from_mail_and_gives_way_to_its_own,
    lanes::the_oldest_gives_way_and_what_is_claimed_stays,
    lanes::large_samples_of_background_give_way_to_the_bytes_of_mail,
    lanes::jobs_that_nobody_waits_for_any_more_are_bounded_as_background_is,
    lanes::a_dead_letters_bytes_do_not_give_way_with_a_job,
    lanes::what_is_owed_gives_way_last_and_is_told,
    lanes::three_of_mail_are_taken_and_one_of_bulk,
    lanes::who_asks_from_a_better_lane_overtakes,
    lanes::what_is_being_scanned_from_bulk_is_joined_from_mail,
    queue::a_handed_back_job_is_claimed_at_once_and_not_counted,
    queue::background_work_that_comes_late_takes_no_place_of_a_job_handed_back,
    queue::who_has_lost_a_job_cannot_hand_it_back,
    queue::a_job_that_nobody_waits_for_yields_to_the_background_lane,
    queue::who_leaves_is_not_waited_for_and_who_comes_again_goes_first,
    queue::background_work_is_claimed_as_far_as_there_is_room_for_it,
    queue::a_sample_resubmitted_while_its_job_ends_is_queued_anew,
    queue::a_dropped_dead_letter_is_gone,
    failures::a_failed_sample_is_told_at_once_and_reserved_by_nobody,
    failures::a_failure_is_forgotten_when_its_time_is_over,
    failures::a_new_generation_forgets_a_failure,
    failures::a_bump_forgets_a_failure,
    failures::an_operator_who_tries_again_forgets_a_failure,
    failures::a_suspicion_stops_no_reservation_and_reaches_the_next_worker,
    failures::what_is_over_still_reaches_the_next_worker,
    failures::a_job_from_before_its_failure_was_known_is_not_scanned,
    failures::a_verdict_ends_a_failure_and_its_letter,
    failures::a_scan_that_comes_late_holds_nothing_against_a_known_sample,
    failures::a_sample_has_one_letter_the_newest,
);

#[tokio::test]
async fn everything_holds_over_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    all_hold(async || {
        cluster.flush().unwrap();
        stage(|user| over(&cluster, user)).await
    })
    .await;
}

#[tokio::test]
async fn everything_holds_over_a_unix_socket() {
    let server = RedisServer::start().unwrap();
    all_hold(async || {
        server.command("FLUSHALL").unwrap();
        stage(|user| at(server.unix_url_of(user))).await
    })
    .await;
}

#[tokio::test]
async fn everything_holds_sealed_and_over_tls() {
    let (files, certificates) = (tempfile::tempdir().unwrap(), Arc::new(Certificates::make().unwrap()));
    let server = RedisServer::start_guarded(&Guard::tls(&certificates, false), &[]).unwrap();
    let secured = |user: &str| Redis {
        ca_file: Some(certificates.ca()),
        secret_file: Some(sealed::written(&files, &[sealed::OLD])),
        ..at(server.url_of(user))
    };
    all_hold(async || {
        server.command("FLUSHALL").unwrap();
        stage(secured).await
    })
    .await;
}

#[tokio::test]
async fn everything_holds_for_the_users_of_the_programs() {
    let users = users::Users::start();
    all_hold(async || users.stage().await).await;
    assert_eq!(users.refused(), []);
}
