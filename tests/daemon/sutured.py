# SPDX-License-Identifier: GPL-2.0-or-later
"""A sutured of a test's own, in a scratch folder, and a varlink client.
    SUTURED  the program under test
    PROBE    what makes its HTTP and TCP checks
"""
import array
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'capability'))
import harness                                                   # noqa: E402
from harness import VICTIMS, check, wait_for                     # noqa: E402

SUTURED = os.environ.get('SUTURED', 'sutured')
PROBE = os.environ.get('PROBE', 'suture-health-probe')
NAME = 'org.suture.Daemon.'
WATCHED = ['once-pie', 'once-nopie', 'once-static', 'once-static-pie', 'libsubject.so',
           'victim-pie', 'victim-nopie', 'server']


class CallFailed(Exception):
    def __init__(self, error, parameters):
        super().__init__(f'{error} {parameters}')
        self.error, self.parameters = error, parameters


class Client:
    """Speaks varlink: JSON objects that end with NUL."""

    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.rest = b''

    def send(self, method, parameters=None, fd=None, more=False):
        call = {'method': method if method.startswith('org.') else NAME + method,
                'parameters': parameters or {}}
        if more:
            call['more'] = True
        data = json.dumps(call).encode() + b'\0'
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                         array.array('i', [fd]))]
        self.socket.sendmsg([data], rights)

    def receive(self):
        while b'\0' not in self.rest:
            data = self.socket.recv(65536)
            check(data, 'sutured closed the connection')
            self.rest += data
        text, self.rest = self.rest.split(b'\0', 1)
        reply = json.loads(text)
        if 'error' in reply:
            raise CallFailed(reply['error'], reply.get('parameters'))
        return reply['parameters']

    def call(self, method, parameters=None, fd=None):
        self.send(method, parameters, fd)
        return self.receive()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Daemon:
    """A folder with all that a sutured needs; start() and stop() as often as wanted."""

    def __init__(self, policy=''):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='sutured-'))
        self.folder.chmod(0o755)
        self.store, self.log = self.folder / 'state/patches', self.folder / 'log/audit.jsonl'
        self.socket, self.config = str(self.folder / 'socket'), self.folder / 'suture.conf'
        self.config.write_text(policy)
        self.process = None

    def start(self, ready=True, env=None):
        command = [SUTURED, '--store', self.store, '--config', self.config, '--socket',
                   self.socket, '--log', self.log, '--probe', PROBE]
        for name in WATCHED:
            command += ['--watch', VICTIMS / name]
        began = self.count('watching')
        self.process = subprocess.Popen([str(part) for part in command],
                                        env={**os.environ, **(env or {})},
                                        preexec_fn=harness.die_with_parent)
        if ready:
            wait_for(lambda: self.process.poll() is None and self.count('watching') > began,
                     'sutured watches')
        return self

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=30)

    def events(self):
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in self.log.read_text().splitlines()]
        return []

    def said(self, event):
        return [entry for entry in self.events() if entry['event'] == event]

    def count(self, event):
        return len(self.said(event))

    def client(self):
        return Client(self.socket)

    def call(self, method, parameters=None, fd=None):
        with self.client() as client:
            return client.call(method, parameters, fd)

    def apply(self, path, **parameters):
        with open(path, 'rb') as file:
            return self.call('Apply', {'digest': harness.digest(path), **parameters},
                             file.fileno())

    def settle(self):
        """Until the guard watches what the store holds now."""
        wait_for(lambda: self.call('Status')['guard'] != 'starting', 'the guard is ready')

    def memory_kb(self):
        for line in pathlib.Path(f'/proc/{self.process.pid}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1])
        return 0

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def once(name='once-pie'):
    """What a program says of itself that starts now."""
    return subprocess.run([str(VICTIMS / name)], capture_output=True, text=True, timeout=30,
                          check=False).stdout.strip()


def suture(daemon, *arguments):
    """The command line, which finds this daemon and its store."""
    return harness.suture(*arguments, env={'SUTURE_SOCKET': daemon.socket,
                                           'SUTURE_STORE': str(daemon.store)})
