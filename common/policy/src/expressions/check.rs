// SPDX-License-Identifier: GPL-3.0-or-later
//! Compiles an expression and finds what can be wrong with it before the first mail does: its size, its names, its
//! patterns, and, by trying it, the kinds of its values.
//!
//! The interpreter has no types, and `and`, `or` and `?:` leave one side out. So the examples take their values from
//! the expression's own literals: sooner or later `Ext == "exe"` is true and what follows it runs.

use super::{
    environment::{Environment, holds},
    names,
    tokens::{self, Kind, Token},
};
use expr::{Context, Program};
use thundergate_common::verdict::{FileFacts, Finding, Rule};

/// How many findings an expression is tried on; a few milliseconds.
const EXAMPLES: usize = 400;

/// The compiled form of `code`, or what is wrong with it, on one line.
pub(crate) fn compile(code: &str) -> Result<Program, String> {
    let tokens = tokens::cut(code)?;
    names::check(&tokens)?;
    check_patterns(&tokens)?;
    let explicit = tokens::with_explicit_element(code, &tokens);
    let program = expr::compile(&explicit).map_err(|error| on_one_line(&error))?;
    let mut examples = Examples::of(&tokens);
    for _ in 0..EXAMPLES {
        let finding = examples.finding();
        let context = Environment::of(&finding).context()?;
        holds(&program, &context)
            .map_err(|problem| format!("fails on a possible finding: {}", first_line(&problem)))?;
    }
    Ok(program)
}

fn check_patterns(tokens: &[Token<'_>]) -> Result<(), String> {
    for pair in tokens.windows(2).filter(|pair| pair[0].is("matches") && pair[1].kind == Kind::Text) {
        let tried = expr::eval(&format!("\"\" matches {}", pair[1].text), &Context::default());
        tried.map_err(|error| format!("`matches` needs a regular expression: {}", on_one_line(&error)))?;
    }
    Ok(())
}

/// The parser draws a picture over several lines: ` --> 1:5`, the line, `= expected …`.
fn on_one_line(error: &expr::Error) -> String {
    let text = error.to_string();
    let place = text.lines().find_map(|line| line.trim().strip_prefix("--> "));
    let reason = text.lines().find_map(|line| line.trim().strip_prefix("= "));
    match (place, reason) {
        (Some(place), Some(reason)) => format!("no expression at line and column {place}: {reason}"),
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Findings made of what an expression compares with. The same each time: a configuration is good or it is not.
struct Examples {
    random: fastrand::Rng,
    texts: Vec<String>,
    numbers: Vec<i64>,
    made: usize,
}

impl Examples {
    fn of(tokens: &[Token<'_>]) -> Self {
        let literal = |kind| tokens.iter().filter(move |token| token.kind == kind);
        let mut texts: Vec<String> = literal(Kind::Text).map(|token| token.unquoted().to_owned()).collect();
        texts.extend(["", "example"].map(str::to_owned));
        let numbers =
            literal(Kind::Number).filter_map(|token| token.text.replace('_', "").parse::<f64>().ok());
        // as good a neighbour as any where the number has a fraction or is too large
        let around = |number: f64| [-1, 0, 1].map(|step| (number as i64).saturating_add(step));
        let numbers = numbers.flat_map(around).chain([0, 50, 100]).collect();
        Self { random: fastrand::Rng::with_seed(1), texts, numbers, made: 0 }
    }

    /// First the empty one, then any.
    fn finding(&mut self) -> Finding {
        self.made += 1;
        if self.made == 1 {
            return Finding::default();
        }
        Finding {
            level: self.text(),
            module: self.text(),
            message: self.text(),
            score: self.number(),
            file: self.file(),
            rules_total: self.number().unsigned_abs(),
            rules: (0..self.random.usize(0..4)).map(|_| self.rule()).collect(),
        }
    }

    fn file(&mut self) -> FileFacts {
        FileFacts {
            name: self.text(),
            extension: self.text(),
            kind: self.text(),
            size: self.number().unsigned_abs(),
            first_bytes: self.text(),
            md5: self.text(),
            sha1: self.text(),
            sha256: self.text(),
        }
    }

    fn rule(&mut self) -> Rule {
        Rule {
            name: self.text(),
            subscore: self.number(),
            reason: self.text(),
            author: self.text(),
            reference: self.text(),
            date: if self.random.bool() { String::new() } else { "2026-01-12".to_owned() },
            class: self.text(),
            origin: self.text(),
            tags: (0..self.random.usize(0..3)).map(|_| self.text()).collect(),
            matched: (0..self.random.usize(0..3)).map(|_| self.text()).collect(),
        }
    }

    fn text(&mut self) -> String {
        let index = self.random.usize(0..self.texts.len());
        self.texts[index].clone()
    }

    fn number(&mut self) -> i64 {
        let index = self.random.usize(0..self.numbers.len());
        self.numbers[index]
    }
}
