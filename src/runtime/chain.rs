//! An error and its causes in one line, for logs.

use std::error::Error;

/// `what failed: why: why that`. A cause that repeats what was said already is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn nothing_is_said_twice() {
        let error =
            Said("no redis", Some(Box::new(Said("refused (os error 111)", Some(Box::new(Said("refused", None)))))));
        assert_eq!(chain(&error), "no redis: refused (os error 111)");
    }
}
