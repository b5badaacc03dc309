#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guard alone (tests/tools/guard-run): programs that start are patched before main, and whatever
becomes of the guard, they start. The victim says by itself, as the first thing in main, whether it
was fixed (tests/victims/once.c).
    GUARD_RUN  the program that runs the guard
"""
import collections
import contextlib
import ctypes
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'capability'))
import harness                                                   # noqa: E402
from harness import VICTIMS, check, equal, test, wait_for        # noqa: E402

GUARD_RUN = os.environ.get('GUARD_RUN', 'guard-run')
PROGRAMS = ['once-pie', 'once-nopie', 'once-static', 'once-static-pie']
NOBODY = 65534
LONG = 'GUARD_LONG' in os.environ
HANG_S = 4.0  # the guard promises 2; the rest is for a machine that is busy with other things


class Guard:
    """A running guard, and the reports it has made."""

    def __init__(self, *files, options=(), fault=None):
        command = [GUARD_RUN, *options]
        for name in PROGRAMS:
            command += ['--watch', VICTIMS / name, VICTIMS / f'{name}.1.spatch']
        command += ['--watch', VICTIMS / 'libsubject.so', VICTIMS / 'subject.1.spatch']
        for file in files:
            command += ['--watch', file]
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                                        text=True, preexec_fn=harness.die_with_parent,
                                        env={**os.environ, **({'SUTURE_FAULT': fault} if fault else {})})
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_for(lambda: self.count('ready'), 'the guard is ready')

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def said(self, event):
        return [line for line in list(self.lines) if line.startswith(event + ' ')]

    def count(self, event):
        return len(self.said(event))

    def parts(self):
        """The processes of the guard, without the one that opened it."""
        found, parents = [], {self.process.pid}
        children = collections.defaultdict(list)
        for entry in os.listdir('/proc'):
            if entry.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    stat = pathlib.Path(f'/proc/{entry}/stat').read_text()
                    children[int(stat.rpartition(')')[2].split()[1])].append(int(entry))
        while parents:
            parents = {child for parent in parents for child in children[parent]}
            found += parents
        return found

    def keeper(self):
        """The one that answers, now."""
        for pid in self.parts():
            with contextlib.suppress(OSError):
                if pathlib.Path(f'/proc/{pid}/comm').read_text() == 'suture-guard\n':
                    return pid
        return 0

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=30, check=False, **more)
    return done.stdout.strip() + done.stderr.strip()


def fixed(*command, **more):
    equal(run(*command, **more), 'fixed', ' '.join(str(part) for part in command))


@test
def programs_are_patched_before_main():
    with Guard() as guard:
        for name in PROGRAMS + ['once-lib']:
            fixed(VICTIMS / name)
        equal(guard.count('late') + guard.count('failed'), 0, 'late or failed')


@test
def without_the_guard_they_are_not():
    for name in PROGRAMS + ['once-lib']:
        equal(run(VICTIMS / name), 'vulnerable', name)


@test
def a_thousand_starts_from_parallel_shells():
    with Guard() as guard:
        loop = f'for i in $(seq 125); do {VICTIMS}/once-pie; {VICTIMS}/once-lib; done'
        shells = [subprocess.Popen(['bash', '-c', loop], stdout=subprocess.PIPE, text=True)
                  for _ in range(4)]
        words = collections.Counter(word for shell in shells
                                    for word in shell.communicate()[0].split())
        equal(dict(words), {'fixed': 1000}, f'answers ({guard.said("failed")[:3]})')


@test
def a_library_that_is_loaded_later():
    with Guard() as guard:
        for _ in range(10):
            answer = run(VICTIMS / 'once-load', VICTIMS / 'libsubject.so')
            check(answer.startswith('fixed'), answer)
        wait_for(lambda: guard.count('started') == 10, 'patched while the linker still mapped it')
        equal(guard.count('late') + guard.count('failed'), 0, 'late or failed')


@test
def without_permission_events_it_is_patched_late_and_said():
    with Guard(options=['--events']) as guard:
        equal(guard.count('fallback'), 1, 'fallback')
        victim = harness.Victim('victim-lib', 'threads', 4)
        try:
            wait_for(lambda: victim.ask() == {harness.LEVEL_1}, 'it is fixed')
            wait_for(lambda: [line for line in guard.said('late') if f'pid={victim.pid} ' in line
                              and 'gap=0 ' not in line], 'the gap is reported')
        finally:
            victim.close()


@test
def through_shells_scripts_and_interpreters():
    with Guard() as guard, tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder, 'script')
        script.write_text(f'#!{VICTIMS}/once-pie\n')
        script.chmod(0o755)
        fixed('sh', '-c', f'{VICTIMS}/once-pie; :')
        fixed('sh', '-c', f'exec {VICTIMS}/once-pie')
        # The kernel lets nobody trace a script's interpreter before its exec is nearly over.
        answers = collections.Counter(run(script) for _ in range(100))
        equal(dict(answers), {'fixed': 100}, f'answers ({guard.said("failed")[:3]})')
        equal(run(script, preexec_fn=lambda: os.sched_setaffinity(0, {0})), 'fixed', 'on processor 0')
        fixed('env', '-i', VICTIMS / 'once-pie')
        fixed('nice', 'setsid', '-w', VICTIMS / 'once-pie')


@contextlib.contextmanager
def held_at_its_answer(program):
    """Starts it, and has it wait in the writing of its answer, to a pipe that is full."""
    end, begin = os.pipe()
    os.set_blocking(begin, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(begin, b'.' * 4096)
    os.set_blocking(begin, True)
    process = subprocess.Popen([str(program)], stdout=begin)
    os.close(begin)
    try:
        yield process
    finally:
        with os.fdopen(end) as pipe:
            process.answer = pipe.read().strip('.\n')
        process.wait()


@test
def processors_are_given_back():
    mine = os.sched_getaffinity(0)
    check(len(mine) > 1, 'more than one processor is needed')
    with Guard() as guard, tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder, 'script')
        script.write_text(f'#!{VICTIMS}/once-pie\n')
        script.chmod(0o755)
        for wanted in (mine, {min(mine)}, mine):
            os.sched_setaffinity(0, wanted)
            with held_at_its_answer(script) as process:
                os.sched_setaffinity(0, mine)
                wait_for(lambda: any(f'pid={process.pid} ' in line for line in guard.said('started')),
                         'it is patched')
                equal(os.sched_getaffinity(process.pid), wanted, 'processors')
            equal(process.answer, 'fixed', f'on {wanted}')
        for _ in range(12):  # whoever is killed, somebody is left to do it
            wait_for(guard.keeper, 'the guard is there')
            with held_at_its_answer(script) as process:
                time.sleep(random.uniform(0, 0.004))
                for pid in filter(None, random.choice([guard.parts(), [guard.keeper()]])):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                wait_for(lambda: os.sched_getaffinity(process.pid) == mine, 'they are given back')


@test
def signals_blocked_ignored_or_handled_before():
    with Guard():
        for how in ('block', 'ignore', 'handle'):
            for name in ('once-pie', 'once-static', 'once-lib'):
                fixed(VICTIMS / 'once-pie', how, VICTIMS / name)


@test
def exec_from_a_thread():
    with Guard():
        for _ in range(10):
            fixed(VICTIMS / 'once-pie', 'thread-exec', VICTIMS / 'once-pie')


@test
def posix_spawn_waits_and_goes_on():
    with Guard():
        for _ in range(10):
            end, begin = os.pipe()
            pid = os.posix_spawn(VICTIMS / 'once-pie', ['once-pie'], os.environ,
                                 file_actions=[(os.POSIX_SPAWN_DUP2, begin, 1)])
            os.close(begin)
            with os.fdopen(end) as pipe:
                equal(pipe.read(), 'fixed\n', 'posix_spawn')
            equal(os.waitpid(pid, 0)[1], 0, 'its end')


@test
def execveat_and_memfd():
    with Guard():
        program = ('import os, sys; file = os.open(sys.argv[1], os.O_RDONLY);'
                   'os.execve(file, ["once"], os.environ)')
        fixed('/usr/bin/python3', '-c', program, VICTIMS / 'once-pie')
        program = ('import os, sys; file = os.memfd_create("once");'
                   'os.write(file, open(sys.argv[1], "rb").read());'
                   'os.execve(file, ["once"], os.environ)')
        # Nobody can know of this file before it runs: it is the scan's, but it must run.
        check(run('/usr/bin/python3', '-c', program, VICTIMS / 'once-pie') in
              ('vulnerable', 'fixed'), 'a program without a name')


@test
def setuid_keeps_its_privileges():
    with tempfile.TemporaryDirectory(dir=VICTIMS) as folder:
        os.chmod(folder, 0o755)
        program = pathlib.Path(folder, 'once-setuid')
        shutil.copy(VICTIMS / 'once-pie', program)
        program.chmod(0o4755)
        path_is_open = all(parent.stat().st_mode & 0o001 for parent in program.parents)
        if not path_is_open:
            raise harness.Skipped('the folder of the victims is closed to other users')
        with Guard(program):
            for _ in range(10):
                equal(run(program, 'uid', user=NOBODY), 'fixed root', 'a setuid program')


@test
def an_exec_that_fails():
    """The file is watched and can't be executed: the caller gets its error and goes on, untraced."""
    with tempfile.TemporaryDirectory() as folder, Guard() as guard:
        denied = pathlib.Path(folder, 'once')
        shutil.copy(VICTIMS / 'once-pie', denied)
        program = ('import os, sys\n'
                   'try: os.execve(sys.argv[1], ["x" * 200000], {})\n'
                   'except OSError as error: print("errno", error.errno)\n'
                   'import time; time.sleep(0.3)\n'
                   'print(open("/proc/self/status").read().split("TracerPid:")[1].split()[0])\n')
        equal(run('/usr/bin/python3', '-c', program, VICTIMS / 'once-pie').split(),
              ['errno', '7', '0'], 'a failing exec')
        equal(guard.count('failed'), 0, 'failed')


