//! What a caller may do.

use std::fmt;

/// One permission of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The permissions of one caller.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeSet(u8);

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

    fn bit(self) -> u8 {
        match self {
            Self::Prompts => 1,
            Self::Read => 2,
            Self::Ops => 4,
            Self::Mcp => 8,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ScopeSet {
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope.bit()))
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Scope::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_exactly_what_was_put_in() {
        let set: ScopeSet = [Scope::Read, Scope::Mcp].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Scope::Read, Scope::Mcp]);
        assert!(!set.contains(Scope::Prompts) && !set.contains(Scope::Ops));
        assert!(ScopeSet::default().is_empty() && !set.is_empty());
    }

    #[test]
    fn names_lead_back_to_their_scope() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.name()), Some(scope));
        }
        assert_eq!(Scope::parse("admin"), None);
    }
}
