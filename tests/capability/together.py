#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several sutures at once on the same target: each does its work whole, or says that it could not."""
import random
import sys
import threading

from harness import (LEVEL_1, VULNERABLE, Victim, apply, check, main, mode_patch, must, rollback, test)

ROUNDS, WORKERS = 12, 4


def work(victim, patch, seed, found):
    choose = random.Random(seed)
    for _ in range(ROUNDS):
        result = apply(patch, victim) if choose.random() < 0.5 else rollback(victim)
        found.append((result.code, result.told()))


@test
def several_at_once_leave_a_whole_target():
    patch = mode_patch('victim-lib')
    with Victim('victim-lib', 'loop') as victim:
        found = []
        workers = [threading.Thread(target=work, args=(victim, patch, seed, found))
                   for seed in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        # Whoever came second is told so; the work itself is never half done.
        for code, told in found:
            check(code == 0 or 'another suture' in told, f'exit code {code}: {told}')
        check(any(code == 0 for code, _ in found), 'nobody could do anything')
        victim.sound()
        must(apply(patch, victim), 0)
        victim.says(LEVEL_1)
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)


if __name__ == '__main__':
    sys.exit(main())
