//! W3C trace context: the `traceparent` that ties a prompt's webhook to the request that submitted it.

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use uuid::Uuid;

/// One `traceparent`, version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceContext {
    /// A new, sampled trace.
    pub fn generate() -> Self {
        Self { trace: Uuid::new_v4().as_u128(), span: fastrand::u64(1..), flags: 1 }
    }

    /// The same trace, one span further.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span: fastrand::u64(1..), ..self }
    }

    /// `None` for what the specification calls invalid. Fields that later versions add are passed over.
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.split('-');
        let version = hex(fields.next()?, 2)?;
        let trace = hex(fields.next()?, 32)?;
        let span = u64::try_from(hex(fields.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
        let valid = version != 0xff && (version != 0 || fields.next().is_none()) && trace != 0 && span != 0;
        valid.then_some(Self { trace, span, flags })
    }
}

impl From<TraceContext> for SpanContext {
    fn from(TraceContext { trace, span, flags }: TraceContext) -> Self {
        let ids = (TraceId::from(trace), SpanId::from(span));
        Self::new(ids.0, ids.1, TraceFlags::new(flags), true, TraceState::default())
    }
}

impl From<&SpanContext> for TraceContext {
    fn from(context: &SpanContext) -> Self {
        let (trace, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
        let flags = context.trace_flags().to_u8();
        Self { trace: u128::from_be_bytes(trace), span: u64::from_be_bytes(span), flags }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

fn hex(digits: &str, length: usize) -> Option<u128> {
    let lower = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (lower && digits.len() == length).then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_example_survives() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(text).unwrap();
        assert_eq!(context.to_string(), text);
        assert_eq!(context.child().trace, context.trace);
        assert_eq!(TraceContext::parse(&text.replacen("00", "01", 1)), Some(context));
        let made = TraceContext::generate();
        assert_eq!(TraceContext::parse(&made.to_string()), Some(made));
    }

    #[test]
    fn invalid_ones_are_refused() {
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong:?}");
        }
    }
}
