//! Splits a policy file into its statements, with the place of every annotation.
//!
//! Why our own: Cedar's parser numbers policies and keeps no place of an annotation, and an author needs the line.
//! The split knows strings and comments and nothing else of the language; whether a statement is a policy is for
//! Cedar to say. Rejected: Cedar's positions through its hidden interface, which may change in any release.

/// One statement of a file: from its first annotation or keyword to its semicolon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Byte offset of the first token.
    pub start: usize,
    /// Byte offset after the semicolon, or the end of the file.
    pub end: usize,
    /// Name and byte offset of the `@` of each annotation.
    pub annotations: Vec<(String, usize)>,
}

/// All statements of a file.
pub(crate) fn split(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut current: Option<Statement> = None;
    // Annotations stand before the effect; after an opening parenthesis at depth 0 of the effect there are none,
    // and `@` is no operator of the language, so every `@` outside strings opens an annotation.
    let mut tokens = Tokens { text, at: 0 };
    while let Some((offset, token)) = tokens.next_token() {
        let statement =
            current.get_or_insert_with(|| Statement { start: offset, end: text.len(), annotations: Vec::new() });
        match token {
            Token::At(name) => statement.annotations.push((name.to_owned(), offset)),
            Token::Semicolon => {
                statement.end = offset + 1;
                statements.extend(current.take());
            }
            Token::Other => {}
        }
    }
    statements.extend(current);
    statements
}

enum Token<'a> {
    At(&'a str),
    Semicolon,
    Other,
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn next_token(&mut self) -> Option<(usize, Token<'a>)> {
        loop {
            let rest = self.text.get(self.at..)?;
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.at += first.len_utf8();
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else {
                let offset = self.at;
                let (length, token) = match first {
                    '"' => (string_length(rest), Token::Other),
                    ';' => (1, Token::Semicolon),
                    '@' => {
                        let name = rest.get(1..).unwrap_or("").trim_start();
                        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
                        (1, Token::At(name.get(..end).unwrap_or("")))
                    }
                    other => (other.len_utf8(), Token::Other),
                };
                self.at += length;
                return Some((offset, token));
            }
        }
    }
}

/// Length of a string literal with both quotes, or of the rest when it is not closed.
fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (offset, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn statements_end_at_semicolons_outside_strings_and_comments() {
        type Expected<'a> = (usize, usize, &'a [(&'a str, usize)]);
        let check = |text: &str, expected: &[Expected<'_>]| {
            let found = split(text);
            assert_eq!(found.len(), expected.len(), "{text}");
            for (statement, (start, end, annotations)) in found.iter().zip(expected) {
                assert_eq!((statement.start, statement.end), (*start, *end), "{text}");
                let names: Vec<(&str, usize)> =
                    statement.annotations.iter().map(|(name, at)| (name.as_str(), *at)).collect();
                assert_eq!(names, *annotations, "{text}");
            }
        };
        check("", &[]);
        check("// permit;\n", &[]);
        check("a;b;", &[(0, 2, &[]), (2, 4, &[])]);
        check("@id(\"x;\\\";\") p;", &[(0, 15, &[("id", 0)])]);
        check(" // c;\n@ id (\"@no\")\n@b p", &[(7, 24, &[("id", 7), ("b", 20)])]);
        check("\"open;", &[(0, 6, &[])]);
    }
}
