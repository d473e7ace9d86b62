//! Naming requests: `request().delete().resource("pods").nth(2)`.

use std::fmt;
use std::sync::Arc;

use super::call::Verb;
use super::record::Record;

/// Any request; narrow it down with the methods of [`Matcher`].
pub fn request() -> Matcher {
    Matcher::default()
}

/// Request number `k`, counted from 1 over everything the proxy has seen.
pub fn number(k: usize) -> Matcher {
    Matcher { k: Some(k), ..Matcher::default() }
}

type Predicate = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// A description of requests. What is not said is not asked for.
#[derive(Clone, Default)]
pub struct Matcher {
    k: Option<usize>,
    verb: Option<Verb>,
    group: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    predicate: Option<Predicate>,
    nth: Option<usize>,
    always: bool,
}

macro_rules! verbs {
    ($($method:ident => $verb:ident),+ $(,)?) => {
        $(
            #[doc = concat!("Only requests whose verb is [`Verb::", stringify!($verb), "`].")]
            pub fn $method(self) -> Self {
                self.verb(Verb::$verb)
            }
        )+
    };
}

impl Matcher {
    verbs! {
        get => Get, list => List, watch => Watch, create => Create,
        update => Update, patch => Patch, delete => Delete,
    }

    /// Only this verb.
    pub fn verb(self, verb: Verb) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// Only this API group; `""` is the core group.
    pub fn group(self, group: &str) -> Self {
        Self { group: Some(group.to_owned()), ..self }
    }

    /// Only this resource and, as in an RBAC rule, not its subresources unless one is asked for.
    pub fn resource(self, resource: &str) -> Self {
        Self { resource: Some(resource.to_owned()), ..self }
    }

    /// Only this subresource.
    pub fn subresource(self, subresource: &str) -> Self {
        Self { subresource: Some(subresource.to_owned()), ..self }
    }

    /// Only in this namespace.
    pub fn namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// Only the object of this name.
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Only requests a fault was played on. For questions to the log: no fault is known yet when faults are chosen.
    pub fn faulted(self) -> Self {
        self.that(|record| record.fault.is_some())
    }

    /// Only requests for which `predicate` also holds, such as one about the body.
    pub fn that(self, predicate: impl Fn(&Record) -> bool + Send + Sync + 'static) -> Self {
        let before = self.predicate.clone();
        let both = move |record: &Record| before.as_ref().is_none_or(|before| before(record)) && predicate(record);
        Self { predicate: Some(Arc::new(both)), ..self }
    }

    /// The `n`-th of those requests, counted from 1; a fault counts from the moment it is set up.
    pub fn nth(self, n: usize) -> Self {
        assert!(n > 0, "occurrences are counted from 1");
        Self { nth: Some(n), ..self }
    }

    /// A fault for all of those requests (from the `nth` on), not only for one.
    pub fn always(self) -> Self {
        Self { always: true, ..self }
    }

    /// Whether this describes the request, counting aside.
    pub fn matches(&self, record: &Record) -> bool {
        let call = &record.call;
        let subresource_fits = match &self.subresource {
            Some(wanted) => call.subresource.as_ref() == Some(wanted),
            None => self.resource.is_none() || call.subresource.is_none(),
        };
        subresource_fits
            && self.k.is_none_or(|k| k == record.k)
            && self.verb.is_none_or(|verb| verb == call.verb)
            && self.group.as_ref().is_none_or(|group| *group == call.group)
            && self.resource.as_ref().is_none_or(|resource| *resource == call.resource)
            && self.namespace.as_ref().is_none_or(|namespace| call.namespace.as_ref() == Some(namespace))
            && self.name.as_ref().is_none_or(|name| call.name.as_ref() == Some(name))
            && self.predicate.as_ref().is_none_or(|predicate| predicate(record))
    }

    /// The request this asks for in a log: the `nth` match, or the first.
    pub fn find<'log>(&self, log: &'log [Record]) -> Option<&'log Record> {
        log.iter().filter(|record| self.matches(record)).nth(self.occurrence() - 1)
    }

    /// Whether a fault fires at the `seen`-th match.
    pub fn fires_at(&self, seen: usize) -> bool {
        seen == self.occurrence() || (self.always && seen > self.occurrence())
    }

    fn occurrence(&self) -> usize {
        self.nth.unwrap_or(1)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = f.debug_struct("request");
        let mut say = |what: &str, value: Option<&dyn fmt::Debug>| {
            if let Some(value) = value {
                said.field(what, value);
            }
        };
        say("k", self.k.as_ref().map(|k| k as _));
        say("verb", self.verb.as_ref().map(|verb| verb as _));
        say("group", self.group.as_ref().map(|group| group as _));
        say("resource", self.resource.as_ref().map(|resource| resource as _));
        say("subresource", self.subresource.as_ref().map(|subresource| subresource as _));
        say("namespace", self.namespace.as_ref().map(|namespace| namespace as _));
        say("name", self.name.as_ref().map(|name| name as _));
        say("nth", self.nth.as_ref().map(|nth| nth as _));
        said.finish_non_exhaustive()
    }
}
