#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets that fork, exec, spawn and end at any moment, and processes that share their memory."""
import pathlib
import sys
import time

from harness import (LEVEL_1, VULNERABLE, Footprint, Victim, apply, check, equal, main, mode_patch,
                     must, records, rollback, round_trip, status, suture, test, wait_for)

PATCH = 'victim-lib'


def children(pid):
    return [int(word) for word in
            pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def becomes(victim, answer):
    """Those that were forked before the change end by and by."""
    wait_for(lambda: victim.ask() == {answer}, f'all children answer {answer}')
    victim.sound()


@test
def a_fork_server_hands_its_patch_on():
    with Victim('victim-lib', 'fork-server') as victim:
        for _ in range(3):
            must(apply(mode_patch(PATCH), victim), 0, ['done'])
            becomes(victim, LEVEL_1)
            must(rollback(victim), 0, ['done'])
            becomes(victim, VULNERABLE)


@test
def a_child_carries_the_record_and_can_be_rolled_back():
    with Victim('victim-lib', 'prefork', 3) as victim:
        everyone = [victim.pid, *children(victim.pid)]
        equal(len(everyone), 4, 'processes')
        must(apply(mode_patch(PATCH), *everyone), 0, ['done'])
        victim.says(LEVEL_1)
        for pid in everyone:
            check(any(record['state'] == 'active' for record in records(pid)), f'no record in {pid}')
        must(rollback(*everyone), 0, ['done'])
        victim.says(VULNERABLE)


@test
def one_of_a_tree_can_be_patched_alone():
    with Victim('victim-lib', 'prefork', 2) as victim:
        child = children(victim.pid)[0]
        must(apply(mode_patch(PATCH), child), 0, ['done'])
        equal(victim.ask(), {VULNERABLE, LEVEL_1}, 'answers')
        must(rollback(child), 0, ['done'])
        victim.says(VULNERABLE)


@test
def a_tree_is_all_or_nothing():
    with Victim('victim-lib', 'family') as victim:
        everyone = [victim.pid, *children(victim.pid)]
        before = [Footprint(pid) for pid in everyone]
        result = apply(mode_patch(PATCH), *everyone)
        check(result.code not in (0, 12), f'the child has no room: {result.told()}')
        check('done' not in result.results(), result.told())
        victim.says(VULNERABLE)
        for footprint in before:
            footprint.check_restored()


@test
def a_parent_that_forks_and_execs_all_the_time():
    with Victim('victim-lib', 'exec-storm') as victim:
        for _ in range(10):
            must(apply(mode_patch(PATCH), victim, wait=20), 0, ['done'])
            wait_for(lambda: victim.slots()[0][2] & 3 == LEVEL_1, 'the parent answers as fixed')
            must(rollback(victim, wait=20), 0, ['done'])
            wait_for(lambda: victim.slots()[0][2] & 3 == VULNERABLE, 'the parent is as before')
            victim.sound()


@test
def a_process_that_becomes_another_program():
    with Victim('victim-lib', 'exec-self') as victim:
        for _ in range(40):
            result = apply(mode_patch(PATCH), victim, wait=1)
            check(result.code >= 0, f'killed by signal {-result.code}')
            check(result.code in (0, 1, 4), result.told())
            check(set(result.results()) <= {'done', 'gone', 'unchanged'}, result.told())
            # What was patched is forgotten with the next exec.
            wait_for(lambda: victim.slots()[0][2] & 3 == VULNERABLE, 'the new program answers')
            victim.sound()


@test
def a_process_that_ends_meanwhile():
    n_gone = 0
    for i in range(30):
        with Victim('victim-lib', 'mortal', i % 10) as victim:
            victim.release()
            result = apply(mode_patch(PATCH), victim, wait=1)
            check(result.code >= 0, f'killed by signal {-result.code}')
            check(result.code in (0, 1, 4), result.told())
            check(set(result.results()) <= {'done', 'gone'}, result.told())
            n_gone += result.results() != ['done']
            wait_for(victim.ended, 'the end of the victim')
            equal(victim.process.returncode, 0, 'how the victim ended')
    check(n_gone > 0, 'none ended early enough to be a test')


@test
def a_process_that_is_killed_meanwhile():
    for i in range(30):
        with Victim('victim-lib', 'threads', 8) as victim:
            from threading import Timer
            timer = Timer(i % 10 / 1000, victim.process.kill)
            timer.start()
            result = apply(mode_patch(PATCH), victim, wait=1)
            check(result.code in (0, 1, 4), result.told())
            check(set(result.results()) <= {'done', 'gone'}, result.told())
            timer.join()
            wait_for(victim.ended, 'the end of the victim')


@test
def a_process_that_spawns_all_the_time():
    with Victim('victim-lib', 'vfork') as victim:
        for _ in range(10):
            # Each spawn has a stack of its own for a moment.
            round_trip(victim, mode_patch(PATCH), wait=20, footprint=False)


@test
def a_parent_that_waits_for_its_vfork_child():
    with Victim('victim-lib', 'vfork-slow') as victim:
        for _ in range(3):
            round_trip(victim, mode_patch(PATCH), wait=30)


@test
def two_processes_that_share_their_memory():
    with Victim('victim-lib', 'vm-sibling') as victim:
        for _ in range(5):
            round_trip(victim, mode_patch(PATCH), wait=20)
        sibling = children(victim.pid)[0]
        must(apply(mode_patch(PATCH), sibling, wait=20), 0, ['done'])
        victim.says(LEVEL_1)
        must(rollback(sibling, wait=20), 0, ['done'])
        victim.says(VULNERABLE)


@test
def the_record_survives_and_tells_the_same_to_all():
    with Victim('victim-lib', 'plain') as victim:
        must(apply(mode_patch(PATCH), victim), 0, ['done'])
        # From another place, with no home, no cache, nothing of ours but the program itself.
        bare = suture('status', '--json', '--pid', victim.pid,
                      prefix=['env', '-i', '-C', '/', 'unshare', '-m', 'sh', '-c',
                              'mount -t tmpfs none /var/cache && mount -t tmpfs none /run && '
                              'exec "$@"', 'sh'])
        equal(bare.code, 0, f'status ({bare.told()})')
        equal(bare.items, status(victim).items, 'what status says')
        time.sleep(0.1)
        victim.says(LEVEL_1)


if __name__ == '__main__':
    sys.exit(main())
