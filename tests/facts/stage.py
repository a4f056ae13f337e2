"""The stage for record.py: redis-servers on free loopback ports, links that can be cut, and an observer that asks as mainstay asks.

Everything started here is ended here, by its own process handle.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from resp import Closed, Conversation, Refused

QUESTION = ("INFO", "server", "persistence", "stats", "replication", "keyspace")
KEPT = re.compile(
    r"^(# .*|(redis_version|redis_mode|run_id|uptime_in_seconds|loading|async_loading|role|master_host|master_port|"
    r"master_link_status|master_sync_in_progress|master_failover_state|slave_repl_offset|slave_read_repl_offset|"
    r"slave_priority|connected_slaves|slave\d+|master_replid2?|master_repl_offset|second_repl_offset|"
    r"total_net_repl_input_bytes|db\d+):.*)$"
)
ANSWER_LIMIT = 0.3
TICK = 0.1
START_LIMIT = 10.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One redis-server. It keeps its port and its folder over restarts."""

    def __init__(self, folder, name, program="redis-server"):
        self.name, self.program = name, program
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        self.port = free_port()
        self.process = None

    def start(self, *options, replica_of=None):
        """Options are as on redis-server's command line. Returns once it answers, or at once if it is still loading."""
        words = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                 "--logfile", os.path.join(self.folder, "log"), "--enable-debug-command", "yes", "--shutdown-timeout", "0",
                 "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *options]
        if replica_of is not None:
            words += ["--replicaof", "127.0.0.1 %d" % replica_of.port]
        self._spawn(words)

    def _spawn(self, words):
        # A session of its own: Ctrl-C reaches only the recorder, which then ends the server itself.
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + START_LIMIT
        while True:
            try:
                self.call("PING")
                return
            except Refused:
                return
            except (OSError, Closed):
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit("%s does not start on port %d; see %s/log" % (self.name, self.port, self.folder))
                time.sleep(0.02)

    def call(self, *words):
        conversation = Conversation(self.port)
        try:
            return conversation.call(*words)
        finally:
            conversation.close()

    def info(self):
        return fields(self.call(*QUESTION))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, also of a stopped process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def shut_down(self, how="NOSAVE"):
        with contextlib.suppress(OSError, Closed):
            self.call("SHUTDOWN", how)
        self.process.wait(START_LIMIT)
        self.process = None


class Sentinel(Server):
    """One Sentinel that watches `primary`."""

    def __init__(self, folder, name, primary):
        super().__init__(folder, name, "redis-sentinel")
        path = os.path.join(self.folder, "sentinel.conf")
        with open(path, "w") as file:
            file.write("port %d\nbind 127.0.0.1\ndir %s\nlogfile %s/log\n" % (self.port, self.folder, self.folder))
            file.write("sentinel monitor group 127.0.0.1 %d 1\n" % primary.port)
            file.write("sentinel down-after-milliseconds group 2000\nsentinel failover-timeout group 10000\n")
        self._spawn([self.program, path])


class Link:
    """A relay in front of a server, so that one replica can be cut off from it."""

    def __init__(self, target):
        self.target, self.open, self.pairs = target, True, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.open = False
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.cut()
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    if not self.open:
                        raise OSError("cut")
                    far = socket.create_connection(("127.0.0.1", self.target.port))
                except OSError:
                    near.close()
                    continue
                self.pairs.append((near, far))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def fields(info):
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


