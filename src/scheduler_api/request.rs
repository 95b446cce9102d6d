//! What filter and prioritize are asked: a pod, and nodes by name.
//!
//! kube-scheduler always writes it in one form, and with thousands of names reading them is most of what a call costs.
//! So a name is first compared with the node that should come next, where it stands: that is four times as fast as
//! finding all names and then their nodes. Every other form, and every fault, is left to `serde_json`; what both read
//! they read alike.

use muster_placement::View;
use muster_placement::offer::{Finder, Offered};

use super::wire::{Args, PodHead};

/// A request, with its nodes found in a view.
#[derive(Debug, PartialEq)]
pub(super) struct Request<'a> {
    /// The pod.
    pub(super) pod: Option<PodHead<'a>>,
    /// Full nodes came instead of names.
    pub(super) in_full: bool,
    /// The nodes, in their order.
    pub(super) offered: Vec<Offered<'a>>,
    /// Their names as they stand between the brackets, if none of them has an escape.
    pub(super) names: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Reads a body. `space` keeps the texts of one that is not in kube-scheduler's form.
    pub(super) fn read(
        body: &'a str,
        view: &'a View,
        space: &'a mut Option<Args<'a>>,
    ) -> Result<Request<'a>, serde_json::Error> {
        match Request::in_usual_form(body, view) {
            Some(request) => Ok(request),
            None => Ok(Request::of(space.insert(serde_json::from_str(body)?), view)),
        }
    }

    /// `{"Pod":…,"Nodes":null,"NodeNames":["…","…"]}` without any space, as Go writes `ExtenderArgs`. What stands
    /// before `Nodes` must be one whole value, so that what looks like a key is one.
    fn in_usual_form(body: &'a str, view: &'a View) -> Option<Request<'a>> {
        let (pod, rest) = body.strip_prefix(r#"{"Pod":"#)?.split_once(r#","Nodes":null,"NodeNames":["#)?;
        let pod = serde_json::from_str(pod).ok()?;
        let most = view.nodes.len().min(rest.len() / r#""n","#.len());
        let mut offered = Vec::with_capacity(most);
        let end = take_names(rest, view.finder(), &mut offered)?;
        let is_all = end.strip_prefix("]}")?.trim_ascii().is_empty();
        let names = rest.get(..rest.len().checked_sub(end.len())?)?;
        is_all.then_some(Request { pod, in_full: false, offered, names: Some(names) })
    }

    fn of(args: &'a Args<'a>, view: &'a View) -> Request<'a> {
        let names = args.node_names.iter().flatten().map(|name| &**name);
        Request {
            pod: args.pod.clone(),
            in_full: args.nodes.is_some() && args.node_names.is_none(),
            offered: view.finder().find_all(names),
            names: None,
        }
    }
}

/// Reads names in quotes with commas between them; returns what comes after the last one. Node names are DNS names
/// (the API server sees to that), so one that stands there as it is needs no decoding.
pub fn take_names<'a>(
    text: &'a str,
    mut finder: Finder<'_>,
    offered: &mut Vec<Offered<'a>>,
) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let name = rest.strip_prefix('"')?;
        let (node, after) = match finder.take_near(name, '"') {
            Some(near) => near,
            None => plain(name).map(|(name, after)| (finder.find(name), after))?,
        };
        offered.push(node);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Some(after),
        }
    }
}

