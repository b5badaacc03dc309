#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unwinding through patched functions: exceptions, cancellation, backtraces, inside the process and
from outside. The victims check each round themselves that it works, whatever they run."""
import sys

from harness import (LEVEL_1, VULNERABLE, Footprint, Victim, apply, check, each, main, must,
                     patch_path, rollback, round_trip, test, wait_for)

CASES = ['case-exceptions', 'case-backtrace', 'case-libunwind', 'case-cancel']


@each(CASES, '{}: before, patched, after')
def cases(case):
    with Victim(case) as victim:
        for _ in range(3):
            # threads of case-cancel map arenas of their own
            round_trip(victim, patch_path(case), footprint=case != 'case-cancel')


@test
def a_thread_that_always_throws():
    """Patched and rolled back a hundred times while it does nothing else."""
    with Victim('case-throwing') as victim:
        patch = patch_path('case-throwing')
        before = Footprint(victim)
        for _ in range(100):
            thrown = victim.figure(0)
            must(apply(patch, victim, wait=20), 0, ['done'])
            victim.says(LEVEL_1)
            must(rollback(victim, wait=20), 0, ['done'])
            victim.says(VULNERABLE)
            wait_for(lambda thrown=thrown: victim.figure(0) > thrown, 'exceptions are thrown')
        before.check_restored()


if __name__ == '__main__':
    sys.exit(main())
