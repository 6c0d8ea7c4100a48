//! Request methods and sets of them. Method names are case-sensitive (RFC 9110 §9.1).

/// A request method. `Unknown` is any other token; its bytes are in `Head::method_name`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(u8)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Mkcol,
    Copy,
    Move,
    Options,
    Propfind,
    Proppatch,
    Lock,
    Unlock,
    Patch,
    Trace,
    Connect,
    /// Any other token.
    Unknown,
}

/// Every known method in declaration order, with its name: row `i` is the method whose discriminant is `i`.
const NAMES: [(Method, &str); 16] = [
    (Method::Get, "GET"),
    (Method::Head, "HEAD"),
    (Method::Post, "POST"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Mkcol, "MKCOL"),
    (Method::Copy, "COPY"),
    (Method::Move, "MOVE"),
    (Method::Options, "OPTIONS"),
    (Method::Propfind, "PROPFIND"),
    (Method::Proppatch, "PROPPATCH"),
    (Method::Lock, "LOCK"),
    (Method::Unlock, "UNLOCK"),
    (Method::Patch, "PATCH"),
    (Method::Trace, "TRACE"),
    (Method::Connect, "CONNECT"),
];

impl Method {
    /// The method a token names; `Unknown` where none does. The caller has checked that it is a token.
    pub fn parse(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            _ => NAMES.iter().find(|(_, n)| n.as_bytes() == name).map_or(Method::Unknown, |(m, _)| *m),
        }
    }

    /// The method's name; `"UNKNOWN"` for `Unknown` (the client's own word is `Head::method_name`).
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).map_or("UNKNOWN", |(_, n)| n)
    }

    /// GET, HEAD, OPTIONS, TRACE and PROPFIND ask for no change (RFC 9110 §9.2.1, RFC 4918 §9.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace | Method::Propfind)
    }
}

/// A set of methods, as `allowed_methods` and `limit_except` keep it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub struct MethodSet(pub u32);

impl MethodSet {
    /// No method.
    pub const EMPTY: MethodSet = MethodSet(0);

    /// Every method that has a name here.
    pub fn known() -> MethodSet {
        NAMES.iter().map(|(method, _)| *method).collect()
    }

    /// The set and this method.
    #[must_use]
    pub const fn with(self, method: Method) -> MethodSet {
        MethodSet(self.0 | 1 << method as u32)
    }

    /// The set without this method.
    #[must_use]
    pub const fn without(self, method: Method) -> MethodSet {
        MethodSet(self.0 & !(1 << method as u32))
    }

    /// [`Method::Unknown`] is a member like the others.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method as u32) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The known methods in the set, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        NAMES.iter().map(|(m, _)| *m).filter(move |m| self.contains(*m))
    }

    /// The value of an `Allow` header: `GET, HEAD, POST`. Empty for the empty set (RFC 9110 §10.2.1 permits that).
    pub fn allow_value(&self) -> String {
        let mut value = String::new();
        for method in self.iter() {
            if !value.is_empty() {
                value.push_str(", ");
            }
            value.push_str(method.name());
        }
        value
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> MethodSet {
        methods.into_iter().fold(MethodSet::EMPTY, MethodSet::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_names_sits_at_its_discriminant_and_parses_back() {
        for (i, (method, name)) in NAMES.iter().enumerate() {
            assert_eq!(*method as usize, i);
            assert_eq!(method.name(), *name);
            assert_eq!(Method::parse(name.as_bytes()), *method);
        }
    }

    #[test]
    fn method_names_are_case_sensitive_and_other_tokens_are_unknown() {
        for name in ["get", "Get", "GETS", "GE", "", "BREW", "PROPFINDX"] {
            assert_eq!(Method::parse(name.as_bytes()), Method::Unknown, "{name}");
        }
    }

    #[test]
    fn what_asks_for_no_change_is_safe() {
        let safe: Vec<&str> = NAMES.iter().filter(|(method, _)| method.is_safe()).map(|(_, name)| *name).collect();
        assert_eq!(safe, ["GET", "HEAD", "OPTIONS", "PROPFIND", "TRACE"]);
        assert!(!Method::Unknown.is_safe());
    }

    #[test]
    fn a_set_lists_its_methods_as_an_allow_value() {
        let set = MethodSet::from_iter([Method::Post, Method::Get, Method::Head]);
        assert_eq!(set.allow_value(), "GET, HEAD, POST");
        assert!(set.contains(Method::Post) && !set.contains(Method::Put) && !set.contains(Method::Unknown));
        assert_eq!(set.without(Method::Get).allow_value(), "HEAD, POST");
        assert_eq!(MethodSet::EMPTY.allow_value(), "");
        assert!(NAMES.iter().all(|(method, _)| MethodSet::known().contains(*method)));
    }
}
