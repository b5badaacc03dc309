#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guard adds to the start of a program: posix_spawn until its end is seen, with and without a
guard, in turns. Prints medians and quartiles in microseconds; no figure is asserted."""
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'guard'))

from guard import Guard                                     # noqa: E402
from harness import VICTIMS, build_victims                  # noqa: E402

STARTS = int(os.environ.get('SUTURE_BENCH_STARTS', 20000))
TURNS = 10
PROGRAMS = {'another program (/bin/true)': ('/bin/true', 1, '0'),
            'a patched program': (VICTIMS / 'once-pie', 20, '<= 2 ms'),
            'a program with a patched library': (VICTIMS / 'once-lib', 20, '<= 2 ms')}


def starts(program, count):
    """Microseconds of each start."""
    null = os.open('/dev/null', os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, 1)]
    took = []
    for _ in range(count):
        began = time.perf_counter_ns()
        os.waitpid(os.posix_spawn(program, [str(program)], {}, file_actions=actions), 0)
        took.append((time.perf_counter_ns() - began) / 1000)
    os.close(null)
    return took


def show(what, took):
    low, middle, high = statistics.quantiles(took, n=4)
    print(f'{what:58} {middle:9.1f} us  ({low:.1f} - {high:.1f})')
    return middle


def main():
    build_victims()
    for what, (program, divisor, target) in PROGRAMS.items():
        without, guarded = [], []
        for _ in range(TURNS):
            without += starts(program, STARTS // divisor // TURNS)
            with Guard():
                guarded += starts(program, STARTS // divisor // TURNS)
        before = show(f'{what}, no guard', without)
        after = show(f'{what}, guard', guarded)
        print(f'{"  added":58} {after - before:9.1f} us  target {target}')


if __name__ == '__main__':
    main()
