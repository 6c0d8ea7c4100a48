//! The bodies of PROPFIND, PROPPATCH and LOCK (RFC 4918 §14).

use super::xml::{Element, Name, parse};

/// Maximum bytes of a lock's owner, which is kept with the lock and shown in listings of what the lock covers.
const OWNER: usize = 4096;

/// What a PROPFIND asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropfindRequest {
    /// All that there is, and these besides.
    All(Vec<Name>),
    /// `propname`: names without values.
    Names,
    /// `prop`: the properties listed, in the client's order.
    These(Vec<Name>),
}

/// The body of a PROPFIND; none asks for everything.
///
/// # Errors
/// What is wrong with it.
pub fn propfind(body: &[u8]) -> Result<PropfindRequest, &'static str> {
    if body.trim_ascii().is_empty() {
        return Ok(PropfindRequest::All(Vec::new()));
    }
    let root = parse(body)?;
    if !root.name.is_dav("propfind") {
        return Err("is no propfind");
    }
    let names = |of: &Element| of.children.iter().map(|child| child.name.clone()).collect();
    if let Some(prop) = root.dav("prop") {
        return Ok(PropfindRequest::These(names(prop)));
    }
    if root.dav("propname").is_some() {
        return Ok(PropfindRequest::Names);
    }
    match root.dav("allprop") {
        Some(_) => Ok(PropfindRequest::All(root.dav("include").map_or(Vec::new(), names))),
        None => Err("asks for neither prop, propname nor allprop"),
    }
}

/// One property of a PROPPATCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyUpdate {
    pub name: Name,
    /// Its new text; None: it is to go.
    pub value: Option<String>,
}

/// The body of a PROPPATCH, in its order.
///
/// # Errors
/// What is wrong with it.
pub fn proppatch(body: &[u8]) -> Result<Vec<PropertyUpdate>, &'static str> {
    let root = parse(body)?;
    if !root.name.is_dav("propertyupdate") {
        return Err("is no propertyupdate");
    }
    let mut changes = Vec::new();
    for part in &root.children {
        let sets = part.name.is_dav("set");
        if !sets && !part.name.is_dav("remove") {
            continue;
        }
        let properties = part.children.iter().filter(|child| child.name.is_dav("prop")).flat_map(|prop| &prop.children);
        changes.extend(properties.map(|property| PropertyUpdate {
            name: property.name.clone(),
            value: sets.then(|| property.text.clone()),
        }));
    }
    if changes.is_empty() { Err("changes no property") } else { Ok(changes) }
}

/// The body of a LOCK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockInfo {
    /// `exclusive` lock scope; otherwise `shared`.
    pub exclusive: bool,
    /// What is in the element that says whose it is, to be given back as it came.
    pub owner: Vec<u8>,
}

/// # Errors
/// What is wrong with it.
pub fn lockinfo(body: &[u8]) -> Result<LockInfo, &'static str> {
    let root = parse(body)?;
    if !root.name.is_dav("lockinfo") {
        return Err("is no lockinfo");
    }
    let scope = root.dav("lockscope").ok_or("says no lockscope")?;
    let exclusive = match (scope.dav("exclusive"), scope.dav("shared")) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        _ => return Err("says a lockscope that is neither exclusive nor shared"),
    };
    if root.dav("locktype").and_then(|kind| kind.dav("write")).is_none() {
        return Err("says a locktype that is not write");
    }
    let mut owner = Vec::new();
    if let Some(element) = root.dav("owner") {
        element.write_content(&mut owner);
    }
    if owner.len() > OWNER {
        return Err("says too much of the owner");
    }
    Ok(LockInfo { exclusive, owner })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(ns: &str, name: &str) -> Name {
        Name { ns: ns.into(), name: name.into() }
    }

    #[test]
    fn a_propfind_asks_for_all_for_names_or_for_some() {
        let doc = |inner: &str| format!("<propfind xmlns='DAV:' xmlns:x='urn:x'>{inner}</propfind>");
        let table = [
            (String::new(), Ok(PropfindRequest::All(Vec::new()))),
            (doc("<allprop/>"), Ok(PropfindRequest::All(Vec::new()))),
            (doc("<allprop/><include><x:a/></include>"), Ok(PropfindRequest::All(vec![name("urn:x", "a")]))),
            (doc("<propname/>"), Ok(PropfindRequest::Names)),
            (
                doc("<prop><getetag/><x:b/></prop>"),
                Ok(PropfindRequest::These(vec![name("DAV:", "getetag"), name("urn:x", "b")])),
            ),
            (doc("<prop/>"), Ok(PropfindRequest::These(Vec::new()))),
            (doc(""), Err("asks for neither prop, propname nor allprop")),
            ("<propfind/>".into(), Err("is no propfind")),
        ];
        for (text, expected) in table {
            assert_eq!(propfind(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_proppatch_sets_and_removes_in_order() {
        let text = "<D:propertyupdate xmlns:D='DAV:' xmlns:x='u'><D:set><D:prop><x:a>1</x:a><x:b/></D:prop></D:set>\
                    <D:remove><D:prop><x:a/></D:prop></D:remove></D:propertyupdate>";
        let change =
            |at: &str, value: Option<&str>| PropertyUpdate { name: name("u", at), value: value.map(str::to_owned) };
        assert_eq!(
            proppatch(text.as_bytes()),
            Ok(vec![change("a", Some("1")), change("b", Some("")), change("a", None)])
        );
        assert!(proppatch(b"<D:propertyupdate xmlns:D='DAV:'/>").is_err());
        assert!(proppatch(b"").is_err());
    }

    #[test]
    fn a_lock_says_its_scope_and_whose_it_is() {
        let doc = |scope: &str, kind: &str, rest: &str| {
            format!(
                "<D:lockinfo xmlns:D='DAV:'><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:{kind}/>\
                 </D:locktype>{rest}</D:lockinfo>"
            )
        };
        let info = lockinfo(doc("exclusive", "write", "<D:owner><D:href>a&amp;b</D:href></D:owner>").as_bytes());
        assert_eq!(info, Ok(LockInfo { exclusive: true, owner: b"<D:href>a&amp;b</D:href>".to_vec() }));
        assert_eq!(
            lockinfo(doc("shared", "write", "<D:owner>me</D:owner>").as_bytes()),
            Ok(LockInfo { exclusive: false, owner: b"me".to_vec() })
        );
        let long = format!("<D:owner>{}</D:owner>", "x".repeat(OWNER + 1));
        for bad in [doc("none", "write", ""), doc("shared", "read", ""), doc("shared", "write", &long), String::new()] {
            assert!(lockinfo(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
