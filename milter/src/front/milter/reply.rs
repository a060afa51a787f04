// SPDX-License-Identifier: GPL-3.0-or-later
//! A decision in the milter protocol's words. SMTP texts name no rule, no scanner and no host.
//!
//! | action | the MTA is told |
//! |---|---|
//! | accept | accept |
//! | tag | header field added, another one where the message is ambiguous, accept |
//! | tempfail | 451 with 4.7.1, or 4.3.1 where there is no room and 4.3.0 for a bug |
//! | quarantine | quarantine, accept |
//! | reject | 550 5.7.1 |
//! | discard | discard |
//!
//! An action that the MTA does not offer or that cannot be written becomes a temporary failure, never an accept; so does
//! the delivery of a message with more forged header fields of ours than can be removed, which the policy has decided to be
//! malformed.

use crate::outcome::{ambiguity_results, inspection::Inspection};
use indymilter::{ActionError, ContextActions, EomActions, EomContext, SetErrorReply, Status};
use thundergate_policy::{Action, Cause};

/// Tells the MTA that its message is still being looked at.
pub(super) async fn progress(actions: &EomActions) -> Result<(), ActionError> {
    actions.progress().await
}

/// The header fields of a tagged message.
#[derive(Clone, Copy)]
pub(super) struct Marks<'a> {
    /// The name of the tag.
    pub tag: &'a str,
    /// By what name we write MIME-Ambiguity-Results.
    pub authserv_id: &'a str,
    /// What stands before a value: with SMFIP_HDR_LEADSPC the MTA adds no blank of its own.
    pub blank: &'a str,
}

/// Tells the MTA what becomes of the message.
pub(super) async fn give<T: Send>(
    cx: &mut EomContext<T>,
    marks: Marks<'_>,
    inspection: &Inspection,
) -> Status {
    match carry_out(cx, marks, inspection).await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                action = inspection.action.as_str(),
                "the MTA does not take the action, the message is deferred"
            );
            tempfail(cx, Cause::Bug)
        }
    }
}

async fn carry_out<T: Send>(
    cx: &mut EomContext<T>,
    marks: Marks<'_>,
    inspection: &Inspection,
) -> Result<Status, ActionError> {
    let forged = inspection.forged;
    match inspection.action {
        Action::Accept | Action::Tag if !forged.are_removable() => {
            tracing::warn!(
                forged = forged.tags + forged.results,
                "a message has too many forged header fields to remove them, it is deferred"
            );
            return Ok(tempfail(cx, Cause::Malformed));
        }
        Action::Accept | Action::Tag | Action::Quarantine if forged.are_removable() => {
            remove_forged(&cx.actions, marks.tag, forged.tags).await?;
            remove_forged(&cx.actions, ambiguity_results::NAME, forged.results).await?;
        }
        _ => {}
    }
    Ok(match inspection.action {
        Action::Accept => Status::Accept,
        Action::Tag => {
            mark(&cx.actions, marks, inspection).await?;
            Status::Accept
        }
        Action::Quarantine => {
            cx.actions.quarantine(format!("thundergate: {}", inspection.decision.cause.as_str())).await?;
            Status::Accept
        }
        Action::Tempfail => tempfail(cx, inspection.decision.cause),
        Action::Reject => {
            set(cx, "550", "5.7.1", "Message refused by content policy");
            Status::Reject
        }
        Action::Discard => Status::Discard,
    })
}

/// Each field is inserted at the top, so the tag comes to stand there.
async fn mark(actions: &EomActions, marks: Marks<'_>, inspection: &Inspection) -> Result<(), ActionError> {
    let blank = marks.blank;
    if !inspection.ambiguities.is_empty() {
        let value = ambiguity_results::value(marks.authserv_id, inspection);
        actions.insert_header(0, ambiguity_results::NAME, format!("{blank}{value}")).await?;
    }
    let value = format!("{blank}tag; cause={}", inspection.decision.cause.as_str());
    actions.insert_header(0, marks.tag, value).await
}

/// A sender must not be able to write our header fields: all go. The MTA counts those with a blank before the colon, too.
async fn remove_forged(actions: &EomActions, name: &str, forged: usize) -> Result<(), ActionError> {
    // From the last to the first, since each removal renumbers those behind it.
    for index in (1..=i32::try_from(forged).unwrap_or(i32::MAX)).rev() {
        actions.change_header(name, index, None::<&str>).await?;
    }
    Ok(())
}

fn tempfail<T: Send>(cx: &mut EomContext<T>, cause: Cause) -> Status {
    let (code, text) = match cause {
        Cause::Pending => ("4.7.1", "Message is being scanned, try again later"),
        Cause::Overload => ("4.3.1", "Mail filter has no room, try again later"),
        Cause::Bug => ("4.3.0", "Mail filter error, try again later"),
        _ => ("4.7.1", "Message cannot be scanned now, try again later"),
    };
    set(cx, "451", code, text);
    Status::Tempfail
}

fn set<T: Send>(cx: &mut EomContext<T>, code: &str, enhanced: &str, text: &str) {
    let set = cx.reply.set_error_reply(code, Some(enhanced), [text]);
    set.expect("codes and texts are constants that SMTP allows");
}
