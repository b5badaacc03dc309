#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads that wait in the kernel go on waiting: no EINTR, no wait that is too short or too long."""
import sys

from harness import Victim, each, main, mode_patch, round_trip

MODES = ['nanosleep', 'clock-nanosleep', 'poll', 'ppoll', 'select', 'pselect', 'epoll',
         'epoll-pwait2', 'condition', 'futex', 'sigtimedwait', 'recv', 'semaphore', 'read',
         'read-signals', 'sigsuspend', 'ping-pong', 'wait']


@each(MODES, '{}')
def waiting(mode):
    with Victim('victim-lib', mode) as victim:
        for _ in range(4):
            round_trip(victim, mode_patch('victim-lib'))


if __name__ == '__main__':
    sys.exit(main())
