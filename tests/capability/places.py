#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Difficult places: sandboxes, limits, namespaces, mounts, debuggers, stopped and frozen processes."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import (LEVEL_1, VICTIMS, VULNERABLE, Footprint, Victim, apply, check, each, equal,
                     main, mode_patch, must, rollback, round_trip, test, wait_for)


def patch():
    return mode_patch('victim-lib')


@each(['seccomp-kill', 'seccomp-list', 'seccomp-errno', 'seccomp-mdwe', 'seccomp-allow', 'mdwe',
       'undumpable', 'dlmopen', 'anonymous-text'], '{}')
def place(mode):
    with Victim('victim-lib', mode) as victim:
        for _ in range(3):
            round_trip(victim, patch())


@test
def no_room_in_the_address_space():
    with Victim('victim-lib', 'rlimit', 1) as victim:
        before = Footprint(victim)
        result = apply(patch(), victim)
        check(result.code in (1, 4), result.told())
        check('done' not in result.results(), result.told())
        check('RLIMIT_AS' in result.told() or 'address space' in result.told() or
              'memory' in result.told(), f'the cause is not said: {result.told()}')
        victim.says(VULNERABLE)
        before.check_restored()


@test
def just_enough_room_in_the_address_space():
    with Victim('victim-lib', 'rlimit', 4096) as victim:
        round_trip(victim, patch())


@each(['--user --map-root-user', '--mount', '--pid --fork --kill-child', '--net --ipc --uts',
       '--user --map-root-user --mount --pid --fork --kill-child --mount-proc'],
      'unshare {}')
def namespaces(flags):
    with Victim('victim-lib', 'plain', wrap=['unshare', *flags.split()]) as victim:
        pid = victim.pid
        if '--fork' in flags:
            pid = int(wait_for(lambda: open(f'/proc/{victim.pid}/task/{victim.pid}/children',
                                            encoding='ascii').read().split(), 'the child')[0])
        outer, victim.pid = victim.pid, pid
        wait_for(lambda: os.readlink(f'/proc/{pid}/exe').endswith('victim-lib'), 'its program')
        round_trip(victim, patch())
        victim.pid = outer


@each(['noexec', 'ro', 'ro,noexec,nosuid,nodev'], 'a mount that is {}')
def mounts(options):
    # Mounted in a namespace of the victim's own, and changed after it was started.
    script = ('mount -t tmpfs none "$1" && cp "$2"/victim-lib "$2"/libsubject.so "$1" && '
              '"$1"/victim-lib plain & '
              'while ! grep -q "$1/libsubject" /proc/$!/maps 2>/dev/null; do sleep 0.01; done; '
              f'sleep 0.1; mount -o remount,bind,{options} "$1" && wait')
    folder = os.path.join(VICTIMS, f'mount-{options.replace(",", "-")}')
    os.makedirs(folder, exist_ok=True)
    with Victim('/bin/sh', '-c', script, 'sh', folder, VICTIMS,
                wrap=['unshare', '--mount', '--propagation', 'private'],
                name='victim-lib plain') as victim:
        def find():
            for pid in os.listdir('/proc'):
                if pid.isdigit() and os.access(f'/proc/{pid}/exe', os.F_OK):
                    if os.readlink(f'/proc/{pid}/exe') == f'{folder}/victim-lib':
                        return int(pid)
            return None
        outer, victim.pid = victim.pid, wait_for(find, 'the victim')
        wait_for(lambda: options.split(',', maxsplit=1)[0] in
                 [line.split()[3] for line in open(f'/proc/{victim.pid}/mounts', encoding='ascii')
                  if folder in line][0].split(','), 'the remount')
        round_trip(victim, patch())
        victim.pid = outer


@test
def a_chroot_with_no_proc():
    with tempfile.TemporaryDirectory() as root:
        for library in ('/lib64/ld-linux-x86-64.so.2', '/lib/x86_64-linux-gnu/libc.so.6'):
            os.makedirs(root + os.path.dirname(library), exist_ok=True)
            shutil.copy(library, root + library)
        shutil.copy(VICTIMS / 'victim-pie', root)
        with Victim('/victim-pie', 'plain', wrap=['chroot', root], root=root) as victim:
            round_trip(victim, mode_patch('victim-pie'))


