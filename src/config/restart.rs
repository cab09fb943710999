//! What cannot change while the relay runs.

use secrecy::ExposeSecret;

use super::Config;

impl Config {
    /// The settings that differ in `next` and are taken at a start only, as the table of keys marks them.
    pub fn needs_restart(&self, next: &Self) -> Vec<&'static str> {
        [
            ("namespace", self.namespace != next.namespace),
            ("roles", self.roles != next.roles),
            ("redis.url", self.redis.url.expose_secret() != next.redis.url.expose_secret()),
            ("http.listen", self.http.listen != next.http.listen),
            ("http.admin_listen", self.http.admin_listen != next.http.admin_listen),
            ("runtime.workers", self.runtime.workers != next.runtime.workers),
            ("log.format", self.log.format != next.log.format),
            ("telemetry.otlp_endpoint", self.telemetry.otlp_endpoint != next.telemetry.otlp_endpoint),
        ]
        .into_iter()
        .filter_map(|(path, differs)| differs.then_some(path))
        .collect()
    }
}
