# SPDX-License-Identifier: GPL-2.0-or-later
"""A real memcached under load, and a patch for the libevent that it uses: a hand-written replacement
(tests/victims/libevent-clock.c) of a function that every turn of its event loops calls."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from harness import VICTIMS, Victim, check, die_with_parent, patch_path, records, wait_for


def find_program():
    for path in (os.environ.get('MEMCACHED'), shutil.which('memcached')):
        if path and os.access(path, os.X_OK):
            return path
    raise AssertionError('no memcached: install it, or name it with MEMCACHED')


class Memcached:
    """A server on a socket of its own, with a client that checks every answer."""

    def __init__(self, connections=4, program=None):
        self.folder = tempfile.mkdtemp(prefix='memcached-')
        self.socket = os.path.join(self.folder, 'socket')
        program = [program, self.socket] if program else [
            find_program(), '-s', self.socket, '-u', 'root', '-m', '64', '-t', '4']
        self.server = None
        if program[0] == str(VICTIMS / 'server'):
            self.server = Victim(*program)
            self.process = self.server.process
        else:
            self.process = subprocess.Popen(program, start_new_session=True,
                                            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.pid = self.process.pid
        self.load = None
        try:
            wait_for(lambda: os.path.exists(self.socket), 'memcached listens')
            wait_for(lambda: self.talk(b'get nothing\r\n') == b'END\r\n', 'memcached answers')
            self.load = Victim('load', self.socket, connections)
            wait_for(lambda: self.load.rounds() > 1000, 'the load')
        except BaseException:
            self.close()
            raise

    def talk(self, request):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            try:
                peer.connect(self.socket)
                peer.sendall(request)
                return peer.recv(4096)
            except OSError:
                return b''

    def sound(self):
        check(self.process.poll() is None, f'memcached ended ({self.process.returncode})')
        self.load.sound()
        if self.server:
            self.server.sound()

    def longest_answer_ms(self):
        return self.load.figure(0) / 1e6

    def progress(self, answers=200):
        before = self.load.rounds()
        wait_for(lambda: self.load.rounds() >= before + answers, 'further answers')
        self.sound()

    def close(self):
        if self.load:
            self.load.close()
        if self.server:
            self.server.close()
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def clock_patch():
    return patch_path('libevent-clock')


def clock_calls(server):
    """How often the new code ran: its counter is the first word of its own writable data."""
    for record in records(server.pid):
        for area in record['memory']:
            if record['state'] == 'active' and area['what'] == 'data':
                with open(f'/proc/{server.pid}/mem', 'rb') as memory:
                    memory.seek(int(area['address'], 16))
                    words = struct.unpack(f'<{area["size_bytes"] // 8}Q',
                                          memory.read(area['size_bytes'] // 8 * 8))
                    return max(words)
    return 0