@test
def who_only_reads_is_left_alone():
    with Guard() as guard:
        for _ in range(20):
            equal(run('cmp', VICTIMS / 'libsubject.so', VICTIMS / 'libsubject.so'), '', 'cmp')
            equal(run('cmp', VICTIMS / 'once-pie', VICTIMS / 'once-pie'), '', 'cmp')
        equal(guard.count('started') + guard.count('late') + guard.count('failed'), 0, 'reports')


@test
def the_linker_run_as_a_program():
    with Guard():
        for _ in range(10):
            fixed('/lib64/ld-linux-x86-64.so.2', VICTIMS / 'once-lib')


@test
def a_program_under_a_debugger_is_left_alone():
    if not shutil.which('gdb'):
        raise harness.Skipped('there is no gdb')
    with Guard():
        told = run('gdb', '-batch', '-ex', 'run', VICTIMS / 'once-pie')
        check('exited' in told, told)


@test
def a_file_that_was_replaced_runs_untouched():
    with tempfile.TemporaryDirectory() as folder, Guard() as guard:
        other = pathlib.Path(folder, 'once')
        shutil.copy(VICTIMS / 'once-lib', other)
        os.environ['LD_LIBRARY_PATH'] = str(VICTIMS)
        try:
            fixed(other)
        finally:
            del os.environ['LD_LIBRARY_PATH']
        equal(run('/bin/echo', 'as ever'), 'as ever', 'another program')
        equal(guard.count('failed'), 0, 'failed')


