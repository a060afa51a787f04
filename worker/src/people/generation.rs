// SPDX-License-Identifier: GPL-3.0-or-later
//! `generation`: the signatures that the farm has reached; `generation bump`: new custom rules, which no version shows.

use super::{
    cli::GenerationAction,
    client::Client,
    error::PeopleError,
    print::{self, say_all},
};
use thundergate_common::{
    api::{Endpoint, Reason, verdicts::Generation},
    terminal::readable,
};

/// Shows the generation, after a bump where that is wanted.
pub(super) async fn run(
    client: &Client,
    action: Option<GenerationAction>,
    json: bool,
) -> Result<(), PeopleError> {
    let answer = match action {
        None | Some(GenerationAction::Show) => client.get(&Endpoint::GENERATION).await?,
        Some(GenerationAction::Bump(why)) => {
            client.post(&Endpoint::GENERATION_BUMP, &Reason { reason: why.reason }).await?
        }
    };
    if json {
        return answer.print();
    }
    say_all(&lines(&answer.read()?));
    Ok(())
}

fn lines(generation: &Generation) -> Vec<String> {
    let signatures = generation.signatures.as_deref().map_or_else(|| "not known".to_owned(), readable);
    let bumped = generation.bumped_at_ms.map_or_else(|| "never".to_owned(), print::time);
    vec![format!("Signatures: {signatures}"), format!("Bumped: {bumped}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_told_and_so_is_one_that_is_not_known() {
        let known =
            Generation { signatures: Some("2026/01/12-1".to_owned()), bumped_at_ms: Some(1_764_376_000_000) };
        assert_eq!(lines(&known), ["Signatures: 2026/01/12-1", "Bumped: 2025-11-29T00:26:40Z"]);
        assert_eq!(lines(&Generation::default()), ["Signatures: not known", "Bumped: never"]);
    }
}
