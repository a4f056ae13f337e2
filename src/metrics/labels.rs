//! The values of those labels that are known beforehand.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// Every value, in the order of the declaration.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

words! {
    /// Why a session ended.
    CloseReason {
        /// The client closed.
        Client = "client",
        /// The backend closed while it was healthy.
        Backend = "backend",
        /// The primary was withdrawn.
        Failover = "failover",
        /// `idle_timeout`.
        Idle = "idle",
        /// No primary within the window, or no place.
        Refused = "refused",
        /// An input or output error.
        Error = "error",
        /// mainstay is stopping.
        Drain = "drain",
    }
}

words! {
    /// Why a connection never became a session.
    ArrivalRefusal {
        /// Its address is not in `allow`.
        Network = "network",
        /// No PROXY header, or a bad one.
        Header = "header",
        /// The TLS handshake failed.
        Handshake = "handshake",
        /// Too many were under way.
        Crowd = "crowd",
        /// It took too long.
        Time = "time",
        /// It left before.
        Left = "left",
    }
}

words! {
    /// How the waiting of a client ended.
    HoldOutcome {
        /// A primary was elected.
        Elected = "elected",
        /// The window ended first.
        Window = "window",
        /// No room.
        Full = "full",
        /// The client left.
        ClientGone = "client_gone",
        /// mainstay is stopping.
        Shutdown = "shutdown",
    }
}

words! {
    /// Why a request was asked again.
    RetryReason {
        /// `-READONLY`
        ReadOnly = "readonly",
        /// `-LOADING`
        Loading = "loading",
        /// `-MASTERDOWN`
        MasterDown = "masterdown",
        /// `-NOREPLICAS`
        NoReplicas = "noreplicas",
        /// `-UNBLOCKED`
        Unblocked = "unblocked",
        /// Its upstream was lost, and it changes nothing.
        Lost = "lost",
        /// It was blocked when the primary changed.
        Blocked = "blocked",
    }
}

words! {
    /// Why a session needs an upstream of its own.
    PinReason {
        /// Between MULTI and EXEC.
        Transaction = "transaction",
        /// WATCH.
        Watch = "watch",
        /// Any subscription.
        Subscription = "subscription",
        /// A blocking command.
        Blocked = "blocked",
        /// CLIENT TRACKING.
        Tracking = "tracking",
        /// What passes is no conversation: MONITOR, SYNC, CLIENT REPLY.
        Opaque = "opaque",
        /// WAIT: about the writes of one connection.
        Wait = "wait",
        /// What changes its connection: HELLO, AUTH, SELECT and their kin, while they are asked.
        State = "state",
        /// It knows its connection by name or id: CLIENT ID, CLIENT INFO, CLIENT NO-TOUCH.
        Identity = "identity",
        /// Large requests or replies, or a client that reads slowly.
        Large = "large",
        /// Nothing proves that it does the others on a connection no harm.
        Unknown = "unknown",
    }
}
