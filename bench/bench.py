#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What suture costs: pauses, the time for many processes, calls, memory. bench/README.md explains."""
import contextlib
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'capability'))

from harness import (LEVEL_1, Failed, Victim, apply, build_victims, check, must,  # noqa: E402
                     patch_path, records, rollback, wait_for)

ROUNDS = int(os.environ.get('SUTURE_BENCH_ROUNDS', 20))
N_PROCESSES = int(os.environ.get('SUTURE_BENCH_PROCESSES', 1000))
ROWS = [('what', 'median', 'spread (min - max)', 'runs', 'target')]


def number(value, unit):
    if unit == 'us' and value >= 10000:
        return f'{value / 1000:.1f} ms'
    return f'{value:.0f} {unit}' if abs(value) >= 100 else f'{value:.2f} {unit}'


def row(what, values, unit, target=''):
    ROWS.append((what, number(statistics.median(values), unit),
                 f'{number(min(values), unit)} - {number(max(values), unit)}', str(len(values)),
                 target))
    print('  '.join(ROWS[-1]), file=sys.stderr)


PAUSE_TARGETS = {1: '<= 100 us', 64: '<= 2 ms', 1000: '<= 25 ms'}


def pauses_of(mode, count):
    """Microseconds: pauses of apply, of rollback, and one thread held to prepare."""
    patch = patch_path('subject')
    done, undone, held = [], [], []
    with Victim('victim-lib', mode, count) as victim:
        for _ in range(ROUNDS):
            result = must(apply(patch, victim, wait=60), 0, ['done'])
            done.append(result.json['longest_pause_ns'] / 1000)
            held.append(max(item['held_ns'] for item in result.items) / 1000)
            result = must(rollback(victim, wait=60), 0, ['done'])
            undone.append(result.json['longest_pause_ns'] / 1000)
        victim.sound()
    return done, undone, held


def pauses():
    for count in (1, 16, 64, 256, 1000):
        for name, mode in (('idle', 'idle'), ('busy', 'threads')):
            threads = f'{count} thread{"s" if count > 1 else ""}, {name}'
            try:
                done, undone, held = pauses_of(mode, count)
            except Failed as error:
                ROWS.append((f'pause, {threads}', 'none', f'failed: {error}', '0',
                             PAUSE_TARGETS.get(count, '')))
                continue
            row(f'pause, apply, {threads}', done, 'us', PAUSE_TARGETS.get(count, ''))
            row(f'pause, rollback, {threads}', undone, 'us', PAUSE_TARGETS.get(count, ''))
            if count == 1:
                row(f'one thread held to prepare, {threads}', held, 'us')


def many_processes():
    patch = patch_path('subject')
    with contextlib.ExitStack() as stack:
        victims = [stack.enter_context(Victim('victim-lib', 'quiet'))
                   for _ in range(N_PROCESSES)]
        there, back = [], []
        for _ in range(max(3, ROUNDS // 4)):
            result = must(apply(patch, *victims, wait=60), 0, ['done'])
            check(len(result.items) == N_PROCESSES, f'{len(result.items)} processes')
            there.append(result.took_s)
            result = must(rollback(*victims, wait=60), 0, ['done'])
            back.append(result.took_s)
        for victim in victims:
            victim.sound()
    row(f'{N_PROCESSES} processes, apply, wall time', there, 's', '< 1 s')
    row(f'{N_PROCESSES} processes, rollback, wall time', back, 's')


def readings(victim, count):
    """Picoseconds of a call of the patched function and of its twin, as the victim measures them."""
    patched, twin = [], []
    for _ in range(count):
        before = victim.rounds()
        wait_for(lambda: victim.rounds() > before, 'another measurement')
        patched.append(victim.figure(0) / 1000)
        twin.append(victim.figure(3) / 1000)
    return patched, twin


def calls():
    with Victim('victim-lib', 'cost') as victim:
        readings(victim, 10)
        direct, twin = readings(victim, 5 * ROUNDS)
        must(apply(patch_path('subject'), victim, wait=60), 0, ['done'])
        victim.says(LEVEL_1)
        readings(victim, 10)
        patched, twin_after = readings(victim, 5 * ROUNDS)
    row('call of a function before the patch', direct, 'ns')
    row('call of the patched function', patched, 'ns')
    row('call of an unpatched twin, before', twin, 'ns')
    row('call of an unpatched twin, after', twin_after, 'ns')
    added = statistics.median(patched) - statistics.median(direct)
    ROWS.append(('added to a call (medians)', f'{added:.2f} ns', '', '', '<= 1 ns'))


def smaps_rollup(pid, key):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(key + ':'))


def memory():
    patch = patch_path('subject')
    added = {'Private_Dirty': [], 'Rss': [], 'Pss': []}
    with contextlib.ExitStack() as stack:
        victims = [stack.enter_context(Victim('victim-lib', 'plain')) for _ in range(ROUNDS)]
        for victim in victims:
            victim.ask()
        before = [{key: smaps_rollup(victim.pid, key) for key in added} for victim in victims]
        must(apply(patch, *victims, wait=60), 0, ['done'])
        for victim, was in zip(victims, before):
            victim.says(LEVEL_1)
            for key, values in added.items():
                values.append(smaps_rollup(victim.pid, key) - was[key])
        areas = [area['size_bytes'] for record in records(victims[0])
                 for area in record['memory'] if area['what'] != 'switch']
    pages = sum((size + 4095) // 4096 for size in areas) + 2 + 1
    for key, values in added.items():
        row(f'memory added to a process, {key}', values, 'kB',
            f'<= {pages * 4} kB' if key == 'Private_Dirty' else '')


def print_table():
    widths = [max(len(line[i]) for line in ROWS) for i in range(len(ROWS[0]))]
    print()
    for index, line in enumerate(ROWS):
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if index == 0:
            print('  '.join('-' * width for width in widths))


def main():
    parts = {'pauses': pauses, 'processes': many_processes, 'calls': calls, 'memory': memory}
    build_victims()
    for name in sys.argv[1:] or parts:
        parts[name]()
    print_table()


if __name__ == '__main__':
    main()
