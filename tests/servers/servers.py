# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of real servers share: the server at work, and the story that each of them tells.

A server is started by its driver (tests/corpus/drivers), which asks it all the time and checks every
answer; the probe goes beside that, over a connection of its own. What a test needs was made by
tools/servers:
    SUTURE                 the program under test
    SUTURE_SERVERS_CACHE   a folder NAME/ for each server: root/ (the vulnerable programs), fix.spatch
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / 'capability'), str(TESTS / 'corpus' / 'drivers')]

# pylint: disable=wrong-import-position
from harness import (SUTURE, apply, check, die_with_parent, digest, equal, must, records,  # noqa: E402
                     rollback, run_tests, test, wait_for)
from common import driver_module  # noqa: E402

__all__ = ['CACHE', 'Server', 'apply', 'check', 'die_with_parent', 'digest', 'driver_module', 'equal',
           'inputs', 'main', 'must', 'story', 'suture_path', 'test']

DRIVERS = TESTS / 'corpus' / 'drivers'
CACHE = pathlib.Path(os.environ.get('SUTURE_SERVERS_CACHE', '/nonexistent'))
# What the clients count between two steps of a story: many rounds of all that the drivers ask.
GROWTH = 300


def inputs(name):
    """The folder and the patch of a server; a test without its subject fails."""
    root, patch = CACHE / name / 'root', CACHE / name / 'fix.spatch'
    check(root.is_dir() and patch.is_file(), f'{CACHE / name} is not made: run tools/servers')
    return root, patch


def suture_path():
    """The program under test, for those who call it from another folder."""
    return os.path.abspath(shutil.which(SUTURE) or SUTURE)


def birth(pid):
    """When the process was started: the same PID could be another process."""
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split()[19]


class Server:
    """A server at work. It fails as soon as its driver has seen a wrong answer."""

    def __init__(self, name, root):
        self.name, self.ports, self.count, self.pids, self.said = name, {}, 0, [], []
        self.files = {path: digest(path) for path in root.rglob('*')
                      if path.is_file() and not path.is_symlink() and os.access(path, os.X_OK)}
        self.process = subprocess.Popen([str(DRIVERS / name), 'start', str(root)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True,
                                        preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        try:
            wait_for(lambda: self.count or self.process.poll() is not None, f'{name} is ready', 60)
            self.sound()
            self.births = {pid: birth(pid) for pid in self.pids}
        except BaseException:
            self.close()
            raise

    def read(self):
        for line in self.process.stdout:
            if re.fullmatch(r'ok \d+\n', line):
                self.count = int(line[3:])
            elif line.startswith('listens '):
                _, what, port = line.split()
                self.ports[what] = int(port)
            elif not self.pids and re.fullmatch(r'[\d ]+\n', line):
                self.pids = [int(word) for word in line.split()]
            else:
                self.said.append(line.strip())

    def sound(self):
        check(self.process.poll() is None, f'{self.name}: {" ".join(self.said) or "driver ended"}')

    def works(self):
        """Many more right answers, no wrong one, and still the same processes and files."""
        until = self.count + GROWTH
        wait_for(lambda: self.count >= until or self.process.poll() is not None,
                 f'{self.name}: {GROWTH} more answers', 60)
        self.sound()
        equal({pid: birth(pid) for pid in self.pids}, self.births, 'processes and start times')
        equal({path: digest(path) for path in self.files}, self.files, 'files on disk')

    def states(self):
        """What `suture status` says of each process."""
        return {record['state'] for pid in self.pids for record in records(pid)}

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def story(name, probe, vulnerable, fixed, driver=None):
    """Ask, patch, ask again, take the patch back, ask again, patch again: while traffic runs.
    `probe(server)` gives one answer, or a list of them (one from each process)."""
    root, patch = inputs(name)
    with Server(driver or name, root) as server:
        server.works()
        equal(probe(server), vulnerable, 'the probe before the patch')
        for turn in ('first', 'second'):
            must(apply(patch, *server.pids, wait=30), 0, ['done'])
            equal(probe(server), fixed, f'the probe after the patch, {turn} time')
            server.works()
            equal(probe(server), fixed, f'the probe a little later, {turn} time')
            equal(server.states(), {'active'}, f'suture status, {turn} time')
            must(rollback(*server.pids, wait=30), 0, ['done'])
            equal(probe(server), vulnerable, f'the probe after the rollback, {turn} time')
            server.works()
        must(apply(patch, *server.pids, wait=30), 0, ['done'])
        equal(probe(server), fixed, 'the probe at the end')
        server.works()


def main():
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended by SIGTERM'))
    if os.geteuid() != 0:
        print('Bail out! root is needed')
        return 1
    return run_tests()