/// A text up to its quote, and what comes after, if nothing in it needs decoding.
fn plain(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| matches!(b, b'"' | b'\\' | ..b' '))?;
    let (name, rest) = text.split_at_checked(end)?;
    Some((name, rest.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_placement::node::Node;
    use muster_placement::time::Time;
    use muster_placement::{Cluster, Event};
    use proptest::prelude::*;
    use serde_json::json;

    fn view(nodes: usize) -> View {
        let mut cluster = Cluster::default();
        for at in 0..nodes {
            let object = json!({"metadata": {"name": format!("gpu-{at}")}});
            let node: Node = crate::translate::node(&serde_json::from_value(object).unwrap());
            cluster.apply(Event::NodeSeen(Box::new(node)), Time(0));
        }
        cluster.view()
    }

    /// A body and whether it is in the usual form.
    fn check(body: &str, usual: bool) {
        let view = view(12);
        let fast = Request::in_usual_form(body, &view);
        assert_eq!(fast.is_some(), usual, "{body}");
        let args = serde_json::from_str::<Args<'_>>(body);
        if let Some(fast) = fast {
            let args = args.unwrap();
            assert_eq!(Request { names: None, ..fast }, Request::of(&args, &view), "{body}");
        }
    }

    #[test]
    fn the_usual_form_and_others() {
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["gpu-1","gpu-10","x"]}"#, true);
        check("{\"Pod\":null,\"Nodes\":null,\"NodeNames\":[\"\"]}\n", true);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":[]}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["a" ,"b"]}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["a"],"More":1}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["a"]}}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["gpu-1\u0030"]}"#, false);
        check(r#"{"Pod":{},"NodeNames":["a"]}"#, false);
    }

    #[test]
    fn what_only_looks_like_the_names_is_not_taken_for_them() {
        let inner = r#"{"Pod":{"x":1,"Nodes":null,"NodeNames":["gpu-1"]}"#;
        check(&format!(r#"{inner},"NodeNames":["gpu-2"]}}"#), false);
        check(&format!("{inner}}}"), false);
        check(
            r#"{"Pod":{"metadata":{"name":",\"Nodes\":null,\"NodeNames\":["}},"Nodes":null,"NodeNames":["a"]}"#,
            true,
        );
    }

    const DECOY: &str = r#"{"x":1,"Nodes":null,"NodeNames":["gpu-1"]}"#;

    /// Texts with everything that JSON may have to escape.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof![4 => (0u8..20).prop_map(|at| format!("gpu-{at}")), 1 => ".{0,6}", 1 => r#"[a"\\,\]}]{0,4}"#]
    }

    /// A pod's part of a body, sometimes one that has the keys of the whole.
    fn pod() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            Just(DECOY.to_owned()),
            name().prop_map(|uid| json!({"metadata": {"uid": uid}, "spec": {"x": [1]}}).to_string()),
        ]
    }

    proptest! {
        /// What Go writes is read as `serde_json` reads it, and in the fast way where no name has an escape.
        #[test]
        fn both_ways_read_the_same(pod in pod(), names in prop::collection::vec(name(), 1..20)) {
            let (view, list) = (view(12), json!(names));
            let body = format!(r#"{{"Pod":{pod},"Nodes":null,"NodeNames":{list}}}"#);
            let args: Args<'_> = serde_json::from_str(&body).unwrap();
            let fast = Request::in_usual_form(&body, &view);
            let has_escapes = list.to_string().contains('\\');
            let is_decoy = pod == DECOY;
            prop_assert_eq!(fast.is_some(), !has_escapes && !is_decoy, "{}", &body);
            if let Some(fast) = fast {
                prop_assert_eq!(format!("[{}]", fast.names.unwrap()), list.to_string());
                prop_assert_eq!(Request { names: None, ..fast }, Request::of(&args, &view));
            }
        }

        /// A damaged body is read as `serde_json` reads it, or not at all.
        #[test]
        fn damage_is_never_read_otherwise(
            names in prop::collection::vec(name(), 1..6),
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![Just(b'"'), Just(b','), Just(b'\\'), Just(b']'), Just(b'}'), Just(b'\n'), Just(b' '), any::<u8>()],
            insert in any::<bool>(),
        ) {
            let view = view(12);
            let body = format!(r#"{{"Pod":{{"metadata":{{"uid":"u"}}}},"Nodes":null,"NodeNames":{}}}"#, json!(names));
            let mut bytes = body.into_bytes();
            let at = at.index(bytes.len());
            if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
            let Ok(body) = String::from_utf8(bytes) else { return Ok(()) };
            if let Some(fast) = Request::in_usual_form(&body, &view) {
                let args: Args<'_> = serde_json::from_str(&body).unwrap();
                prop_assert_eq!(Request { names: None, ..fast }, Request::of(&args, &view));
            }
        }
    }
}
