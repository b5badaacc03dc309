#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every step of an apply and of a rollback made to fail, and suture killed at every step, one after
the other until the operation completes. Needs a build with -Dfaults=true.

After each: the target answers rightly, the next apply and the next rollback succeed, and nothing is
mapped that `suture status` does not account for."""
import os
import sys

from harness import (LEVEL_1, VICTIMS, VULNERABLE, Failed, Footprint, Victim, apply, check, each,
                     equal, main, must, patch_path, rollback, status, wait_for)
from memcached import Memcached, clock_patch

MOST_STEPS = 5000
# The first steps are all taken; later ones, which repeat themselves with every thread, are sampled.
ALL_UP_TO = int(os.environ.get('SUTURE_TEST_ALL_STEPS', 40))


class Threads:
    """A victim of one process."""
    name, fix = 'subject', LEVEL_1

    def __init__(self, *command):
        self.victim = Victim(*command)
        self.pid = self.victim.pid
        self.patch = patch_path('subject')

    def says(self, answer):
        self.victim.says(answer)

    def sound(self):
        check(self.victim.ask() <= {VULNERABLE, LEVEL_1}, 'an answer of neither')
        self.victim.sound()

    def close(self):
        self.victim.close()


class Throws(Threads):
    """Its runtime has to be told of the new code, and that it is gone."""

    def __init__(self):
        super().__init__('case-exceptions')
        self.patch = patch_path('case-exceptions')


class Forks(Threads):
    """Its children keep what they were born with, until they end."""

    def says(self, answer):
        wait_for(lambda: self.victim.ask() == {answer}, f'all say {answer}')
        self.victim.sound()


class Loaded:
    """memcached, whose client checks every answer."""

    def __init__(self):
        self.server = Memcached()
        self.pid = self.server.pid
        self.patch = clock_patch()

    def says(self, answer):
        active = any(record['state'] == 'active' for item in status(self.pid).items
                     for record in item['modules'])
        equal(active, answer == LEVEL_1, 'the patch is active')
        self.server.progress(20)

    def sound(self):
        self.server.progress(20)

    def close(self):
        self.server.close()


TARGETS = {
    'one thread': lambda: Threads('victim-lib', 'loop'),
    '64 threads': lambda: Threads('victim-lib', 'workers', 64),
    'a C++ program': Throws,
    'a fork server': lambda: Forks('victim-lib', 'fork-server'),
    'memcached under load': Loaded,
}


def steps():
    step = 1
    while step < MOST_STEPS:
        yield step
        step += 1 if step < ALL_UP_TO else 1 + step // 12


def operate(target, verb, fault=None):
    if verb == 'apply':
        return apply(target.patch, target.pid, wait=10, fault=fault)
    return rollback(target.pid, wait=10, fault=fault)


def come_to(target, verb):
    """The state in which `verb` has something to do."""
    if verb == 'rollback':
        must(apply(target.patch, target.pid, wait=10), 0, ['done', 'unchanged'])
        target.says(LEVEL_1)


def recover(target, footprint):
    target.sound()
    must(apply(target.patch, target.pid, wait=10), 0, ['done', 'unchanged'])
    target.says(LEVEL_1)
    footprint.check_maps()
    must(rollback(target.pid, wait=10), 0, ['done'])
    target.says(VULNERABLE)
    footprint.check_restored()


def one_step(target, verb, kind, step, footprint):
    """The result of the operation with a fault at this step, and whether all was well after it."""
    come_to(target, verb)
    result = operate(target, verb, f'{kind}:{step}')
    try:
        if kind == 'kill' and not result.killed:
            must(result, 0, ['done'])
        if kind == 'fail':
            check(not result.killed, f'ended by signal {-result.code}')
            check(result.code in (0, 1, 3, 4, 12, 13), result.told())
            footprint.check_maps()
        recover(target, footprint)
        return result, None
    except Failed as error:
        return result, f'{verb} with {kind}:{step} ({result.told()}): {error}'


def walk(target, verb, kind):
    """Steps until the operation completed in spite of the fault that was asked for."""
    footprint = Footprint(target.pid)
    n_failed, faults = 0, []
    for step in steps():
        result, fault = one_step(target, verb, kind, step, footprint)
        n_failed += result.code != 0
        if fault:
            # The next steps say whether it is this one's only, as long as the target is well.
            faults.append(fault)
            recover(target, footprint)
        if kind == 'kill' and not result.killed:
            break
        if kind == 'fail' and result.code == 0 and step > last_step[verb]:
            break
    last_step[verb] = step
    check(not faults, '\n'.join(faults[:20]))
    check(n_failed >= 3, f'only {n_failed} steps of {verb} could be made to {kind}')
    print(f'# {verb} with {kind}: {n_failed} times before it completed, at step {step}')


def walk_all(target):
    faults = []
    for verb in ('apply', 'rollback'):
        last_step[verb] = 0
        for kind in ('kill', 'fail'):
            try:
                walk(target, verb, kind)
            except Failed as error:
                faults.append(str(error))
    check(not faults, '\n'.join(faults))


last_step = {'apply': 0, 'rollback': 0}


@each(TARGETS, '{}')
def fault_walk(name):
    target = TARGETS[name]()
    try:
        walk_all(target)
    finally:
        target.close()


if __name__ == '__main__':
    sys.exit(main())
