//! Makes the times that no configuration changes shorter, so that a story of the real binary takes seconds and not minutes.
//! Nothing without the feature `failpoints`.

use std::time::Duration;

/// With the feature, and where the variable `OMNI_RELAY_HASTE` holds a number: this part of the time.
#[cfg(feature = "failpoints")]
pub fn hasten(time: Duration) -> Duration {
    use std::sync::OnceLock;

    static HASTE: OnceLock<u32> = OnceLock::new();
    let haste = HASTE.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "a test's switch, not configuration; absent from release builds")]
        let wanted = std::env::var("OMNI_RELAY_HASTE");
        wanted.ok().and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
    });
    time / *haste
}

/// The time: this build is in no haste.
#[cfg(not(feature = "failpoints"))]
pub const fn hasten(time: Duration) -> Duration {
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_in_a_haste_that_did_not_ask_for_it() {
        assert_eq!(hasten(Duration::from_secs(30)), Duration::from_secs(30));
    }
}
