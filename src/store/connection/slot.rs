//! Which slot of a Cluster a command belongs to.

use redis::{Arg, Cmd};

/// How many slots a Cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a key: of its tag, where it has one that is not empty.
pub(super) fn of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').map(|open| &key[open + 1..]);
    let tag = tag.and_then(|rest| rest.iter().position(|byte| *byte == b'}').map(|close| &rest[..close]));
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

/// The first key of a command; `None` for one that concerns a server and no key.
pub(super) fn key(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(word),
        _ => None,
    });
    let name = words.next()?.to_ascii_uppercase();
    match name.as_slice() {
        b"PING" | b"INFO" | b"DBSIZE" | b"CONFIG" | b"CLUSTER" | b"SCRIPT" | b"REPLICAOF" | b"KEYS" | b"SCAN"
        | b"PUBLISH" | b"WAIT" | b"WAITAOF" | b"TIME" => None,
        b"XREAD" | b"XREADGROUP" => words.skip_while(|word| !word.eq_ignore_ascii_case(b"STREAMS")).nth(1),
        b"XGROUP" | b"XINFO" | b"OBJECT" | b"MEMORY" => words.nth(1),
        b"EVAL" | b"EVALSHA" | b"FCALL" => words.nth(2),
        _ => words.next(),
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As CLUSTER KEYSLOT of a server says.
        for (key, slot) in [("foo", 12_182), ("{foo}:bar", 12_182), ("a{foo}{x}", 12_182), ("bar", 5_061), ("", 0)] {
            assert_eq!(of(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(of(b"{}x"), crc16(b"{}x") % SLOTS, "an empty tag is none");
        assert_eq!(of(b"{x"), crc16(b"{x") % SLOTS);
    }

    #[test]
    fn keys_are_found_where_each_command_has_them() {
        let key_of = |line: &str| {
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            command.arg(words.collect::<Vec<_>>());
            key(&command).map(|key| String::from_utf8(key.to_vec()).unwrap())
        };
        for line in [
            "GET k",
            "HGETALL k",
            "XRANGE k - +",
            "XADD k * f v",
            "XPENDING k relay IDLE 1 - + 10",
            "XCLAIM k relay me 1 1-1",
            "XACK k relay 1-1",
            "XGROUP CREATE k relay 0 MKSTREAM",
            "XINFO CONSUMERS k relay",
            "XREAD COUNT 1 BLOCK 1 STREAMS k 0",
            "xreadgroup GROUP relay me COUNT 1 BLOCK 1 streams k >",
            "EVALSHA 0123 2 k l v",
        ] {
            assert_eq!(key_of(line).as_deref(), Some("k"), "{line}");
        }
        for line in ["PING", "INFO", "SCRIPT LOAD x", "XREAD COUNT 1"] {
            assert_eq!(key_of(line), None, "{line}");
        }
    }
}