@test
def a_process_of_another_user():
    with Victim('victim-lib', 'plain', wrap=['setpriv', '--reuid=65534', '--regid=65534',
                                             '--clear-groups', '--inh-caps=-all']) as victim:
        round_trip(victim, patch())


@test
def a_stopped_process_stays_stopped():
    with Victim('victim-lib', 'threads', 4) as victim:
        os.kill(victim.pid, signal.SIGSTOP)
        wait_for(lambda: state_of(victim.pid) == 'T', 'the stop')
        result = apply(patch(), victim, wait=2)
        check(result.code in (0, 1, 4), result.told())
        time.sleep(0.05)
        before = victim.rounds()
        time.sleep(0.1)
        equal(state_of(victim.pid), 'T', 'the state of the process')
        equal(victim.rounds(), before, 'rounds of a stopped process')
        os.kill(victim.pid, signal.SIGCONT)
        victim.says(LEVEL_1 if result.code == 0 else VULNERABLE)
        round_end = rollback(victim)
        check(round_end.code in (0, 1), round_end.told())
        victim.says(VULNERABLE)


def state_of(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
        return file.read().rsplit(')', 1)[1].split()[0]


@test
def a_process_that_is_traced_is_left_alone():
    with Victim('victim-lib', 'plain') as victim:
        with subprocess.Popen(['strace', '-f', '-o', '/dev/null', '-p', str(victim.pid)],
                              stderr=subprocess.DEVNULL, start_new_session=True) as tracer:
            try:
                wait_for(lambda: tracer_of(victim.pid) == tracer.pid, 'the tracer')
                result = apply(patch(), victim, wait=1)
                equal(result.code, 4, f'exit code ({result.told()})')
                check('traced' in result.told(), result.told())
                victim.says(VULNERABLE)
                equal(tracer_of(victim.pid), tracer.pid, 'the tracer after')
            finally:
                tracer.terminate()
        wait_for(lambda: tracer_of(victim.pid) == 0, 'the end of the tracer')
        round_trip(victim, patch())


def tracer_of(pid):
    with open(f'/proc/{pid}/status', encoding='ascii', errors='replace') as file:
        return [int(line.split()[1]) for line in file if line.startswith('TracerPid')][0]


def cgroup_root():
    for line in open('/proc/mounts', encoding='ascii'):
        kind, folder, name = line.split()[0:3]
        if name == 'cgroup2':
            return folder
    return None


@test
def a_frozen_process_is_left_alone():
    root, mounted = cgroup_root(), None
    if root is None:
        mounted = root = os.path.join(VICTIMS, 'cgroup')
        os.makedirs(root, exist_ok=True)
        subprocess.run(['mount', '-t', 'cgroup2', 'none', root], check=True)
    group = os.path.join(root, f'suture-test-{os.getpid()}')
    os.mkdir(group)
    try:
        with Victim('victim-lib', 'plain') as victim:
            write(f'{group}/cgroup.procs', victim.pid)
            write(f'{group}/cgroup.freeze', 1)
            wait_for(lambda: 'frozen 1' in open(f'{group}/cgroup.events', encoding='ascii').read(),
                     'the freeze')
            result = apply(patch(), victim, wait=1)
            equal(result.code, 4, f'exit code ({result.told()})')
            check('frozen' in result.told(), result.told())
            write(f'{group}/cgroup.freeze', 0)
            victim.says(VULNERABLE)
            round_trip(victim, patch())
    finally:
        wait_for(lambda: remove(group), 'the end of the group')
        if mounted:
            subprocess.run(['umount', mounted], check=True)


def remove(group):
    try:
        os.rmdir(group)
        return True
    except OSError:
        return False


def write(path, value):
    with open(path, 'w', encoding='ascii') as file:
        file.write(str(value))


if __name__ == '__main__':
    sys.exit(main())
