#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The libevent that Debian shipped, in transmission-daemon and memcached, against CVE-2026-63382.

The probe is a request to transmission with both Content-Length and Transfer-Encoding: chunked. The
vulnerable library reads it as it likes and the server answers 409 (it wants a session ID); the fixed
one refuses it with 400.

The fix of CVE-2026-63385 came with a test in libevent's own suite (regress): a header that goes on in
the next line is to be refused. The suite, linked with the vulnerable shared library, fails; patched
while it runs (it is held at its start until that is done), it passes."""
import os
import socket
import subprocess
import sys
import tempfile

from servers import CACHE, apply, check, die_with_parent, inputs, main, must, story, test

HOLD = '''
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void hold(void)
{
        while (getenv("HOLD") && access(getenv("HOLD"), F_OK))
                usleep(10000);
}
'''

REQUEST = (b'POST /transmission/rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n'
           b'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n')


def two_lengths(server):
    with socket.create_connection(('127.0.0.1', server.ports['transmission']), timeout=10) as peer:
        peer.sendall(REQUEST)
        return int(peer.makefile('rb').readline().split()[1])


@test
def servers_on_libevent_refuse_contradicting_lengths_once_patched():
    story('libevent', two_lengths, 409, 400, driver='transmission')


def regress(patch=None):
    """(exit code, what it says) of the tests of headers and of some others."""
    root, _ = inputs('libevent')
    with tempfile.TemporaryDirectory() as folder:
        hold, go = os.path.join(folder, 'hold.so'), os.path.join(folder, 'go')
        subprocess.run(['gcc', '-shared', '-fPIC', '-x', 'c', '-o', hold, '-'], input=HOLD.encode(),
                       check=True)
        process = subprocess.Popen(
            [CACHE / 'libevent' / 'regress', 'http/bad_headers', 'http/basic', 'http/chunk_out',
             'evbuffer/add_reference'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=die_with_parent, stdin=subprocess.DEVNULL,
            env={'LD_LIBRARY_PATH': str(root / 'usr/lib/x86_64-linux-gnu'), 'LD_PRELOAD': hold,
                 'HOLD': go})
        try:
            if patch:
                must(apply(patch, process, wait=30), 0, ['done'])
            with open(go, 'w', encoding='utf-8'):
                pass
            told = process.communicate(timeout=120)[0]
        finally:
            process.kill()
        return process.returncode, told


@test
def the_test_of_a_fix_in_regress_passes_in_a_patched_process():
    code, told = regress()
    check(code != 0 and '[bad_headers FAILED]' in told and '1/4 TESTS FAILED' in told, told)
    code, told = regress(CACHE / 'libevent' / 'regress.spatch')
    check(code == 0 and 'http/bad_headers: OK' in told, told)


if __name__ == '__main__':
    sys.exit(main())