class Stage:
    """Servers, and what was observed of them since `begin`."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mainstay-facts-")
        self.servers, self.links, self.sentinels = {}, [], []
        self.entries = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.started = None
        self.observer = threading.Thread(target=self._observe, daemon=True)

    # What a scenario uses.

    def server(self, name, *options, replica_of=None):
        server = self.servers[name] = Server(self.folder, name)
        server.start(*options, replica_of=replica_of)
        return server

    def primary_with(self, *replicas, options=()):
        """a, and one replica for each further name; returns them when every link is up."""
        servers = [self.server("a", *options)]
        for name in replicas:
            servers.append(self.server(name, *options, replica_of=servers[0]))
        self.write("a", 20)
        self.in_step("a", *replicas)
        return servers

    def link(self, target):
        self.links.append(Link(target))
        return self.links[-1]

    def sentinel(self, primary):
        self.sentinels.append(Sentinel(self.folder, "sentinel%d" % len(self.sentinels), primary))
        return self.sentinels[-1]

    def begin(self):
        self.started = time.monotonic()
        self.observer.start()
        self.look(0.5)

    @contextlib.contextmanager
    def doing(self, note):
        """Notes what is done inside; no observation falls in between."""
        with self.lock:
            self.entries.append({"at_ms": self._now(), "note": note})
            yield

    def do(self, note, server, *words):
        with self.doing(note):
            return server.call(*words)

    def look(self, seconds):
        """Lets the observer look for that long."""
        time.sleep(seconds)

    def until(self, what, condition, limit=20.0):
        end = time.monotonic() + limit
        while True:
            with contextlib.suppress(OSError, Closed, Refused, KeyError):
                if condition():
                    return
            if time.monotonic() > end:
                raise SystemExit("waited %d s in vain: %s" % (limit, what))
            time.sleep(0.02)

    def in_step(self, master, *replicas):
        """Waits until the replicas follow `master`, carry its id and have all it has."""
        def same():
            wanted = self.servers[master].info()
            for name in replicas:
                has = self.servers[name].info()
                if has.get("master_link_status") != "up" or has["master_replid"] != wanted["master_replid"]:
                    return False
                if int(has["master_repl_offset"]) < int(wanted["master_repl_offset"]):
                    return False
            return wanted["role"] == "master"
        self.until("%s in step with %s" % (", ".join(replicas), master), same)

    def role(self, name, role):
        self.until("%s says role:%s" % (name, role), lambda: self.servers[name].info()["role"] == role)

    def write(self, name, count, size=100):
        conversation = Conversation(self.servers[name].port)
        for number in range(count):
            conversation.send("SET", "key:%d" % number, b"x" * size)
        for _ in range(count):
            with contextlib.suppress(Refused):
                conversation.receive()
        conversation.close()

    @contextlib.contextmanager
    def writing(self, *names):
        """A client of each of these servers that writes a little all the time, whatever it is answered."""
        end = threading.Event()

        def work(server):
            conversation = None
            while not end.wait(0.02):
                try:
                    conversation = conversation or Conversation(server.port, 0.5)
                    conversation.call("SET", "busy", b"x" * 50)
                except Refused:
                    pass
                except (OSError, Closed):
                    if conversation:
                        conversation.close()
                    conversation = None
        threads = [threading.Thread(target=work, args=(self.servers[name],), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            end.set()
            for thread in threads:
                thread.join()

    def close(self):
        self.ended.set()
        if self.started is not None:
            self.observer.join()
        for link in self.links:
            link.close()
        for server in [*self.sentinels, *self.servers.values()]:
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # The observer.

    def _now(self):
        return int((time.monotonic() - self.started) * 1000)

    def _observe(self):
        conversations = {}
        while not self.ended.is_set():
            begin = time.monotonic()
            with self.lock:
                asked = {name: self._ask(conversations, server) for name, server in self.servers.items()}
                for name, failed in asked.items():
                    outcome, info = failed or self._hear(conversations, name, begin + ANSWER_LIMIT)
                    entry = {"at_ms": self._now(), "backend": name, "outcome": outcome}
                    if info is not None:
                        entry["info"] = info
                    self.entries.append(entry)
            self.ended.wait(max(0.01, begin + TICK - time.monotonic()))
        for conversation in conversations.values():
            conversation.close()

    @staticmethod
    def _ask(conversations, server):
        """Sends the question; says how that failed, if it did."""
        try:
            if server.name not in conversations:
                conversations[server.name] = Conversation(server.port, ANSWER_LIMIT)
            conversations[server.name].send(*QUESTION)
            return None
        except ConnectionRefusedError:
            return "refused", None
        except OSError:
            conversations.pop(server.name).close()
            return "closed", None

    @staticmethod
    def _hear(conversations, name, deadline):
        conversation = conversations[name]
        try:
            conversation.socket.settimeout(max(0.01, deadline - time.monotonic()))
            lines = [line for line in conversation.receive().split("\r\n") if KEPT.match(line)]
            return "facts", "".join(line + "\r\n" for line in lines)
        except Refused as refusal:
            return refusal.args[0].split(" ")[0].lower(), None
        except TimeoutError:
            outcome = "silent"
        except (OSError, Closed):
            outcome = "closed"
        conversations.pop(name).close()
        return outcome, None


def stop(server):
    """SIGSTOP, and waits until the kernel has done it."""
    server.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, server.process.pid, os.WSTOPPED | os.WNOWAIT)


def go_on(server):
    server.signal(signal.SIGCONT)
