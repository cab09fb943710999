//! Colours where somebody looks, and text that cannot steer the terminal.

use std::io::{self, IsTerminal, Write};

/// Whether escape sequences are written.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Style {
    colours: bool,
}

impl Style {
    /// As stdout wants it: none for a pipe, none where `NO_COLOR` is set.
    pub(in crate::cli) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: io::stdout().is_terminal() && !refused }
    }

    #[cfg(test)]
    pub(super) const fn plain() -> Self {
        Self { colours: false }
    }

    pub(in crate::cli) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(in crate::cli) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(in crate::cli) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(in crate::cli) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(in crate::cli) fn italic(self, text: &str) -> String {
        self.wrap("3", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What others wrote, without what a terminal would obey.
pub(in crate::cli) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// One line, or several, on stdout at once.
pub(in crate::cli) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\r\u{9b}c\n\td"), "a[2Jbc\n\td");
    }
}