@test
def many_children_at_once():
    with Guard():
        words = run(VICTIMS / 'once-pie', 'fork', '60').split()
        equal(dict(collections.Counter(words)), {'fixed': 61}, 'answers')


@test
def a_container_on_overlayfs():
    with tempfile.TemporaryDirectory() as folder, Guard() as guard:
        for name in ('upper', 'work', 'root'):
            os.mkdir(f'{folder}/{name}')
        script = (f'mount -t overlay overlay -o lowerdir={VICTIMS},upperdir={folder}/upper,'
                  f'workdir={folder}/work {folder}/root && echo mounted && read line && '
                  f'{folder}/root/once-pie && {folder}/root/once-static')
        with subprocess.Popen(['unshare', '-m', 'sh', '-c', script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as container:
            if container.stdout.readline() != 'mounted\n':
                raise harness.Skipped('an overlay can not be mounted here')
            wait_for(lambda: [line for line in guard.said('watching') if folder in line],
                     'the overlay is watched')
            equal(container.communicate('go\n')[0].split(), ['fixed', 'fixed'], 'in the container')


@test
def a_library_in_a_container():
    """A root of its own on an overlay, with a library where libraries are; nothing of it runs yet."""
    libraries = subprocess.run(['ldd', VICTIMS / 'once-lib'], capture_output=True, text=True,
                               check=True).stdout
    with tempfile.TemporaryDirectory() as folder, Guard() as guard:
        for name in ('lower/usr/lib', 'upper', 'work', 'root'):
            os.makedirs(f'{folder}/{name}')
        shutil.copy(VICTIMS / 'once-lib', f'{folder}/lower/once-lib')
        shutil.copy(VICTIMS / 'libsubject.so', f'{folder}/lower/usr/lib/libsubject.so')
        for path in re.findall(r'/\S*(?:libc\.so|ld-linux)\S*', libraries):
            os.makedirs(os.path.dirname(f'{folder}/lower{path}'), exist_ok=True)
            shutil.copy(path, f'{folder}/lower{path}')
        script = (f'mount -t overlay overlay -o lowerdir={folder}/lower,upperdir={folder}/upper,'
                  f'workdir={folder}/work {folder}/root && echo mounted && read line && '
                  f'chroot {folder}/root /once-lib && chroot {folder}/root /once-lib')
        with subprocess.Popen(['unshare', '-m', 'sh', '-c', script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True,
                              env={'LD_LIBRARY_PATH': '/usr/lib', **os.environ}) as container:
            if container.stdout.readline() != 'mounted\n':
                raise harness.Skipped('an overlay can not be mounted here')
            wait_for(lambda: [line for line in guard.said('watching') if folder in line],
                     'the overlay is watched')
            equal(container.communicate('go\n')[0].split(), ['fixed', 'fixed'], 'in the container')


# Whatever becomes of the guard

class Storm:
    """Shells that start programs, and how long the longest start took."""

    def __init__(self, n_shells=3):
        self.longest, self.words, self.failed = 0.0, collections.Counter(), []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.go) for _ in range(n_shells)]
        for thread in self.threads:
            thread.start()

    def go(self):
        names = ['once-pie', 'once-lib', 'once-static', '/bin/true']
        while not self.over.is_set():
            name = random.choice(names)
            began = time.monotonic()
            done = subprocess.run([VICTIMS / name], capture_output=True, text=True, check=False)
            self.longest = max(self.longest, time.monotonic() - began)
            word = done.stdout.strip() or 'nothing'
            self.words[word] += 1
            if done.returncode not in (0, 1) or done.stderr:
                self.failed.append((name, done.returncode, done.stderr))

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        check(not self.failed, f'failed starts: {self.failed[:3]}')
        check(self.longest < HANG_S, f'a start took {self.longest:.1f} s')
        check(sum(self.words.values()) > 8, f'too few starts: {self.words}')


def disturb(guard, send, times):
    storm = Storm()
    try:
        for _ in range(times * (10 if LONG else 1)):
            time.sleep(random.uniform(0.0, 0.6))
            send(guard)
    finally:
        storm.end()


def send_to_one(sign):
    def send(guard):
        parts = guard.parts()
        if parts:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(parts), sign)
    return send


