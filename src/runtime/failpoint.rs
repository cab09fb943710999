//! Named points at which crash tests stop the real binary, to kill it there. Nothing without the feature `failpoints`.

/// With the feature, and where the variable `OMNI_RELAY_FAILPOINT` holds `name`: says so on stderr and never returns.
#[cfg(feature = "failpoints")]
pub async fn hit(name: &str) {
    use std::io::Write;

    #[expect(clippy::disallowed_methods, reason = "a test's switch, not configuration; absent from release builds")]
    let wanted = std::env::var("OMNI_RELAY_FAILPOINT");
    if wanted.is_ok_and(|wanted| wanted == name) {
        // Stderr is not buffered. Nobody is left to tell when it is gone; the test then misses the line and fails.
        let _ = writeln!(std::io::stderr(), "failpoint {name} reached");
        std::future::pending::<()>().await;
    }
}

/// Nothing: this build has no fail points.
#[cfg(not(feature = "failpoints"))]
pub fn hit(_name: &str) -> std::future::Ready<()> {
    std::future::ready(())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    #[test]
    fn a_point_may_stand_in_a_task() {
        fn spawnable(_task: &(impl Future + Send)) {}
        spawnable(&super::hit("nobody.asked"));
    }

    #[test]
    fn a_point_nobody_asked_for_is_passed() {
        assert_eq!(super::hit("nobody.asked").now_or_never(), Some(()));
    }
}
