// SPDX-License-Identifier: GPL-3.0-or-later
//! Cuts an expression into tokens, to see its names and to write Go's leading dot (`{.Subscore > 90}`) as the
//! interpreter wants it (`{#.Subscore > 90}`). Strings and comments are left alone.

/// Bytes of an expression.
const LONGEST: usize = 4096;

/// Brackets inside each other, and operators before one operand.
const DEEPEST: usize = 64;

/// Operators and members of an expression: the interpreter recurses once for each, on the stack of a session.
pub(crate) const MOST: usize = 150;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Text,
    Number,
    Mark,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    start: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }

    /// Whether a dot or a bracket after it means "a member of this".
    pub(super) fn is_operand(&self) -> bool {
        match self.kind {
            Kind::Name => !is_keyword(self.text),
            Kind::Text | Kind::Number => true,
            Kind::Mark => matches!(self.text, ")" | "]" | "}"),
        }
    }

    fn is_operator(&self) -> bool {
        match self.kind {
            Kind::Name => is_keyword(self.text),
            Kind::Text | Kind::Number => false,
            Kind::Mark => !matches!(self.text, "," | ";" | ":" | "(" | ")" | "{" | "}" | "]"),
        }
    }

    /// A string without its quotes; escapes stay.
    pub(super) fn unquoted(&self) -> &str {
        self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default()
    }
}

pub(super) fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "and"
            | "or"
            | "not"
            | "in"
            | "contains"
            | "matches"
            | "startsWith"
            | "endsWith"
            | "let"
            | "if"
            | "else"
    )
}

/// The tokens of `code`, unless it is too large to be evaluated safely.
pub(super) fn cut(code: &str) -> Result<Vec<Token<'_>>, String> {
    if code.len() > LONGEST {
        return Err(format!("the expression is too long: {} bytes, at most {LONGEST}", code.len()));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(token) = next(code, &mut at) {
        tokens.push(token);
    }
    let operators = tokens.iter().filter(|token| token.is_operator()).count();
    if operators > MOST {
        return Err(format!("the expression has too many operators: {operators}, at most {MOST}"));
    }
    if depth(&tokens) > DEEPEST {
        return Err(format!("the expression is nested too deep: at most {DEEPEST} levels"));
    }
    Ok(tokens)
}

/// `code` with `#` before every leading dot.
pub(super) fn with_explicit_element(code: &str, tokens: &[Token<'_>]) -> String {
    let mut text = String::with_capacity(code.len() + 16);
    let mut copied = 0;
    for (index, token) in tokens.iter().enumerate() {
        let leading = index == 0 || !tokens[index - 1].is_operand();
        let member = tokens.get(index + 1).is_some_and(|next| next.kind == Kind::Name);
        if token.is(".") && leading && member {
            text.push_str(&code[copied..token.start]);
            text.push('#');
            copied = token.start;
        }
    }
    text.push_str(&code[copied..]);
    text
}

fn depth(tokens: &[Token<'_>]) -> usize {
    let (mut open, mut prefixes, mut deepest) = (0_usize, 0_usize, 0);
    for token in tokens {
        prefixes = if matches!(token.text, "!" | "-" | "+" | "not") { prefixes + 1 } else { 0 };
        match token.text {
            "(" | "[" | "{" => open += 1,
            ")" | "]" | "}" => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open + prefixes);
    }
    deepest
}

fn next<'a>(code: &'a str, at: &mut usize) -> Option<Token<'a>> {
    *at = skip_blanks(code, *at);
    let start = *at;
    let rest = &code[start..];
    let first = rest.chars().next()?;
    let (kind, length) = match first {
        '"' | '\'' | '`' => (Kind::Text, text(rest)),
        '0'..='9' => (Kind::Number, number(rest)),
        'a'..='z' | 'A'..='Z' | '_' | '$' | '#' => (Kind::Name, 1 + word(&rest[1..])),
        _ if ["?.", "??", ".."].iter().any(|mark| rest.starts_with(mark)) => (Kind::Mark, 2),
        _ => (Kind::Mark, first.len_utf8()),
    };
    *at = start + length;
    Some(Token { kind, text: &code[start..*at], start })
}

fn skip_blanks(code: &str, mut at: usize) -> usize {
    loop {
        let rest = &code[at..];
        let length = match rest {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => rest.len() - rest.trim_start().len(),
        };
        if length == 0 {
            return at;
        }
        at += length;
    }
}

/// Bytes of the string at the start of `rest`, quotes included.
fn text(rest: &str) -> usize {
    let mut characters = rest.char_indices();
    let quote = characters.next().map(|(_, quote)| quote);
    let mut escaped = false;
    for (at, c) in characters {
        if Some(c) == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped && quote != Some('`');
    }
    rest.len()
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
}

fn number(rest: &str) -> usize {
    let whole = word(rest);
    match rest[whole..].strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => whole + 1 + word(fraction),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_dot_is_the_element_at_hand() {
        for (code, explicit) in [
            ("one(Matches, {.Subscore > 90})", "one(Matches, {#.Subscore > 90})"),
            ("any(Matches, .A and .B)", "any(Matches, #.A and #.B)"),
            ("{ !.A || (.B)[0].C }", "{ !#.A || (#.B)[0].C }"),
            ("FullMatch.Score > .5", "FullMatch.Score > .5"),
            ("x?.y ?? '.z' // .a", "x?.y ?? '.z' // .a"),
            ("\"\\\" .a\" == `\\` + .b /* .c */", "\"\\\" .a\" == `\\` + #.b /* .c */"),
        ] {
            assert_eq!(with_explicit_element(code, &cut(code).unwrap()), explicit);
        }
    }

    #[test]
    fn no_text_breaks_the_tokens() {
        for code in ["", "\"", "'\\", "/*", "ä.ö§", "1.", "#.", "`\u{2028}", "0x", "?.", "\u{0}"] {
            let tokens = cut(code).unwrap();
            with_explicit_element(code, &tokens);
        }
    }
}
