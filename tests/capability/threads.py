#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Many threads, busy or asleep; threads that come while we stop the others; a first thread that is gone."""
import sys

from harness import Victim, each, main, mode_patch, round_trip, test


@each([1, 2, 16, 64, 256], '{} busy threads')
def busy(count):
    with Victim('victim-lib', 'threads', count) as victim:
        round_trip(victim, mode_patch('victim-lib'), wait=30)


@each([16, 64, 256], '{} threads that work and wait')
def working(count):
    with Victim('victim-lib', 'workers', count) as victim:
        for _ in range(3):
            round_trip(victim, mode_patch('victim-lib'), wait=30)


@each([16, 256, 1000], '{} sleeping threads')
def sleeping(count):
    with Victim('victim-lib', 'idle', count) as victim:
        for _ in range(3):
            round_trip(victim, mode_patch('victim-lib'))


@test
def threads_that_come_and_go():
    with Victim('victim-lib', 'thread-storm', 3) as victim:
        for _ in range(5):
            round_trip(victim, mode_patch('victim-lib'), footprint=False, wait=30)


@test
def a_process_whose_first_thread_has_ended():
    with Victim('victim-lib', 'leaderless') as victim:
        # The mappings of such a process can't be read through its own number.
        round_trip(victim, mode_patch('victim-lib'), footprint=False)


if __name__ == '__main__':
    sys.exit(main())
