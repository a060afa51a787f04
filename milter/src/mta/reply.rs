// SPDX-License-Identifier: GPL-3.0-or-later
//! A decision in the milter protocol's words. SMTP texts name no rule, no scanner and no host.
//!
//! | action | the MTA is told |
//! |---|---|
//! | accept | accept |
//! | tag | header field added, accept |
//! | tempfail | 451 with 4.7.1, or 4.3.1 where there is no room and 4.3.0 for a bug |
//! | quarantine | quarantine, accept |
//! | reject | 550 5.7.1 |
//! | discard | discard |
//!
//! An action that the MTA does not offer or that cannot be written becomes a temporary failure, never an accept.

use crate::{decision::Cause, inspection::Inspection, policy::Action};
use indymilter::{ActionError, ContextActions, EomActions, EomContext, SetErrorReply, Status};

/// Tells the MTA that its message is still being looked at.
pub async fn progress(actions: &EomActions) -> Result<(), ActionError> {
    actions.progress().await
}

/// The header field that tags a message.
pub struct Tag<'a> {
    /// Its name.
    pub header: &'a str,
    /// What stands before its value: with SMFIP_HDR_LEADSPC the MTA adds no blank of its own.
    pub blank: &'a str,
}

/// Tells the MTA what becomes of the message.
pub async fn give<T: Send>(cx: &mut EomContext<T>, tag: Tag<'_>, inspection: &Inspection) -> Status {
    match carry_out(cx, tag, inspection).await {
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
    tag: Tag<'_>,
    inspection: &Inspection,
) -> Result<Status, ActionError> {
    if matches!(inspection.action, Action::Accept | Action::Tag | Action::Quarantine) {
        remove_forged_tags(&cx.actions, tag.header, inspection.forged_tags).await?;
    }
    Ok(match inspection.action {
        Action::Accept => Status::Accept,
        Action::Tag => {
            let value = format!("{}tag; cause={}", tag.blank, inspection.decision.cause.as_str());
            cx.actions.insert_header(0, tag.header, value).await?;
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

/// Header fields removed from one message. The MTA looks each up from the start of the message, so a message made of
/// nothing else would keep it busy for hours. What is left tells of no more than a sender who tries.
const MOST_REMOVED: usize = 100;

/// A sender must not be able to write our header field.
async fn remove_forged_tags(
    actions: &EomActions,
    tag_header: &str,
    forged: usize,
) -> Result<(), ActionError> {
    if forged > MOST_REMOVED {
        tracing::warn!(
            forged,
            removed = MOST_REMOVED,
            "a message has too many forged tags to remove them all"
        );
    }
    // From the last to the first, since each removal renumbers those behind it.
    for index in (1..=forged.min(MOST_REMOVED) as i32).rev() {
        actions.change_header(tag_header, index, None::<&str>).await?;
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
