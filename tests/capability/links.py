#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The patched code as part of a PIE program, of a non-PIE program, a stripped one, a library; and the
levels of a patch, one after the other."""
import os
import shutil
import sys

from harness import (LEVEL_1, LEVEL_2, VICTIMS, VULNERABLE, Footprint, Victim, apply, check, each,
                     equal, main, mode_patch, must, records, rollback, round_trip, test)

PROGRAMS = ['victim-pie', 'victim-nopie', 'victim-stripped', 'victim-lib']


@each(PROGRAMS, '{}: there and back')
def there_and_back(program):
    with Victim(program, 'plain') as victim:
        round_trip(victim, mode_patch(program))


@each(PROGRAMS, '{}: three times')
def three_times(program):
    with Victim(program, 'loop') as victim:
        for _ in range(3):
            round_trip(victim, mode_patch(program))


@each(['victim-pie', 'victim-nopie', 'victim-lib'], '{}: levels')
def levels(program):
    with Victim(program, 'plain') as victim:
        before = Footprint(victim)
        must(apply(mode_patch(program, 1), victim), 0, ['done'])
        victim.says(LEVEL_1)
        must(apply(mode_patch(program, 2), victim), 0, ['done'])
        victim.says(LEVEL_2)
        before.check_maps()
        active = [record for record in records(victim) if record['state'] == 'active']
        equal([record['level'] for record in active], [2], 'active levels')
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)
        before.check_restored()


@test
def a_repeated_apply_changes_nothing():
    with Victim('victim-lib', 'plain') as victim:
        must(apply(mode_patch('victim-lib'), victim), 0, ['done'])
        record = records(victim)
        must(apply(mode_patch('victim-lib'), victim), 0, ['unchanged'])
        equal(records(victim), record, 'the record')
        victim.says(LEVEL_1)


@test
def a_rollback_of_nothing_is_no_fault():
    with Victim('victim-lib', 'plain') as victim:
        result = rollback(victim)
        check(result.code in (0, 1), result.told())
        victim.says(VULNERABLE)
        must(apply(mode_patch('victim-lib'), victim), 0, ['done'])
        must(rollback(victim), 0, ['done'])
        result = rollback(victim)
        check(result.code in (0, 1), result.told())
        victim.says(VULNERABLE)


@test
def a_lower_level_does_not_replace_a_higher():
    with Victim('victim-lib', 'plain') as victim:
        must(apply(mode_patch('victim-lib', 2), victim), 0, ['done'])
        result = apply(mode_patch('victim-lib', 1), victim)
        check('done' not in result.results(), result.told())
        victim.says(LEVEL_2)


@test
def thirty_applies_do_not_pile_up():
    with Victim('victim-lib', 'loop') as victim:
        before = Footprint(victim)
        for _ in range(30):
            must(apply(mode_patch('victim-lib', 1), victim), 0, ['done'])
            must(apply(mode_patch('victim-lib', 2), victim), 0, ['done'])
            must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)
        before.check_restored()


@test
def a_deleted_program():
    with Victim('victim-pie', 'plain') as model:
        path = os.path.join(model.folder, 'program')
        shutil.copy(VICTIMS / 'victim-pie', path)
        with Victim(path, 'plain') as victim:
            os.unlink(path)
            round_trip(victim, mode_patch('victim-pie'))


@test
def a_replaced_library():
    with Victim('victim-pie', 'plain') as model:
        for name in ('victim-lib', 'libsubject.so'):
            shutil.copy(VICTIMS / name, model.folder)
        library = os.path.join(model.folder, 'libsubject.so')
        with Victim(os.path.join(model.folder, 'victim-lib'), 'plain') as victim:
            # Replaced as a package manager does: another file of the same name.
            with open(library + '.new', 'wb') as file:
                file.write(b'another build')
            os.rename(library + '.new', library)
            round_trip(victim, mode_patch('victim-lib'))


@test
def an_interposed_symbol_keeps_its_meaning():
    with Victim('victim-lib', 'plain', env={'LD_PRELOAD': str(VICTIMS / 'libseen.so')}) as victim:
        victim.says(VULNERABLE)
        check(victim.figure(2) > 0, 'the interposed function is not called to begin with')
        must(apply(mode_patch('victim-lib'), victim), 0, ['done'])
        seen = victim.figure(2)
        victim.says(LEVEL_1)
        check(victim.figure(2) > seen, 'new code does not call the interposed function')
        equal(victim.figure(1), 0, 'calls of the function that is interposed')
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)


if __name__ == '__main__':
    sys.exit(main())
