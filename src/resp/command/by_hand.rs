//! What no flag of a server tells. Each line has its reason; where a line says [`Fate::Read`] and the server says `write`, the server
//! is believed.

use super::{Bond, Channels, Fate, Kind, Script, TimeoutAt};

/// Some commands of which the same is true.
pub struct Line {
    /// Separated by spaces; `container|subcommand` as Redis writes them.
    pub names: &'static str,
    /// See [`Fate`].
    pub fate: Fate,
    /// See [`Kind`].
    pub kind: Kind,
    /// Why so.
    pub why: &'static str,
}

const fn line(names: &'static str, fate: Fate, kind: Kind, why: &'static str) -> Line {
    Line { names, fate, kind, why }
}

use Fate::{Read, Unknown, Write};
use Kind::Plain;

/// No name stands in it twice.
pub const BY_HAND: &[Line] = &[
    // What a conversation has to follow. A connection's state ends with the connection.
    line("hello", Read, Kind::Hello, "changes its connection only"),
    line("auth", Read, Kind::Auth, "changes its connection only"),
    line("select", Read, Kind::Select, "changes its connection only"),
    line("reset", Read, Kind::Reset, "changes its connection only"),
    line("quit", Read, Kind::Quit, "changes its connection only"),
    line("client|setname", Read, Kind::ClientSetName, "changes its connection only"),
    line("client|setinfo", Read, Kind::ClientSetInfo, "changes its connection only"),
    line("client|no-evict", Read, Kind::ClientNoEvict, "changes its connection only"),
    line("client|no-touch", Read, Kind::ClientNoTouch, "changes its connection only"),
    line("client|tracking", Read, Kind::ClientTracking, "changes its connection only"),
    line("client|reply", Read, Kind::ClientReply, "changes its connection only"),
    line("client|caching asking", Read, Kind::Connection(Bond::Once), "about the next command of its connection only"),
    line("client|capa client|import-source", Read, Kind::Connection(Bond::Kept), "changes its connection only"),
    line("readonly readwrite", Read, Kind::Connection(Bond::Kept), "changes its connection only, and matters to a cluster only"),
    line("multi", Read, Kind::Multi, "queues on its connection only"),
    line("discard", Read, Kind::Discard, "forgets what its connection has queued"),
    line("exec", Write, Kind::Exec, "runs whatever was queued"),
    line("watch", Read, Kind::Watch, "marks keys for its connection only"),
    line("unwatch", Read, Kind::Unwatch, "marks keys for its connection only"),
    line("subscribe", Read, Kind::Subscribe(Channels::Plain), "changes its connection only"),
    line("psubscribe", Read, Kind::Subscribe(Channels::Pattern), "changes its connection only"),
    line("ssubscribe", Read, Kind::Subscribe(Channels::Shard), "changes its connection only"),
    line("unsubscribe", Read, Kind::Unsubscribe(Channels::Plain), "changes its connection only"),
    line("punsubscribe", Read, Kind::Unsubscribe(Channels::Pattern), "changes its connection only"),
    line("sunsubscribe", Read, Kind::Unsubscribe(Channels::Shard), "changes its connection only"),
    line("monitor", Read, Kind::Opaque, "a stream of what others ask, which changes nothing"),
    line("sync psync replconf", Unknown, Kind::Opaque, "a replica's link to this very server"),
    line("script|debug", Unknown, Kind::Opaque, "the next EVAL becomes a debugger's session, which is no request and reply"),
    // Blocking: no flag tells where the timeout stands. They take what they waited for.
    line("blpop brpop bzpopmin bzpopmax", Write, Kind::Blocking(TimeoutAt::Last), "pops; the timeout is last"),
    line("blmove brpoplpush", Write, Kind::Blocking(TimeoutAt::LastOfMove), "writes what it popped into another list"),
    line(
        "blmpop bzmpop",
        Write,
        Kind::Blocking(TimeoutAt::First),
        "pops; the timeout is first, for what follows varies in number",
    ),
    line("xread", Read, Kind::Blocking(TimeoutAt::Block), "takes nothing away; blocks only with BLOCK"),
    line("xreadgroup", Write, Kind::Blocking(TimeoutAt::Block), "moves the group on; blocks only with BLOCK"),
    line("wait waitaof", Write, Kind::Wait, "about the writes of this very connection: asked on another it would tell a lie"),
    // Scripts and functions: what they do stands in their body.
    line("eval", Write, Kind::Script(Script::Body), "may write although not flagged, and makes up its error texts"),
    line("evalsha", Write, Kind::Script(Script::Digest), "may write although not flagged, and makes up its error texts"),
    line("fcall", Write, Kind::Script(Script::Function), "may write although not flagged, and makes up its error texts"),
    line("eval_ro", Read, Kind::Script(Script::Body), "the server refuses writes and PUBLISH in it"),
    line("evalsha_ro", Read, Kind::Script(Script::Digest), "the server refuses writes and PUBLISH in it"),
    line("fcall_ro", Read, Kind::Script(Script::Function), "the server refuses writes and PUBLISH in it"),
    line("script|load", Read, Kind::ScriptLoad, "a script is stored under its own digest: the second time changes nothing"),
    line("script|flush", Write, Kind::ScriptFlush, "a second flush would take away what was loaded after the first"),
    line("script|exists script|show script|help", Read, Plain, "only tells"),
    line("function|dump function|list function|help", Read, Plain, "only tells"),
    line("function|stats", Read, Kind::Oversight, "tells which function runs, and is answered while it does"),
    line("function|load function|delete function|flush function|restore", Write, Plain, "changes the library"),
    line(
        "script|kill function|kill",
        Unknown,
        Kind::Oversight,
        "ends whatever runs on this very server: at the next it is another's",
    ),
    // Cursors.
    line("scan clusterscan", Read, Kind::Scan(1), "its cursor is a place in the table of one server"),
    line("sscan hscan zscan", Read, Kind::Scan(2), "its cursor is a place in the table of one server"),
    // They write although the server does not say so.
    line("pfcount", Write, Plain, "stores the cardinality that it reckoned, and is flagged readonly"),
    line("publish spublish", Write, Plain, "a second message is one too many; no flag tells"),
    // Harmless without the flag `readonly`: they touch no key.
    line("ping echo time info lastsave role lolwut", Read, Plain, "only tells"),
    line("command command|count command|docs command|getkeys command|getkeysandflags", Read, Plain, "only tells"),
    line("command|help command|info command|list", Read, Plain, "only tells"),
    line("client|id client|info", Read, Kind::Connection(Bond::Kept), "tells by what its connection may be killed or unblocked"),
    line("client|getname client|getredir client|trackinginfo", Read, Kind::Connection(Bond::Once), "tells of its connection"),
    line("client|list", Read, Kind::Connection(Bond::Once), "tells of connections, its own among them"),
    line("client|help", Read, Plain, "only tells"),
    line("config|get config|help", Read, Plain, "only tells"),
    line("acl|cat acl|dryrun acl|getuser acl|help acl|list acl|users acl|whoami", Read, Plain, "only tells"),
    line("acl|genpass", Read, Plain, "throws dice and stores nothing"),
    line("slowlog|get slowlog|help slowlog|len", Read, Plain, "only tells"),
    line("commandlog|get commandlog|help commandlog|len", Read, Plain, "only tells"),
    line("latency|doctor latency|graph latency|help latency|histogram latency|history latency|latest", Read, Plain, "only tells"),
    line("memory|doctor memory|help memory|malloc-stats memory|stats", Read, Plain, "only tells"),
    line("module|list module|help", Read, Plain, "only tells"),
    line("pubsub|channels pubsub|help pubsub|numpat pubsub|numsub", Read, Plain, "only tells"),
    line("pubsub|shardchannels pubsub|shardnumsub", Read, Plain, "only tells"),
    line("object|help xgroup|help xinfo|help cluster|help", Read, Plain, "only tells"),
    line("cluster|info cluster|nodes cluster|shards cluster|slots cluster|slot-stats", Read, Plain, "only tells"),
    line("cluster|myid cluster|myshardid cluster|links cluster|keyslot", Read, Plain, "only tells"),
    line("cluster|countkeysinslot cluster|getkeysinslot cluster|count-failure-reports", Read, Plain, "only tells"),
    line("cluster|replicas cluster|slaves cluster|getslotmigrations", Read, Plain, "only tells"),
    line("stralgo", Read, Plain, "compares strings; Redis 6.2 had it and later ones have LCS"),
    // They change the server, and where they were refused they may be asked again.
    line("config|set config|rewrite config|resetstat", Write, Plain, "changes the server's settings or counters"),
    line("acl|setuser acl|deluser acl|load acl|save", Write, Plain, "changes who may do what"),
    line("acl|log", Write, Plain, "tells, but with RESET forgets, and only an argument tells which"),
    line("slowlog|reset commandlog|reset latency|reset memory|purge", Write, Plain, "forgets something of the server's"),
    line("save bgsave bgrewriteaof", Write, Plain, "writes to the server's disk"),
    line("client|pause", Write, Plain, "stops every client of the server, from now on for a while"),
    line(
        "client|unpause",
        Write,
        Kind::Oversight,
        "lets every client of the server go on, and must not stand behind one that waits",
    ),
    line("pfselftest", Write, Plain, "a test of the server itself that keeps it busy"),
    // They are meant for one server. The next one is another: there the same words do another thing.
    line("failover replicaof slaveof debug", Unknown, Plain, "meant for this very server"),
    line("shutdown", Unknown, Kind::Oversight, "meant for this very server, also while a script keeps it busy"),
    line("client|kill client|unblock", Unknown, Plain, "an id or an address is another client at the next server"),
    line("module|load module|loadex module|unload", Unknown, Plain, "loads code into this very server"),
    line(
        "cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|cancelslotmigrations",
        Unknown,
        Plain,
        "changes this node",
    ),
    line("cluster|delslots cluster|delslotsrange cluster|failover cluster|flushslots", Unknown, Plain, "changes this node"),
    line("cluster|forget cluster|meet cluster|migrateslots cluster|replicate cluster|reset", Unknown, Plain, "changes this node"),
    line("cluster|saveconfig cluster|set-config-epoch cluster|setslot cluster|syncslots", Unknown, Plain, "changes this node"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_written_down_twice_and_each_has_a_reason() {
        let mut seen = std::collections::BTreeSet::new();
        for line in BY_HAND {
            assert!(!line.why.is_empty(), "{}", line.names);
            for name in line.names.split_ascii_whitespace() {
                assert!(seen.insert(name), "{name} stands in two lines");
                assert_eq!(name, name.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn what_no_flag_tells_is_written_down_for_every_shipped_command() {
        use super::super::declared::{Says, shipped};
        let by_hand: Vec<&str> = BY_HAND.iter().flat_map(|line| line.names.split_ascii_whitespace()).collect();
        let shipped = shipped();
        let is_container = |name: &str| shipped.iter().any(|one| one.name == name && !one.sub.is_empty());
        let missing: Vec<String> = shipped
            .iter()
            .filter(|one| one.says == Says::Nothing && !(one.sub.is_empty() && is_container(&one.name)))
            .map(|one| if one.sub.is_empty() { one.name.clone() } else { format!("{}|{}", one.name, one.sub) })
            .filter(|name| !by_hand.contains(&name.as_str()))
            .collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
