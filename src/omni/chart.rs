//! Fetch the picture that Omni draws of a complete job's answer.

use reqwest::Method;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::Omni;
use super::error::OmniError;

/// How every PNG begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

impl Omni {
    /// A PNG, as long as a result may be. Refused with 422: there is nothing to draw, which is normal.
    /// [`OmniError::NotFound`]: the job is not complete or not known, or the instance draws nothing at all.
    pub async fn chart(&self, key: &ApiKey, job_id: Uuid) -> Result<Vec<u8>, OmniError> {
        let request = self.request(Method::GET, key, &format!("/api/v1/ai/jobs/{job_id}/vis"));
        let image = self.call(Operation::Chart, request, self.result_max_bytes()).await?;
        // Whatever its content type says: it goes to browsers as an image.
        if image.starts_with(PNG) { Ok(image) } else { Err(OmniError::BadBody { what: "the chart is no png" }) }
    }
}
