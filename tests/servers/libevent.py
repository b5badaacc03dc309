#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The libevent that Debian shipped, in transmission-daemon and memcached, against CVE-2026-63382.

The probe is a request to transmission with both Content-Length and Transfer-Encoding: chunked. The
vulnerable library reads it as it likes and the server answers 409 (it wants a session ID); the fixed
one refuses it with 400."""
import socket
import sys

from servers import main, story, test

REQUEST = (b'POST /transmission/rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n'
           b'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n')


def two_lengths(server):
    with socket.create_connection(('127.0.0.1', server.ports['transmission']), timeout=10) as peer:
        peer.sendall(REQUEST)
        return int(peer.makefile('rb').readline().split()[1])


@test
def servers_on_libevent_refuse_contradicting_lengths_once_patched():
    story('libevent', two_lengths, 409, 400, driver='transmission')


if __name__ == '__main__':
    sys.exit(main())