def send_to_keeper(sign):
    def send(guard):
        keeper = guard.keeper()
        if keeper:
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, sign)
    return send


def send_to_all(sign):
    def send(guard):
        for pid in guard.parts() + [guard.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        if sign == signal.SIGSTOP:
            time.sleep(2.5)
            guard.process.send_signal(signal.SIGCONT)
    return send


def is_back(guard):
    wait_for(lambda: run(VICTIMS / 'once-pie') == 'fixed', 'the guard is back')


@test
def killed_in_a_storm():
    with Guard() as guard:
        disturb(guard, send_to_one(signal.SIGKILL), 8)
        disturb(guard, send_to_keeper(signal.SIGKILL), 3)
        is_back(guard)
        check(guard.count('lost') > 0, 'the loss of the guard is reported')


@test
def stopped_in_a_storm():
    with Guard() as guard:
        disturb(guard, send_to_one(signal.SIGSTOP), 6)
        disturb(guard, send_to_keeper(signal.SIGSTOP), 2)
        disturb(guard, send_to_all(signal.SIGSTOP), 1)
        is_back(guard)


@test
def its_owner_killed_in_a_storm():
    with Guard() as guard:
        parts = guard.parts()
        disturb(guard, lambda guard: guard.process.kill(), 1)
        guard.process.wait()
        wait_for(lambda: not any(os.path.exists(f'/proc/{pid}') for pid in parts),
                 'all of the guard has ended')
        equal(run(VICTIMS / 'once-pie'), 'vulnerable', 'without a guard')


@test
def dies_at_every_step():
    """In builds with faults a worker is killed at its first, second, third step ..., until there is no
    further one: the program always begins, whole."""
    if 'GUARD_FAULTS' not in os.environ:
        raise harness.Skipped('this build has no faults (-Dfaults=true)')
    for step in range(1, 200):
        with Guard(fault=f'kill:{step}') as guard:
            for name in PROGRAMS + ['once-lib']:
                answer = run(VICTIMS / name)
                check(answer in ('fixed', 'vulnerable'), f'{name} at step {step}: {answer!r}')
            check(run(VICTIMS / 'once-load', VICTIMS / 'libsubject.so').startswith(
                ('fixed', 'vulnerable')), f'once-load at step {step}')
            if not [line for line in guard.said('failed') if 'worker' in line]:
                break
    check(step > 10, f'there were only {step} steps')
    equal(answer, 'fixed', 'past the last step')


@test
def killed_programs_leave_the_guard_whole():
    with Guard() as guard:
        for _ in range(150):
            victim = subprocess.Popen([VICTIMS / random.choice(['once-pie', 'once-lib'])],
                                      stdout=subprocess.DEVNULL)
            time.sleep(random.uniform(0, 0.004))
            victim.kill()
            victim.wait()
        fixed(VICTIMS / 'once-pie')
        equal(guard.count('lost'), 0, 'lost')


@test
def stopped_programs_stay_stopped():
    with Guard():
        for _ in range(100):  # at every moment of the start, with a SIGCONT soon behind it
            victim = subprocess.Popen([VICTIMS / 'once-lib'], stdout=subprocess.PIPE, text=True)
            time.sleep(random.uniform(0, 0.012))
            victim.send_signal(signal.SIGSTOP)
            wait_for(lambda: victim.poll() is not None or re.search(
                r'\) [Tt] ', pathlib.Path(f'/proc/{victim.pid}/stat').read_text()), 'it stops')
            victim.send_signal(signal.SIGCONT)
            check(victim.communicate(timeout=20)[0].strip() in ('fixed', 'vulnerable'), 'it runs')


@test
def other_programs_do_not_fail():
    with Guard() as guard:
        loop = f'for i in $(seq {5000 if LONG else 1000}); do /bin/true || echo failed; done'
        shells = [subprocess.Popen(['bash', '-c', loop], stdout=subprocess.PIPE, text=True)
                  for _ in range(4)]
        equal([shell.communicate()[0] for shell in shells], [''] * 4, 'failures')
        equal(guard.count('failed'), 0, 'failed')


if __name__ == '__main__':
    ctypes.CDLL(None)
    sys.exit(harness.main())
