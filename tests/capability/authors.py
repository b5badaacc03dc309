#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What suture/patch.h gives to the author of a patch: shadow variables, hooks, and functions that may
change for their next call."""
import sys

from harness import (LEVEL_1, VULNERABLE, Footprint, Victim, apply, check, equal, main, must,
                     patch_path, records, rollback, test, wait_for)


@test
def shadow_variables_belong_to_their_object():
    with Victim('case-shadow') as victim:
        for _ in range(3):
            must(apply(patch_path('case-shadow'), victim), 0, ['done'])
            victim.says(LEVEL_1)
            count = victim.figure(0)
            check(count >= 2, f'the shadow variable holds {count}')
            victim.says(LEVEL_1)
            check(victim.figure(0) > count, 'the shadow variable does not last')
            must(rollback(victim), 0, ['done'])
            victim.says(VULNERABLE)
            equal(victim.figure(0), 0, 'the count in the old code')


@test
def shadow_variables_are_forgotten_by_the_undo_hook():
    with Victim('case-shadow') as victim:
        must(apply(patch_path('case-shadow'), victim), 0, ['done'])
        wait_for(lambda: victim.figure(0) > 100, 'the count')
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)
        must(apply(patch_path('case-shadow'), victim), 0, ['done'])
        victim.says(LEVEL_1)
        check(victim.figure(0) < 100, f'the count began at {victim.figure(0)}')


@test
def shadow_variables_last_over_levels():
    with Victim('case-shadow') as victim:
        must(apply(patch_path('case-shadow', 1), victim), 0, ['done'])
        wait_for(lambda: victim.figure(0) > 100, 'the count')
        count = victim.figure(0)
        must(apply(patch_path('case-shadow', 2), victim), 0, ['done'])
        victim.says(LEVEL_1)
        check(victim.figure(0) > count, f'the count began anew: {victim.figure(0)}')
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)


def hooks(victim):
    """(runs of pre, runs of post, runs of undo, scale)"""
    victim.ask()
    return tuple(victim.figure(i) for i in range(4))


@test
def hooks_run_once_each_and_in_time():
    with Victim('case-hooks') as victim:
        equal(hooks(victim), (0, 0, 0, 1), 'runs before')
        must(apply(patch_path('case-hooks'), victim), 0, ['done'])
        equal(hooks(victim), (1, 1, 0, 10), 'runs after apply')
        victim.says(LEVEL_1)
        must(apply(patch_path('case-hooks'), victim), 0, ['unchanged'])
        equal(hooks(victim), (1, 1, 0, 10), 'runs after an apply that changes nothing')
        must(rollback(victim), 0, ['done'])
        equal(hooks(victim), (1, 1, 1, 1), 'runs after rollback')
        victim.says(VULNERABLE)
        must(apply(patch_path('case-hooks'), victim), 0, ['done'])
        equal(hooks(victim), (2, 2, 1, 10), 'runs after a second apply')
        victim.says(LEVEL_1)


@test
def a_pre_hook_can_refuse():
    with Victim('case-hooks') as victim:
        before = Footprint(victim)
        victim.release()
        victim.ask()
        result = apply(patch_path('case-hooks'), victim)
        check(result.code in (1, 4), result.told())
        check('done' not in result.results(), result.told())
        check('hook' in result.told(), f'the hook is not named: {result.told()}')
        pre, post, undo, scale = hooks(victim)
        equal((pre, post, scale), (1, 0, 1), f'runs of pre and post, scale (undo: {undo})')
        victim.says(VULNERABLE)
        before.check_restored()
        victim.release(0)
        victim.ask()
        must(apply(patch_path('case-hooks'), victim), 0, ['done'])
        victim.says(LEVEL_1)


@test
def a_function_that_is_always_on_a_stack_may_change_for_its_next_call():
    with Victim('case-event-loop') as victim:
        before = Footprint(victim)
        for _ in range(3):
            must(apply(patch_path('case-event-loop-entry'), victim), 0, ['done'])
            victim.says(LEVEL_1)
            before.check_maps()
            must(rollback(victim), 0, ['done'])
            victim.says(VULNERABLE)
            # Calls under way may still be in the new code, so it stays, and is accounted for.
            before.check_restored()
            check(all(record['state'] == 'retired' for record in records(victim)), 'active records')


if __name__ == '__main__':
    sys.exit(main())
