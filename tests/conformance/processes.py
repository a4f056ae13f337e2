"""What runs while the suite runs: a fresh server, mainstay before it, and the suite itself. Each ends with its `with`."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request

START_PATIENCE_S = 30
END_PATIENCE_S = 10

# mainstay for a suite that holds the server up on purpose: CLIENT PAUSE, long scripts, blocking for seconds. Nothing of that
# is an outage, so the primary must never be lost.
CONFIGURATION = """
[log]
level = "info"

[admin]
bind = "{admin}"

[runtime]
# The suites write on one connection and look from another without waiting for an answer. Two data threads pass such bytes
# on in either order; one passes them on as they came.
workers = 1

[[group]]
name = "suite"
backends = ["{server}"]

[group.check]
# The suites look at the server's clients, SLOWLOG and MONITOR, where each check shows: mainstay asks as rarely as it may.
# Hints (-READONLY, a closed connection) still make it look at once.
interval = "1h"
# CLIENT PAUSE and scripts stop every answer for seconds, and that must not count as a failed check,
timeout = "1m"
# nor a row of failed checks as the end of the primary.
fall = 1000

[group.hold]
# Should the primary be lost after all, the runner says so (it counts elections); waiting would hide it.
window = "5s"

[[listener]]
name = "suite"
bind = "{listen}"
group = "suite"
{mode}
# The suite's own limit on connections is the server's (maxclients).
max_connections = 1000
"""


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def suite_port():
    """A port for the suite's own processes: free, and so that the suite finds it free (it also looks 10000 above)."""
    for port in random.sample(range(20000, 30000), 100):
        with contextlib.suppress(OSError):
            for each in (port, port + 10000):
                with socket.socket() as listener:
                    listener.bind(("127.0.0.1", each))
            return port
    raise RuntimeError("no free port between 20000 and 30000")


def halves(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


@contextlib.contextmanager
def process(command, log, **options):
    """Started in a session of its own, so that what it starts ends with it."""
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
    try:
        yield child
    finally:
        end(child)


def end(child):
    """Ends it and whatever it started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        # The group outlives its leader while any other member lives.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=END_PATIENCE_S)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def until(condition, child, what, log):
    deadline = time.monotonic() + START_PATIENCE_S
    while not condition():
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{what} does not start; what it said:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def answers_ping(address):
    with contextlib.suppress(OSError):
        with socket.create_connection(halves(address), timeout=2) as client:
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    return False


@contextlib.contextmanager
def server(binary, folder):
    """A server as the suite's own CI starts one to be external, but on loopback only. Yields its address."""
    address = free_address()
    host, port = halves(address)
    folder.mkdir(parents=True)
    log = folder / "server.log"
    command = [
        *(str(binary), "--bind", host, "--port", str(port), "--dir", str(folder), "--save", ""),
        *("--enable-protected-configs", "yes", "--enable-debug-command", "yes", "--enable-module-command", "yes"),
    ]
    with process(command, log) as child:
        until(lambda: answers_ping(address), child, "the server", log)
        yield address


class Mainstay:
    """A running mainstay."""

    def __init__(self, address, log):
        self.address = address
        self.log = log

    def complaints(self):
        """What it said beyond its start: warnings, errors, and any change of primary. The suite's long scripts are no news."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if " is busy with " not in line]
        elections = [line for line in lines if "primary elected" in line or "primary withdrawn" in line]
        loud = [line for line in lines if " WARN " in line or " ERROR " in line or "panicked" in line]
        return elections[1:] + loud


@contextlib.contextmanager
def mainstay(binary, mode, backend, folder):
    """mainstay before `backend`, with its primary elected; `mode`: what its listener is told beside its addresses."""
    listen, admin = free_address(), free_address()
    configuration = folder / "mainstay.toml"
    configuration.write_text(CONFIGURATION.format(admin=admin, server=backend, listen=listen, mode=mode).lstrip())
    log = folder / "mainstay.log"

    def is_ready():
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://{admin}/readyz?primary", timeout=2) as answer:
                return answer.status == 200
        return False

    with process([str(binary), "run", "--config", str(configuration)], log) as child:
        until(is_ready, child, "mainstay", log)
        yield Mainstay(listen, log)


def suite(folder, address, tags, units, left_out, patience_s, output):
    """Runs `units` of the suite in `folder`, but not the tests `left_out`, against `address`; it prints into `output`, at its end."""
    host, port = halves(address)
    # --durable: an error in a test is noted and does not end the suite.
    command = ["./runtest", "--host", host, "--port", str(port), "--durable", "--timeout", str(patience_s), "--tags", tags]
    # The suite's own processes talk on a port below this one; its default is the same for every suite on the machine.
    command += ["--baseport", str(suite_port() + 32)]
    for test in left_out:
        command += ["--skiptest", test]
    for unit in units:
        command += ["--single", unit]
    with process(command, output, cwd=folder) as child:
        # The suite ends by itself when nothing happens for its --timeout; this is for the case that it does not.
        size, quiet_since = -1, time.monotonic()
        while child.poll() is None:
            time.sleep(0.2)
            now_size = output.stat().st_size
            if now_size != size:
                size, quiet_since = now_size, time.monotonic()
            elif time.monotonic() > quiet_since + 2 * patience_s:
                break
