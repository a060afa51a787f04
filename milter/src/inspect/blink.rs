// SPDX-License-Identifier: GPL-3.0-or-later
//! A hub that blinks: it is away for a moment and comes back. Who waits for a verdict waits on, with its seat, until its
//! deadline. Who has just come waits too, as long as the hub has not been away for longer than [`GRACE`] and there is a
//! seat: a long outage holds up nobody. Where samples can be scanned directly, that is done at once.

use crate::mail::permits::Permits;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use thundergate_common::hub::HubError;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// For so long an absence can be a blink. A server that is restarted is back in that time.
const GRACE: Duration = Duration::from_secs(5);
/// The first pause before the hub is asked again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Since when the hub is away, for the whole process.
#[derive(Debug, Default)]
pub(crate) struct Absence(Mutex<Option<Instant>>);

impl Absence {
    /// The hub was asked.
    pub(crate) fn note<T>(&self, answer: &Result<T, HubError>) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Err(HubError::Unavailable(_)) => _ = since.get_or_insert_with(Instant::now),
            _ => *since = None,
        }
    }

    /// Whether it may be a blink.
    fn is_short(&self) -> bool {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_none_or(|since| since.elapsed() < GRACE)
    }
}

/// One message's patience with the hub.
pub(crate) struct Blink<'a> {
    absence: &'a Absence,
    deadline: Instant,
    /// None where the message has one.
    seats: Option<&'a Permits>,
    seat: Option<OwnedSemaphorePermit>,
    /// Whether there is another way than the hub.
    direct: bool,
    pause: Duration,
}

impl<'a> Blink<'a> {
    /// Of a message that has begun to ask; it needs a seat to wait for the hub.
    pub(crate) fn at_first(
        absence: &'a Absence,
        deadline: Instant,
        seats: &'a Permits,
        direct: bool,
    ) -> Self {
        Self { absence, deadline, seats: Some(seats), seat: None, direct, pause: PAUSES.0 }
    }

    /// Of one that has a seat, and waits for its verdicts until its deadline.
    pub(crate) fn seated(self) -> Self {
        Self { seats: None, ..self }
    }

    /// The hub gave `error`: comes back when it is time to ask again.
    ///
    /// # Errors
    ///
    /// It is no use: the same error.
    pub(crate) async fn pause(&mut self, error: HubError) -> Result<(), HubError> {
        let wake = Instant::now() + self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        let passes = matches!(error, HubError::Unavailable(_)) && !self.direct;
        if !passes || wake >= self.deadline || !self.may_wait() {
            return Err(error);
        }
        self.pause = (self.pause * 2).min(PAUSES.1);
        tokio::time::sleep_until(wake).await;
        Ok(())
    }

    fn may_wait(&mut self) -> bool {
        let Some(seats) = self.seats else { return true };
        if self.seat.is_none() {
            self.seat = Arc::clone(seats.free()).try_acquire_owned().ok();
        }
        self.seat.is_some() && self.absence.is_short()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> HubError {
        HubError::Unavailable("away".into())
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_waits_until_the_deadline_and_who_comes_as_long_as_it_may_be_a_blink() {
        let (absence, seats, began) = (Absence::default(), Permits::new(1), Instant::now());
        absence.note::<()>(&Err(away()));
        let lasts = async |seated: bool| {
            let blink = Blink::at_first(&absence, began + Duration::from_secs(20), &seats, false);
            let mut blink = if seated { blink.seated() } else { blink };
            while blink.pause(away()).await.is_ok() {}
            began.elapsed()
        };
        let came = lasts(false).await;
        assert!(came >= GRACE && came < GRACE + PAUSES.1, "{came:?}");
        assert_eq!(lasts(false).await, came, "an outage holds up nobody");
        let waited = lasts(true).await;
        assert!(waited > Duration::from_secs(19) && waited < Duration::from_secs(20), "{waited:?}");
        absence.note(&Ok(()));
        assert!(absence.is_short(), "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_without_a_seat_or_where_there_is_another_way() {
        let (absence, none, one) = (Absence::default(), Permits::new(0), Permits::new(1));
        let deadline = Instant::now() + Duration::from_secs(20);
        for (seats, direct, waits) in [(&none, false, false), (&one, true, false), (&one, false, true)] {
            let mut blink = Blink::at_first(&absence, deadline, seats, direct);
            assert_eq!(blink.pause(away()).await.is_ok(), waits);
        }
        let mut blink = Blink::at_first(&absence, deadline, &one, false);
        assert!(blink.pause(HubError::Full).await.is_err(), "what does not pass is no blink");
    }
}
