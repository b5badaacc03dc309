# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that can be asked whether it is fixed, and a patch for it. The patch is put together
with objcopy and a manifest as suture-patch(5) describes it, without any code of suture."""
import fcntl
import hashlib
import json
import os
import re
import subprocess
import termios
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ["-O2", "-fPIE", "-ffunction-sections", "-fno-asynchronous-unwind-tables",
         "-fcf-protection=none"]


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def build(folder):
    """Compiles the victim, with a build ID that no other one has; gives its path."""
    path = os.path.join(folder, "answer")
    tool("gcc", *FLAGS, "-pie", "-Wl,--build-id=0x" + uuid.uuid4().hex,
         os.path.join(HERE, "answer.c"), "-o", path)
    return path


def original(path):
    """Address, size and bytes of answer()."""
    symbol = re.search(r"([0-9a-f]{16})\s+(\d+) FUNC .* answer$", tool("readelf", "-Ws", path),
                       re.M)
    text = re.search(r"\.text\s+PROGBITS\s+([0-9a-f]+)\s+([0-9a-f]+)", tool("readelf", "-WS", path))
    address, size = int(symbol[1], 16), int(symbol[2])
    with open(path, "rb") as file:
        file.seek(address - int(text[1], 16) + int(text[2], 16))
        return address, size, file.read(size)


def make_patch(path, folder, **changes):
    """A patch for the victim at `path`; `changes` replace members of the manifest."""
    address, size, code = original(path)
    manifest = {
        "schema": "suture-patch-1", "id": "SUT-TEST-1", "level": 1, "title": "the answer is 2",
        "created": "2026-11-25T08:00:00Z", "source": {"package": "answer", "version": "1.0-1"},
        "cves": [{"id": "CVE-2026-0001", "reach": "remote"}], "fixes": [], "supersedes": [],
        "targets": [{
            "build_id": re.search(r"Build ID: (\w+)", tool("readelf", "-n", path))[1],
            "module": "answer", "pinned": False, "sections": [".text.answer"],
            "functions": [{"name": "answer", "address": address, "size": size,
                           "sha256": hashlib.sha256(code).hexdigest(), "symbol": "answer",
                           "consistency": "strict", "cold": []}],
            "symbols": [],
        }],
    }
    manifest.update(changes)
    patch = os.path.join(folder, "%s.%d.spatch" % (manifest["id"], manifest["level"]))
    json_file = os.path.join(folder, "manifest.json")
    with open(json_file, "w", encoding="utf-8") as file:
        json.dump(manifest, file)
    tool("gcc", *FLAGS, "-DFIXED", "-c", os.path.join(HERE, "answer.c"), "-o", patch)
    tool("objcopy", "--add-section", ".suture.manifest=" + json_file, patch)
    return patch


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Victim:
    """The running process."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        assert self.ask() == "1"
        self.pid = self.process.pid

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def ask(self):
        self.type("?\n")
        return self.process.stdout.readline().strip()

    def enter(self):
        """It goes into the function and waits there."""
        self.type("w\n")
        while not self.is_reading():
            time.sleep(0.001)

    def is_reading(self):
        # 0 is read(2); the pipe is empty once the line was taken
        with open("/proc/%d/syscall" % self.pid, encoding="ascii") as file:
            waits = file.read().startswith("0 ")
        left = fcntl.ioctl(self.process.stdin, termios.FIONREAD, b"\0\0\0\0")
        return waits and left == b"\0\0\0\0"

    def n_stops(self):
        """How often it was taken off the CPU: every stop by a tracer counts."""
        with open("/proc/%d/status" % self.pid, encoding="ascii") as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])

    def leave(self):
        self.type("x")
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
