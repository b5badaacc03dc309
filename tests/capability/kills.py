#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""suture killed at random moments, while it applies or rolls back: no target is ever harmed.

Half of the kills fall between 0 and 5 ms after suture's start, half anywhere in the time that the whole
of it takes. SUTURE_TEST_KILLS sets the number for all targets together."""
import os
import random
import subprocess
import sys
import time

from harness import (LEVEL_1, SUTURE, VULNERABLE, Footprint, Victim, apply, check, digest, each,
                     main, must, patch_path, pids, rollback)

TARGETS = ['loop', 'nanosleep', 'poll', 'epoll', 'futex']
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


def settle(victim):
    """Whatever was left behind, the next apply and the next rollback work."""
    result = apply(patch_path('subject'), victim)
    must(result, 0, ['done', 'unchanged'])
    victim.says(LEVEL_1)
    must(rollback(victim), 0, ['done'])
    victim.says(VULNERABLE)


@each(TARGETS, f'{KILLS} kills, target: {{}}')
def kills(mode):
    dice = random.Random(f'{mode}')
    patch = patch_path('subject')
    commands = [[SUTURE, 'apply', patch, '--digest', digest(patch), '--yes', '--json'],
                [SUTURE, 'rollback', '--yes', '--json']]
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
            victim.sound()
            if i % 25 == 24:
                check(victim.ask() <= {VULNERABLE, LEVEL_1}, 'an answer of neither')
                settle(victim)
        settle(victim)
        before.check_restored()
    check(n_hit > KILLS // 4, f'only {n_hit} of {KILLS} were killed before their end')
    print(f'# {mode}: {n_hit} of {KILLS} killed before their end (a whole run: {whole * 1e3:.1f} ms)')


if __name__ == '__main__':
    sys.exit(main())
