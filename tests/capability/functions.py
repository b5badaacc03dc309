#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Awkward functions: how they begin, how they are reached, and where a thread is when they change."""
import sys
import time

from harness import (LEVEL_1, VICTIMS, VULNERABLE, Footprint, Victim, apply, check, each, equal,
                     main, must, patch_path, refusal, rollback, round_trip, suture, test)

PLAIN = ['case-short', 'case-branch-in', 'case-relative', 'case-pointer', 'case-tail', 'case-ifunc',
         'case-longjmp', 'case-urgent', 'case-added-data', 'case-thread-local', 'case-classes']
HELD = {'case-recursion': 'subject_depth', 'case-coroutine': 'subject_suspend',
        'case-alternate-stack': 'subject_handle', 'case-cold': 'subject_split',
        'case-callee': 'subject_caller'}


@each(PLAIN, '{}')
def plain(case):
    with Victim(case) as victim:
        for _ in range(3):
            round_trip(victim, patch_path(case))


@each(sorted(HELD), '{}: busy while held, then patched')
def held(case):
    with Victim(case) as victim:
        before = Footprint(victim)
        check(victim.held, 'nothing is held')
        result = apply(patch_path(case), victim, wait=1)
        equal(result.code, 1, f'exit code ({result.told()})')
        equal(result.results(), ['busy'], result.told())
        check(HELD[case] in result.told() or case == 'case-coroutine',
              f'the function is not named: {result.told()}')
        victim.says(VULNERABLE)
        before.check_restored()
        victim.release()
        must(apply(patch_path(case), victim), 0, ['done'])
        victim.says(LEVEL_1)
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)
        before.check_restored()


@each(['case-recursion', 'case-alternate-stack', 'case-cold', 'case-callee'],
      '{}: patched as soon as it is let go')
def let_go(case):
    from threading import Timer
    with Victim(case) as victim:
        timer = Timer(0.4, victim.release)
        timer.start()
        result = must(apply(patch_path(case), victim, wait=20), 0, ['done'])
        check(result.took_s > 0.35, f'done in {result.took_s:.2f} s, while the function was held')
        timer.join()
        victim.says(LEVEL_1)


@test
def case_callee_busy_in_its_moved_instructions():
    with Victim('case-callee') as victim:
        before = Footprint(victim)
        victim.release()
        must(apply(patch_path('case-callee'), victim), 0, ['done'])
        # Held again, now below the new code: it must not be taken away under a thread.
        victim.release(0)
        time.sleep(0.1)
        check(victim.held, 'not held again')
        result = rollback(victim, wait=1)
        equal(result.results(), ['busy'], result.told())
        victim.says(LEVEL_1)
        victim.release()
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)
        time.sleep(0.1)
        victim.says(VULNERABLE)
        before.check_restored()


@test
def case_event_loop_is_busy_for_ever():
    with Victim('case-event-loop') as victim:
        before = Footprint(victim)
        result = apply(patch_path('case-event-loop'), victim, wait=1)
        equal(result.results(), ['busy'], result.told())
        check('subject_serve' in result.told(), f'the function is not named: {result.told()}')
        victim.says(VULNERABLE)
        before.check_restored()


@each(['case-tight', 'case-branch-in-pair'], '{}: refused')
def refused(case):
    path = VICTIMS / f'{case}.1.spatch'
    if not path.exists():
        # Refused when it was made: with a code that can be explained.
        text = refusal(case)
        codes = [word.strip(':,.()') for word in text.split() if word.startswith('SB')]
        check(codes, f'refused without a code: {text}')
        equal(suture('explain', codes[0]).code, 0, f'suture explain {codes[0]}')
        return
    with Victim(case) as victim:
        before = Footprint(victim)
        result = apply(path, victim, wait=1)
        check(result.code in (1, 4), result.told())
        check('done' not in result.results(), result.told())
        victim.says(VULNERABLE)
        before.check_restored()


if __name__ == '__main__':
    sys.exit(main())
