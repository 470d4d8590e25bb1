//! Looks into JSON text without rewriting it: values that must come back byte for byte cannot
//! be compared after a parser has had them.

/// The members of an object: name (without escapes, as ours are) and the value's own text.
pub fn members(object: &str) -> Vec<(&str, &str)> {
    let bytes = object.as_bytes();
    let mut at = space(bytes, 0);
    assert_eq!(bytes.get(at), Some(&b'{'), "an object: {object:.200}");
    at = space(bytes, at + 1);
    let mut found = Vec::new();
    while bytes[at] != b'}' {
        let name_end = string(bytes, at);
        let name = &object[at + 1..name_end - 1];
        at = space(bytes, name_end);
        assert_eq!(bytes[at], b':', "a colon after {name}");
        let start = space(bytes, at + 1);
        let end = value(bytes, start);
        found.push((name, &object[start..end]));
        at = space(bytes, end);
        if bytes[at] == b',' {
            at = space(bytes, at + 1);
        }
    }
    found
}

/// The text of one member, without looking past it.
pub fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object)
        .into_iter()
        .find(|(found, _)| *found == name)
        .map(|(_, text)| text)
}

/// The elements of an array.
pub fn elements(array: &str) -> Vec<&str> {
    let bytes = array.as_bytes();
    let mut at = space(bytes, 0);
    assert_eq!(bytes.get(at), Some(&b'['), "an array: {array:.200}");
    at = space(bytes, at + 1);
    let mut found = Vec::new();
    while bytes[at] != b']' {
        let end = value(bytes, at);
        found.push(&array[at..end]);
        at = space(bytes, end);
        if bytes[at] == b',' {
            at = space(bytes, at + 1);
        }
    }
    found
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

fn string(bytes: &[u8], start: usize) -> usize {
    assert_eq!(bytes[start], b'"');
    let mut at = start + 1;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn value(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut depth = 0_u32;
    loop {
        match bytes[at] {
            b'"' => at = string(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ if depth > 0 => {
                at += 1;
                continue;
            }
            _ => {
                while at < bytes.len() && !b",]} \t\r\n".contains(&bytes[at]) {
                    at += 1;
                }
            }
        }
        if depth == 0 {
            return at;
        }
    }
}
