//! Request bodies, made before the measurement.

/// What the bodies of a run look like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Records in one request.
    pub records: usize,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// How many different keys there are; none: records without a key.
    pub keys: u32,
    /// Whether records name their partition.
    pub partition: bool,
    /// The `acks` field, if it is to be there.
    pub acks: Option<&'static str>,
}

/// One body, and where its partition numbers stand.
#[derive(Debug, Clone)]
pub struct Body {
    /// The JSON text.
    pub text: Vec<u8>,
    slots: Vec<usize>,
}

/// Room for a partition number, filled up with spaces, which JSON allows there.
const SLOT: &str = "      ";

impl Body {
    /// The `number`th body; all of one shape have the same length.
    pub fn new(shape: &Shape, number: u64) -> Body {
        let mut text = Vec::with_capacity((shape.value_bytes + 64) * shape.records + 64);
        let mut slots = Vec::new();
        text.extend_from_slice(b"{\"records\":[");
        for index in 0..shape.records {
            if index > 0 {
                text.push(b',');
            }
            text.push(b'{');
            let seed = seed_of(number, index);
            if shape.partition {
                text.extend_from_slice(b"\"partition\":");
                slots.push(text.len());
                text.extend_from_slice(SLOT.as_bytes());
                text.push(b',');
            }
            if shape.keys > 0 {
                let key = format!("\"key\":\"{}\",", key_of(seed, shape.keys));
                text.extend_from_slice(key.as_bytes());
            }
            text.extend_from_slice(b"\"value\":");
            push_value(&mut text, seed, shape.value_bytes);
            text.push(b'}');
        }
        text.push(b']');
        if let Some(acks) = shape.acks {
            text.extend_from_slice(format!(",\"acks\":\"{acks}\"").as_bytes());
        }
        text.push(b'}');
        Body { text, slots }
    }

    /// Copies the body into `out` with every record going to `partition`.
    pub fn write_to(&self, out: &mut Vec<u8>, partition: u32) {
        out.clear();
        out.extend_from_slice(&self.text);
        let digits = format!("{partition:>width$}", width = SLOT.len());
        for slot in &self.slots {
            out[*slot..*slot + SLOT.len()].copy_from_slice(digits.as_bytes());
        }
    }
}

/// What a record of a body is made from.
pub fn seed_of(body: u64, record: usize) -> u64 {
    mix(body * 10_007 + record as u64)
}

/// One of so many keys.
pub fn key_of(seed: u64, keys: u32) -> String {
    format!("user-{:07}", seed % u64::from(keys))
}

const TYPES: [&str; 4] = [
    "order.create",
    "order.refund",
    "user.sign_up",
    "page.visited",
];
const FIELDS: [&str; 6] = [
    ",\"amount\":129.95",
    ",\"currency\":\"EUR\"",
    ",\"tags\":[\"new\",\"web\"]",
    ",\"address\":{\"city\":\"Ulm\",\"zip\":\"89073\"}",
    ",\"paid\":true",
    ",\"coupon\":null",
];
const PAD_HEAD: &str = ",\"note\":\"";
const PAD_TAIL: &str = "\"}";

/// Appends a JSON value of exactly `bytes` bytes: an event object, or a string where that is too
/// short for one.
pub fn push_value(out: &mut Vec<u8>, seed: u64, bytes: usize) {
    let start = out.len();
    let head = format!(
        "{{\"id\":{},\"type\":\"{}\"",
        1_000_000_000 + seed % 9_000_000_000,
        TYPES[(seed >> 40) as usize % TYPES.len()]
    );
    let pad_least = PAD_HEAD.len() + PAD_TAIL.len();
    if head.len() + pad_least > bytes {
        match bytes {
            0 | 1 => out.push(b'7'),
            _ => {
                out.push(b'"');
                pad(out, seed, bytes - 2);
                out.push(b'"');
            }
        }
        return;
    }
    out.extend_from_slice(head.as_bytes());
    // About half of a large value is fields, the rest text.
    let mut field = seed as usize;
    loop {
        let next = FIELDS[field % FIELDS.len()];
        let used = out.len() - start;
        if used + next.len() > bytes / 2 + 32 || used + next.len() + pad_least > bytes {
            break;
        }
        out.extend_from_slice(next.as_bytes());
        field += 1;
    }
    out.extend_from_slice(PAD_HEAD.as_bytes());
    pad(out, seed, bytes - (out.len() - start) - PAD_TAIL.len());
    out.extend_from_slice(PAD_TAIL.as_bytes());
}

fn pad(out: &mut Vec<u8>, seed: u64, bytes: usize) {
    let mut state = seed;
    for _ in 0..bytes {
        state = mix(state);
        out.push(b"abcdefghijklmnopqrstuvwxyz 0123456789-"[(state >> 33) as usize % 38]);
    }
}

/// A cheap scrambler (SplitMix64), so that runs are alike.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_of_the_exact_size() {
        for bytes in 1..1500 {
            let mut value = Vec::new();
            push_value(&mut value, mix(bytes as u64), bytes);
            assert_eq!(value.len(), bytes);
            serde_json::from_slice::<serde_json::Value>(&value).unwrap();
        }
    }

    #[test]
    fn bodies_of_a_shape_have_one_length_and_take_a_partition() {
        let shape = Shape {
            records: 3,
            value_bytes: 100,
            keys: 50,
            partition: true,
            acks: Some("leader"),
        };
        let bodies: Vec<_> = (0..8).map(|number| Body::new(&shape, number)).collect();
        assert!(
            bodies
                .iter()
                .all(|body| body.text.len() == bodies[0].text.len())
        );
        assert_ne!(bodies[0].text, bodies[1].text);
        let mut text = Vec::new();
        bodies[0].write_to(&mut text, 1999);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["records"].as_array().unwrap().len(), 3);
        assert!(
            json["records"]
                .as_array()
                .unwrap()
                .iter()
                .all(|r| r["partition"] == 1999)
        );
        assert_eq!(json["acks"], "leader");
    }
}
