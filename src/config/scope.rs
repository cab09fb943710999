//! What a caller may do.

use std::fmt;

/// One permission of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Submit, cancel and rate prompts.
    Prompts,
    /// Read prompts and conversations.
    Read,
    /// Operate: dead letters, runs, pauses, explanations.
    Ops,
    /// The MCP gateway.
    Mcp,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Prompts, Self::Read, Self::Ops, Self::Mcp];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompts => "prompts",
            Self::Read => "read",
            Self::Ops => "ops",
            Self::Mcp => "mcp",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_scope() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.name()), Some(scope));
        }
        assert_eq!(Scope::parse("admin"), None);
    }
}
