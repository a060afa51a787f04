// SPDX-License-Identifier: GPL-3.0-or-later
//! What the fuzz target for expressions calls (`tests/fuzz/`), and the unit test with its stored inputs. Built for tests and
//! for fuzzing only.

use super::{names, tokens};

/// An expression as somebody may write it into the configuration. It is cut and parsed; evaluating it is the interpreter's
/// business, whose panics are caught.
pub fn expressions(data: &[u8]) {
    let Ok(code) = std::str::from_utf8(data) else { return };
    let Ok(tokens) = tokens::cut(code) else { return };
    let mut rest = code;
    for token in &tokens {
        let at = rest.find(token.text).expect("a token is a piece of the code, behind the one before");
        rest = &rest[at + token.text.len()..];
    }
    let explicit = tokens::with_explicit_element(code, &tokens);
    let added = explicit.len() - code.len();
    assert!(added <= tokens.len(), "a mark for a token at most");
    assert_eq!(explicit.matches('#').count(), code.matches('#').count() + added, "nothing but marks");
    if names::check(&tokens).is_ok() {
        let _ = expr::compile(&explicit);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn expressions() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
        for folder in ["corpus/expressions", "regressions/expressions"] {
            let files = fs::read_dir(kept.join(folder)).into_iter().flatten();
            let count = files.inspect(|file| {
                let path = file.as_ref().unwrap().path();
                println!("{}", path.display()); // the last line that a failing test prints
                super::expressions(&fs::read(path).unwrap());
            });
            assert!(count.count() > 0 || folder.starts_with("regressions"), "no corpus for expressions");
        }
    }
}
