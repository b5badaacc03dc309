#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unwinding through patched functions: exceptions, cancellation, backtraces, inside the process and
from outside. The victims check each round themselves that it works, whatever they run."""
import os
import subprocess
import sys

from harness import (LEVEL_1, SOURCE, VICTIMS, VULNERABLE, Victim, apply, check, code_of, each,
                     equal, main, must, patch_path, rollback, round_trip, test, wait_for)

GDB_SCRIPT = SOURCE.parent / 'share' / 'gdb' / 'suture.py'
# What is on the stack, from the innermost frame on; the patched function is the second.
FRAMES = ['trace', 'subject_traced', 'case_ask', 'main']
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
        code = code_of(victim.pid)
        for _ in range(100):
            thrown = victim.figure(0)
            must(apply(patch, victim, wait=20), 0, ['done'])
            victim.says(LEVEL_1)
            must(rollback(victim, wait=20), 0, ['done'])
            victim.says(VULNERABLE)
            wait_for(lambda thrown=thrown: victim.figure(0) > thrown, 'exceptions are thrown')
        equal(code_of(victim.pid), code, 'the code')


def gdb(*arguments, script=True):
    """What gdb prints for these arguments, with suture's script or without."""
    command = ['gdb', '-nx', '-batch', '-iex', 'set debuginfod enabled off']
    if script:
        command += ['-iex', f'source {GDB_SCRIPT}']
    done = subprocess.run([*command, *map(str, arguments)], check=False, capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL)
    check(done.returncode == 0, f'gdb: {done.stderr}')
    return done.stdout


def frames(text):
    """The functions of a backtrace, those between the victim's own left out."""
    names = [line.split(' in ')[-1].split(' (')[0].split()[-1] for line in text.splitlines()
             if line.startswith('#')]
    return [name for name in names if name in FRAMES or name == '??']


def held_beneath():
    """A victim with its only thread beneath the patched function."""
    victim = Victim('case-backtrace')
    must(apply(patch_path('case-backtrace'), victim), 0, ['done'])
    victim.says(LEVEL_1)
    # Both who asks and who works call the function; with the former on the stack, frames are as named.
    while True:
        victim.release(7)
        wait_for(lambda: victim.held, 'a thread stays beneath the function')
        if 'case_ask' in gdb('-p', victim.pid, '-ex', 'backtrace'):
            return victim
        victim.release(0)


@test
def gdb_attaches():
    with held_beneath() as victim:
        found = gdb('-p', victim.pid, '-ex', 'backtrace')
        check(frames(found) == FRAMES, f'the backtrace is {frames(found)}: {found}')
        found = gdb('-p', victim.pid, '-ex', 'suture-symbols')
        check('TEST-case-backtrace.1: new code at 0x' in found, f'suture-symbols says {found}')
        # Without the script gdb can't know, and this test would show nothing if it did.
        found = gdb('-p', victim.pid, '-ex', 'backtrace', script=False)
        check(frames(found) != FRAMES, 'the script is not needed')
        victim.release(0)
        must(rollback(victim), 0, ['done'])
        victim.says(VULNERABLE)
        found = gdb('-p', victim.pid, '-ex', 'suture-symbols')
        check('suture has patched nothing here.' in found, f'suture-symbols says {found}')


@test
def gdb_reads_a_core_file():
    with held_beneath() as victim:
        core = os.path.join(victim.folder, 'core')
        gdb('-p', victim.pid, '-ex', f'generate-core-file {core}')
        found = gdb(VICTIMS / 'case-backtrace', core, '-ex', 'backtrace')
        check(frames(found) == FRAMES, f'the backtrace is {frames(found)}: {found}')


if __name__ == '__main__':
    sys.exit(main())
