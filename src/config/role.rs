//! What a process does.

/// One part of the relay. Processes may share them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes Omni's webhooks. Asks nothing of Omni, and has none of its keys.
    Receive,
    /// Takes pushed prompts, and asks Omni.
    Submit,
    /// Fetches what Omni answered, and looks after what is quiet.
    Process,
    /// Serves callers, readers, agents, operators; works bulk runs off.
    Api,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Receive, Self::Submit, Self::Process, Self::Api];

    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Submit => "submit",
            Self::Process => "process",
            Self::Api => "api",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it asks Omni, and so needs a key to it.
    pub fn asks_omni(self) -> bool {
        self != Self::Receive
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{complaint, file, least, load, refused};
    use super::super::{Config, Sources};
    use super::*;

    #[test]
    fn who_only_receives_needs_nothing_of_omni_and_holds_nothing_of_it() {
        let receiver = Sources::default().with("roles", "receive").with("webhook.secrets", "a-secret-of-some-length");
        let config = load(receiver.clone()).config;
        assert!(config.omni.is_none() && config.warnings().is_empty(), "{config:?}");
        assert_eq!(config.roles, BTreeSet::from([Role::Receive]));
        // The file is everybody's, and what it names of Omni's need not even be there.
        let text = "[omni]\nbase_url = 'http://acme.omniapp.co'\napi_keys_file = '/nowhere/at/all'\n";
        let shared = Sources { file: file(text).file, ..receiver.clone() };
        let loaded = load(shared.clone());
        assert!(loaded.config.omni.is_none() && loaded.show().iter().all(|row| !row.0.starts_with("omni.")));
        for others in ["submit", "process", "api", "receive,api"] {
            let text = refused(shared.clone().with("roles", others)).to_string();
            assert!(text.contains("omni.api_keys: cannot read") && text.contains("omni.base_url: secrets"), "{text}");
        }
        load(receiver.with("http.listen", "0.0.0.0:8080"));
    }

    #[test]
    fn a_role_needs_the_secrets_that_it_uses() {
        let url = "https://relay.example.com/webhooks/omni";
        let lacks = "webhook.secrets: missing: expected one or more secrets";
        for (roles, url, wanted) in [
            ("receive", "", true),
            ("receive,process,api", "", true),
            ("receive,submit", "", false),
            ("receive,submit", url, true),
            ("submit", url, true),
            ("process,api", url, true),
            ("process", url, false),
        ] {
            let sources = least().with("roles", roles).with("webhook.public_url", url);
            match Config::load(sources) {
                Ok(_) => assert!(!wanted, "{roles} with {url:?}"),
                Err(error) => assert!(wanted && error.to_string().contains(lacks), "{roles} with {url:?}: {error}"),
            }
        }
    }

    #[test]
    fn roles_are_named_and_the_flag_goes_first() {
        for wrong in ["", " , ", "recieve", "receive,all", "Receive"] {
            let error = complaint(least().with("roles", wrong));
            let right = "roles: expected one or more of receive, submit, process, api (environment OMNI_RELAY__ROLES)";
            assert_eq!(error, right, "{wrong:?}");
        }
        let mut sources = file("roles = ['api']\n").with("roles", "submit");
        sources.env.extend(least().env);
        assert_eq!(load(sources.clone()).config.roles, BTreeSet::from([Role::Submit]));
        let flag = |roles: &str| Sources { roles: Some(roles.to_owned()), ..sources.clone() };
        let loaded = load(flag("process, api"));
        assert_eq!(loaded.config.roles, BTreeSet::from([Role::Process, Role::Api]));
        assert_eq!(loaded.origin("roles").unwrap().to_string(), "flag --roles");
        assert!(complaint(flag("every")).ends_with("(flag --roles)"));
    }
}
