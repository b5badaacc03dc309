#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""200 cycles of apply and rollback on servers that answer at full speed: no wrong and no lost answer.
SUTURE_TEST_CYCLES sets another number."""
import os
import sys

from harness import (LEVEL_1, VICTIMS, VULNERABLE, Footprint, apply, check, equal, main, must,
                     patch_path, rollback, test)
from memcached import Memcached, clock_calls, clock_patch

CYCLES = int(os.environ.get('SUTURE_TEST_CYCLES', 200))


def cycles(server, patch, proof):
    before = Footprint(server.pid)
    n_before = server.load.rounds()
    longest = 0
    for cycle in range(CYCLES):
        result = must(apply(patch, server.pid, wait=30), 0, ['done'])
        longest = max(longest, result.json['longest_pause_ns'])
        if cycle % 20 == 0:
            proof()
        result = must(rollback(server.pid, wait=30), 0, ['done'])
        longest = max(longest, result.json['longest_pause_ns'])
        server.sound()
    server.progress()
    before.check_restored()
    equal(server.load.errors(), (0, 0, 0, 0), 'wrong answers, -, -, lost answers')
    print(f'# {CYCLES} cycles, {server.load.rounds() - n_before} right answers, none wrong, none '
          f'lost; longest pause {longest / 1000:.0f} us, longest answer '
          f'{server.longest_answer_ms():.1f} ms')


@test
def memcached_at_full_speed():
    with Memcached() as server:
        def proof():
            before = clock_calls(server)
            server.progress()
            check(clock_calls(server) > before, 'the new code does not run')
        cycles(server, clock_patch(), proof)


@test
def a_server_whose_answers_depend_on_the_patched_code():
    with Memcached(program=str(VICTIMS / 'server')) as server:
        cycles(server, patch_path('subject'), lambda: server.server.says(LEVEL_1))
        server.server.says(VULNERABLE)


if __name__ == '__main__':
    sys.exit(main())
