//! Whether a client already has what it asks for: entity tags (RFC 9110 §8.8.3 and §13.1.2).

use axum::http::{HeaderMap, header};

/// Whether `If-None-Match` names this tag, which is given with its quotes. Weak comparison, as the RFC has it.
pub(crate) fn known(request: &HeaderMap, tag: &str) -> bool {
    let named = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).map(str::trim).any(|one| one == "*" || weak(one) == weak(tag))
}

fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(value: &str) -> HeaderMap {
        [(header::IF_NONE_MATCH, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn one_of_several_is_enough() {
        assert!(known(&asks("\"a\", W/\"b\""), "\"b\""));
        assert!(known(&asks("*"), "\"b\""));
        assert!(!known(&asks("\"a\""), "\"b\""));
        assert!(!known(&HeaderMap::new(), "\"b\""));
    }
}
