#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""nginx with several workers against CVE-2026-42945: what `set` captures is escaped behind a rewrite.

Debian's source without that one fix, built as Debian builds it. The probe asks for a path with a
blank, in a location that rewrites to a target with arguments and then captures $1. The vulnerable
server escapes the blank, in a buffer that was made for less (two bytes; the request's memory holds
thousands more), and the answer is cut short; the fixed one gives the path as it is. Every worker is
asked, over connections of its own; nginx says in a header which one it was."""
import http.client
import pathlib
import sys
import time

from servers import check, main, story, test


def workers(server):
    return {pid for pid in server.pids
            if b'worker process' in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()}


def captured(server):
    """The answers of all workers: one, if they agree."""
    waiting, answers = workers(server), set()
    check(len(waiting) > 1, 'nginx has one worker only')
    end = time.monotonic() + 30
    while waiting:
        connection = http.client.HTTPConnection('127.0.0.1', server.ports['nginx'], timeout=10)
        connection.request('GET', '/re/a%20b')
        answer = connection.getresponse()
        answers.add((answer.status, answer.read()))
        waiting.discard(int(answer.headers['X-Worker']))
        connection.close()
        check(time.monotonic() < end, f'workers that never answer: {waiting}')
    return answers


@test
def all_workers_of_nginx_under_traffic_stop_escaping_once_patched():
    story('nginx', captured, {(200, b'/re/a%2')}, {(200, b'/re/a b')})


if __name__ == '__main__':
    sys.exit(main())
