#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that can't be patched: one sentence, a next step, the right code, nothing changed."""
import os
import pathlib
import signal
import subprocess
import sys

from harness import (SUTURE, VICTIMS, VULNERABLE, Footprint, Victim, check, digest, each, equal,
                     main, mode_patch, must, pids, rollback, suture, test, wait_for)


def patch():
    return mode_patch('victim-lib')


def attempt(pid, code, *words, path=None):
    """apply to `pid` must fail with this code, in one sentence that has these words."""
    path = path or patch()
    result = suture('apply', path, '--digest', digest(path), '--yes', '--wait', 1, '--pid', pid)
    equal(result.code, code, f'exit code ({result.stderr.strip()})')
    lines = result.stderr.strip().splitlines()
    check(lines and lines[0].startswith('suture: '), f'says {result.stderr!r}')
    check(2 <= len(lines) <= 3, f'one sentence and a next step expected: {result.stderr!r}')
    for word in words:
        check(word in result.stderr, f'"{word}" is not said: {result.stderr!r}')
    as_json = suture('apply', path, '--digest', digest(path), '--yes', '--json', '--wait', 1,
                     '--pid', pid)
    equal(as_json.code, code, 'exit code with --json')
    equal(as_json.json.get('code'), code, 'code in the document')
    check(as_json.json.get('cause'), f'no cause in the document: {as_json.stdout}')
    return result


@test
def a_pid_that_does_not_exist():
    with subprocess.Popen(['true']) as process:
        process.wait()
        attempt(process.pid, 1, str(process.pid))


@test
def a_kernel_thread():
    attempt(2, 4, 'kernel thread')


@test
def a_zombie():
    with subprocess.Popen(['true'], stdin=subprocess.DEVNULL) as process:
        wait_for(lambda: pathlib.Path(f'/proc/{process.pid}/stat').read_text()
                 .rsplit(')', 1)[1].split()[0] == 'Z', 'the end')
        attempt(process.pid, 4, 'zombie')


@test
def itself():
    path = patch()
    done = subprocess.run(['sh', '-c', 'exec "$0" apply "$1" --digest "$2" --yes --pid $$',
                           SUTURE, path, digest(path)], capture_output=True, text=True, check=False)
    equal(done.returncode, 4, f'exit code ({done.stderr})')
    check('itself' in done.stderr, done.stderr)


@test
def a_program_of_32_bits():
    with subprocess.Popen([VICTIMS / 'victim32'], stdin=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: os.readlink(f'/proc/{process.pid}/exe').endswith('victim32'), 'it')
            attempt(process.pid, 4, '32-bit')
            check(process.poll() is None, 'it ended')
        finally:
            process.kill()


@test
def a_program_that_does_not_map_the_module():
    with subprocess.Popen(['sleep', '100']) as process:
        try:
            wait_for(lambda: os.readlink(f'/proc/{process.pid}/exe').endswith('sleep'), 'it')
            attempt(process.pid, 1, str(process.pid))
        finally:
            process.kill()


@test
def another_build_of_the_same_module():
    with Victim('victim-pie', 'loop') as victim:
        before = Footprint(victim)
        attempt(victim.pid, 1, str(victim.pid), path=mode_patch('victim-nopie'))
        victim.says(VULNERABLE)
        before.check_restored()


@test
def a_process_in_a_debugger():
    with Victim('victim-lib', 'loop') as victim:
        with subprocess.Popen(['strace', '-o', '/dev/null', '-p', str(victim.pid)],
                              stderr=subprocess.DEVNULL) as tracer:
            try:
                wait_for(lambda: f'TracerPid:\t{tracer.pid}' in
                         pathlib.Path(f'/proc/{victim.pid}/status').read_text(), 'the tracer')
                attempt(victim.pid, 4, 'traced', str(tracer.pid))
            finally:
                tracer.send_signal(signal.SIGTERM)
        victim.says(VULNERABLE)


@test
def one_bad_pid_among_good_ones_changes_nothing():
    with Victim('victim-lib', 'loop') as victim:
        before = Footprint(victim)
        path = patch()
        result = suture('apply', path, '--digest', digest(path), '--yes', '--json', *pids(victim),
                        '--pid', 2)
        equal(result.code, 4, f'exit code ({result.told()})')
        victim.says(VULNERABLE)
        before.check_restored()


@each(['0', '-1', 'abc', '', '99999999999', '1.5', ' 1'], '--pid {!r} is a matter of usage')
def words_that_are_no_pid(word):
    path = patch()
    result = suture('apply', path, '--digest', digest(path), '--yes', f'--pid={word}')
    equal(result.code, 2, f'exit code ({result.stderr.strip()})')
    check(result.stderr.startswith('suture: '), result.stderr)


@test
def without_root():
    with Victim('victim-lib', 'loop') as victim:
        before = Footprint(victim)
        user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
        # The program may lie in a folder that this user can't enter.
        program = os.path.join(victim.folder, 'suture')
        spatch = os.path.join(victim.folder, 'a.spatch')
        subprocess.run(['cp', SUTURE, program], check=True)
        subprocess.run(['cp', patch(), spatch], check=True)
        os.chmod(spatch, 0o644)
        for verb in (['apply', spatch, '--digest', digest(spatch)], ['rollback']):
            done = subprocess.run([*user, program, *verb, '--yes', *pids(victim)],
                                  capture_output=True, text=True, check=False)
            equal(done.returncode, 3, f'exit code of {verb[0]} ({done.stderr})')
            check(len(done.stderr.strip().splitlines()) <= 3, done.stderr)
        victim.says(VULNERABLE)
        before.check_restored()


@test
def rollback_of_what_does_not_exist():
    with Victim('victim-lib', 'loop') as victim:
        result = rollback(victim, id='TEST-none')
        check(result.code in (0, 1), result.told())
        must(suture('apply', patch(), '--digest', digest(patch()), '--yes', *pids(victim)))
        result = rollback(victim, id='TEST-other')
        check('done' not in result.results(), result.told())
        must(rollback(victim, id='TEST-subject.1'), 0, ['done'])
        victim.says(VULNERABLE)


if __name__ == '__main__':
    sys.exit(main())
