//! Indices into the arenas of [`Config`](super::model::Config).

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u32);
        impl $name {
            /// The index in the arena.
            pub fn at(self) -> usize { self.0 as usize }
        }
    };
}
id!(/** An index into `Config::servers`. */ ServerId);
id!(/** An index into `Config::locations`. */ LocationId);
id!(/** An index into `Config::endpoints`. */ EndpointId);
id!(/** An index into `Config::log_files`. */ LogFileId);
id!(/** An index into `Config::upstreams`. */ UpstreamId);
