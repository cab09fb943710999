//! One webhook as a file shows it: header lines, an empty line, the body byte for byte.

use std::fmt;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};

/// Header names and values as they come, and the body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) head: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Input {
    /// Reads a file. Every file is an input.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let (mut head, mut rest) = (Vec::new(), bytes);
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (line, after) = end.map_or((rest, &[][..]), |end| (&rest[..end], &rest[end + 1..]));
            if line.is_empty() {
                return Self { head, body: after.to_vec() };
            }
            let colon = line.windows(2).position(|two| two == b": ");
            let (name, value) = colon.map_or((line, &[][..]), |colon| (&line[..colon], &line[colon + 2..]));
            head.push((name.to_vec(), value.to_vec()));
            rest = after;
        }
    }

    /// The file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let lines = self.head.iter().flat_map(|(name, value)| [name.as_slice(), b": ", value, b"\n"]);
        lines.chain([&b"\n"[..], &self.body]).collect::<Vec<_>>().concat()
    }

    /// The headers that can travel over HTTP.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let pair = |(name, value): &(Vec<u8>, Vec<u8>)| {
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        self.head.iter().filter_map(pair)
    }

    pub(crate) fn request(&self, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        for (name, value) in self.headers() {
            request.headers_mut().append(name, value);
        }
        request
    }

    /// The first value of a header, for those who change it.
    pub(crate) fn value(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        self.head.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The header with this value: changed where it is, else added.
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        match self.value(name) {
            Some(known) => *known = value.to_vec(),
            None => self.head.push((name.as_bytes().to_vec(), value.to_vec())),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}
