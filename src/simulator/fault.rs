//! Requests that fail whatever they ask for.

/// The next `times` requests that match fail in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub matches: Matches,
    pub kind: FaultKind,
    pub times: u32,
}

/// Which requests: method (none: any) and how the path ends, the query left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    pub method: Option<String>,
    pub path_suffix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Answered with this status, with `Retry-After` in seconds when given; nothing else happens.
    Status(u16, Option<u32>),
    /// Never answered; nothing else happens.
    Hang,
    /// The connection is closed without an answer; with `true` after the request took effect.
    DropBeforeReply(bool),
}

impl Fault {
    pub fn new(method: &str, path_suffix: &str, kind: FaultKind) -> Self {
        let matches = Matches { method: Some(method.to_owned()), path_suffix: path_suffix.to_owned() };
        Self { matches, kind, times: 1 }
    }

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

impl Matches {
    pub(super) fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && path.ends_with(&self.path_suffix)
    }
}

/// The kind of the first fault that fits, which has one time less afterwards.
pub(super) fn take(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<FaultKind> {
    faults.retain(|fault| fault.times > 0);
    let fault = faults.iter_mut().find(|fault| fault.matches.fits(method, path))?;
    fault.times -= 1;
    Some(fault.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up_by_requests_that_fit() {
        let mut faults = vec![Fault::new("get", "/result", FaultKind::Hang).times(2)];
        assert_eq!(take(&mut faults, "POST", "/a/result"), None);
        assert_eq!(take(&mut faults, "GET", "/a"), None);
        assert_eq!(take(&mut faults, "GET", "/a/result"), Some(FaultKind::Hang));
        assert_eq!(take(&mut faults, "GET", "/b/result"), Some(FaultKind::Hang));
        assert_eq!(take(&mut faults, "GET", "/c/result"), None);
    }
}
