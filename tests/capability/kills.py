#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""suture killed at random moments, while it applies or rolls back: no target is ever harmed.

Half of the kills fall between 0 and 5 ms after suture's start, half anywhere in the time that the whole
of it takes. SUTURE_TEST_KILLS sets the number for all targets together.

One thing is counted and not held against suture: epoll_wait answers EINTR to any stop, as epoll_wait(2)
says it may, and when suture dies between a stop and its repair, nobody is left who could prevent that."""
import os
import random
import subprocess
import sys
import time

from harness import (LEVEL_1, SUTURE, VULNERABLE, Footprint, Victim, apply, check, digest, each,
                     main, must, patch_path, pids, rollback)

TARGETS = ['loop', 'nanosleep', 'poll', 'epoll', 'futex']
MAY_SEE_EINTR = {'epoll'}
KILLS = int(os.environ.get('SUTURE_TEST_KILLS', 2000)) // len(TARGETS)


def begin(command):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def wait_until(moment):
    left = moment - time.monotonic() - 0.0005
    if left > 0:
        time.sleep(left)
    while time.monotonic() < moment:
        pass


def settle(victim, eintr):
    """Whatever was left behind, the next apply and the next rollback work, and show no EINTR."""
    seen = victim.errors()[1]
    must(apply(patch_path('subject'), victim), 0, ['done', 'unchanged'])
    victim.says(LEVEL_1, eintr=eintr)
    must(rollback(victim), 0, ['done'])
    victim.says(VULNERABLE, eintr=eintr)
    check(victim.errors()[1] == seen, 'EINTR although nobody was killed')


@each(TARGETS, f'{KILLS} kills, target: {{}}')
def kills(mode):
    dice = random.Random(f'{mode}')
    patch = patch_path('subject')
    commands = [[SUTURE, 'apply', patch, '--digest', digest(patch), '--yes', '--json'],
                [SUTURE, 'rollback', '--yes', '--json']]
    eintr = KILLS if mode in MAY_SEE_EINTR else 0
    n_hit = 0
    with Victim('victim-lib', mode) as victim:
        before = Footprint(victim)
        whole = max(apply(patch, victim).took_s, rollback(victim).took_s)
        for i in range(KILLS):
            limit = 0.005 if i % 2 else max(whole, 0.005)
            process = begin([*map(str, commands[dice.randrange(2)]), *pids(victim)])
            wait_until(time.monotonic() + dice.uniform(0, limit))
            process.kill()
            n_hit += process.wait() < 0
            victim.sound(eintr)
            if i % 25 == 24:
                check(victim.ask() <= {VULNERABLE, LEVEL_1}, 'an answer of neither')
                settle(victim, eintr)
        settle(victim, eintr)
        before.check_restored()
        seen = victim.errors()[1]
    check(n_hit > KILLS // 4, f'only {n_hit} of {KILLS} were killed before their end')
    print(f'# {mode}: {n_hit} of {KILLS} killed before their end (a whole run: {whole * 1e3:.1f} ms), '
          f'{seen} EINTR seen')


if __name__ == '__main__':
    sys.exit(main())
