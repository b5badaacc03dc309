# SPDX-License-Identifier: GPL-2.0-or-later
"""What the capability tests share: victims, the program suture as a user calls it, and TAP.

A test drives the built program only: no function of suture's is called, no file of its own read.
    SUTURE            the program under test
    OBJECTS_TO_PATCH  what makes the victims' patches
    VICTIMS           the folder that the victims are built into
"""
import contextlib
import ctypes
import hashlib
import json
import mmap
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

SUTURE = os.environ.get('SUTURE', 'suture')
SOURCE = pathlib.Path(__file__).resolve().parent.parent
VICTIMS = pathlib.Path(os.environ.get('VICTIMS', '/nonexistent'))

# The sutured and the store of this machine are not the tests' business.
os.environ.setdefault('SUTURE_SOCKET', '/nonexistent/socket')
os.environ.setdefault('SUTURE_STORE', '/nonexistent/patches')

VULNERABLE, LEVEL_1, LEVEL_2 = 0, 1, 3
NAMES = {0: 'vulnerable', 1: 'fixed to level 1', 2: 'only level 2 fixed', 3: 'fixed to level 2'}

HEADER = struct.Struct('<QIIII4Q64s')
SLOT = struct.Struct('<QIIIIII')
SLOTS_AT, SLOT_SIZE = 128, 64


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(found, expected, what):
    check(found == expected, f'{what}: {found!r}, expected {expected!r}')


def wait_for(condition, what, seconds=30.0):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < end, f'{what}: not within {seconds:.0f} s')
        time.sleep(0.001)


# Victims

def die_with_parent():
    """A test that is killed leaves nothing running (prctl(PR_SET_PDEATHSIG))."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Victim:
    """A running victim and the file that it reports in (tests/victims/state.h)."""

    def __init__(self, *command, env=None, wrap=(), name=None, root=None):
        """`root` is what the victim takes for /, if that is another folder."""
        self.folder = tempfile.mkdtemp(prefix='victim-')
        # Victims may run as another user.
        os.chmod(self.folder, 0o777)
        self.path = os.path.join(root or self.folder, 'state')
        self.name = name or ' '.join(str(part) for part in command)
        command = [str(part) for part in command]
        if '/' not in command[0]:
            command[0] = str(VICTIMS / command[0])
        environment = dict(os.environ, VICTIM_STATE='/state' if root else self.path,
                           VICTIM_LIBRARY=str(VICTIMS / 'libsubject.so'), **(env or {}))
        for key in ('SUTURE_FAULT', 'ASAN_OPTIONS'):
            environment.pop(key, None)
        with open(self.path, 'wb') as file:
            file.truncate(SLOTS_AT + 4094 * SLOT_SIZE)
        os.chmod(self.path, 0o666)
        self.process = subprocess.Popen([*wrap, *command], env=environment,
                                        start_new_session=True, stdin=subprocess.DEVNULL,
                                        preexec_fn=die_with_parent)
        self.pid = self.process.pid
        with open(self.path, 'r+b') as file:
            self.map = mmap.mmap(file.fileno(), 0)
        try:
            wait_for(lambda: self.header()[2] or self.ended(), f'{self.name} gets ready')
            check(self.header()[2], f'{self.name} ended at once')
        except Failed:
            self.close()
            raise

    def ended(self):
        return self.process.poll() is not None

    def header(self):
        return HEADER.unpack_from(self.map, 0)

    @property
    def held(self):
        return self.header()[4]

    def figure(self, index):
        return self.header()[5 + index]

    def release(self, value=1):
        struct.pack_into('<I', self.map, 16, value)

    def slots(self):
        return [SLOT.unpack_from(self.map, SLOTS_AT + i * SLOT_SIZE)
                for i in range(self.header()[1])]

    def rounds(self):
        return sum(slot[0] for slot in self.slots())

    def errors(self):
        """(wrong, eintr, early, late) over all slots."""
        slots = self.slots()
        return tuple(sum(slot[i] for slot in slots) for i in (3, 4, 5, 6))

    def complaint(self):
        return self.header()[9].rstrip(b'\0').decode()

    def sound(self, eintr=0):
        """Fails unless the victim lives and has counted no error (no more EINTR than `eintr`)."""
        check(not self.ended(), f'{self.name} ended ({self.process.returncode})')
        errors = self.errors()
        check(errors[0] == errors[2] == errors[3] == 0 and errors[1] <= eintr,
              f'{self.name}: wrong, EINTR, early, late = {errors}: {self.complaint()}')

    def ask(self, seconds=30.0):
        """The answers of all its threads and children that are given from now on."""
        before = self.slots()
        waiting = {i for i, slot in enumerate(before) if slot[1]}
        answers = set()
        end = time.monotonic() + seconds

        while True:
            now = self.slots()
            for i in list(waiting):
                if now[i][1] != before[i][1]:
                    waiting.discard(i)
                elif now[i][0] >= before[i][0] + 2:
                    waiting.discard(i)
                    answers.add(now[i][2] & 3)
            if not waiting and answers:
                return answers
            check(not self.ended(), f'{self.name} ended ({self.process.returncode})')
            check(time.monotonic() < end, f'{self.name}: {len(waiting)} of its threads stand still')
            if not waiting:
                return self.ask(end - time.monotonic())
            time.sleep(0.001)

    def says(self, *expected, eintr=0):
        """Asks, and fails if any other answer is given."""
        answers = self.ask()
        check(answers <= set(expected),
              f'{self.name} says {", ".join(NAMES[a] for a in sorted(answers))}, expected '
              f'{" or ".join(NAMES[e] for e in expected)}')
        self.sound(eintr)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        semaphores = self.figure(3)
        if semaphores and 'semaphore' in self.name:
            subprocess.run(['ipcrm', '-s', str(semaphores - 1)], check=False)
        self.map.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def build_victims():
    """Builds them if they are not there; a test without its victims fails."""
    command = [str(SOURCE / 'victims' / 'build'), str(VICTIMS)]
    if 'OBJECTS_TO_PATCH' in os.environ:
        command.append(os.environ['OBJECTS_TO_PATCH'])
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'the victims could not be built:\n{done.stdout}{done.stderr}')


def patch_path(name, level=1):
    path = VICTIMS / f'{name}.{level}.spatch'
    check(path.exists(), f'no patch {path.name}: {refusal(name)}')
    return path


def refusal(name):
    path = VICTIMS / f'{name}.refusal'
    return path.read_text().strip() if path.exists() else 'and no refusal'


# The program

class Result:
    def __init__(self, code, stdout, stderr, took_s):
        self.code, self.stdout, self.stderr, self.took_s = code, stdout, stderr, took_s
        self.killed = code < 0
        try:
            self.json = json.loads(stdout)
        except ValueError:
            self.json = {}
        self.items = self.json.get('items', [])
        self.named = set()

    def results(self):
        """Of the processes that were named; children that they had meanwhile are beside the point."""
        named = [item for item in self.items if item['pid'] in self.named] or self.items
        return sorted(item['result'] for item in named)

    def told(self):
        """Everything that was said, for a message of a test."""
        parts = [self.stderr.strip(), str(self.json.get('cause') or '')]
        parts += [f'{item.get("result")}: {item.get("cause")} {item.get("next") or ""}'
                  for item in self.items if item.get('cause')]
        return f'code {self.code}; ' + '; '.join(part for part in parts if part)


def suture(*arguments, fault=None, timeout=120, env=None, prefix=()):
    environment = dict(os.environ, **(env or {}))
    environment.pop('SUTURE_FAULT', None)
    if fault:
        environment['SUTURE_FAULT'] = fault
    began = time.monotonic()
    done = subprocess.run([*prefix, SUTURE, *map(str, arguments)], env=environment, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    return Result(done.returncode, done.stdout.decode('utf-8', 'replace'),
                  done.stderr.decode('utf-8', 'replace'), time.monotonic() - began)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def pids(*victims):
    return [word for victim in victims
            for word in ('--pid', str(getattr(victim, 'pid', victim)))]


def change(*arguments, victims, wait, fault, **more):
    result = suture(*arguments, '--yes', '--json', '--wait', wait, *pids(*victims), fault=fault,
                    **more)
    result.named = {getattr(victim, 'pid', victim) for victim in victims}
    return result


def apply(path, *victims, wait=5, fault=None, **more):
    return change('apply', path, '--digest', digest(path), victims=victims, wait=wait, fault=fault,
                  **more)


def rollback(*victims, wait=5, fault=None, id=None, **more):
    return change('rollback', *([id] if id else []), victims=victims, wait=wait, fault=fault, **more)


def status(*victims):
    result = suture('status', '--json', *pids(*victims))
    equal(result.code, 0, f'suture status ({result.told()})')
    return result


def records(victim):
    """The records of the victim's first process."""
    return [module for item in status(victim).items if item['pid'] == getattr(victim, 'pid', victim)
            for module in item['modules'] if module['state'] != 'unpatched']


def must(result, code=0, words=()):
    """The result has this exit code (and these results)."""
    check(result.code == code, f'exit code {result.code}, expected {code}: {result.told()}')
    if words:
        check(set(result.results()) <= set(words), f'results {result.results()}: {result.told()}')
    return result


# Memory

def mappings(pid):
    """(start, end, permissions, name, offset) of each mapping."""
    lines = pathlib.Path(f'/proc/{pid}/maps').read_text().splitlines()
    found = []
    for line in lines:
        parts = line.split(None, 5)
        start, end = (int(part, 16) for part in parts[0].split('-'))
        found.append((start, end, parts[1], parts[5] if len(parts) > 5 else '', int(parts[2], 16)))
    return found


def code_ends(memory, header):
    """File offsets of the code segments of the ELF file mapped at `header`, and where they end."""
    memory.seek(header)
    head = memory.read(4096)
    if head[:4] != b'\x7fELF':
        return {}
    phoff, = struct.unpack_from('<Q', head, 32)
    count, = struct.unpack_from('<H', head, 56)
    ends = {}
    for i in range(count):
        kind, flags, offset, _, _, size = struct.unpack_from('<IIQQQQ', head, phoff + 56 * i)
        if kind == 1 and flags & 1:
            ends[offset & ~4095] = offset + size
    return ends


def code_of(pid):
    """A digest of each code segment that is from a file, by its address. What lies behind its end on
    the last page is nobody's code; suture's calls pass through there."""
    codes, ends = {}, {}
    with open(f'/proc/{pid}/mem', 'rb') as memory:
        for start, end, permissions, name, offset in mappings(pid):
            if not name.startswith('/'):
                continue
            if offset == 0:
                ends = code_ends(memory, start)
            if 'x' in permissions and offset in ends:
                memory.seek(start)
                code = memory.read(min(end - start, ends[offset] - offset))
                codes[start] = hashlib.sha256(code).hexdigest()
    return codes


def subtract(ranges, cuts):
    """What of the ranges no cut covers."""
    for cut_start, cut_end in cuts:
        rest = []
        for start, end in ranges:
            if cut_end <= start or end <= cut_start:
                rest.append((start, end))
                continue
            if start < cut_start:
                rest.append((start, cut_start))
            if cut_end < end:
                rest.append((cut_end, end))
        ranges = rest
    return ranges


def accounted(victim):
    """The ranges that `suture status` says the patch takes, in whole pages."""
    found = []
    for record in records(victim):
        for area in record['memory']:
            start = int(area['address'], 16)
            found.append((start & ~4095, (start + area['size_bytes'] + 4095) & ~4095))
    return found


class Footprint:
    """What a process looks like before, to be compared with after."""

    def __init__(self, victim):
        self.pid = getattr(victim, 'pid', victim)
        self.victim = victim
        self.maps, self.code = mappings(self.pid), code_of(self.pid)

    def leftovers(self):
        """Mappings that were not there before and that no record accounts for."""
        new = [(start, end) for start, end, _, name, _ in mappings(self.pid)
               if not name.startswith('[stack') and name != '[heap]']
        known = [(start, end) for start, end, *_ in self.maps] + accounted(self.victim)
        return subtract(new, known)

    def check_maps(self):
        left = self.leftovers()
        check(not left, 'mapped and not accounted for: ' +
              ', '.join(f'{start:x}-{end:x}' for start, end in left))

    def check_restored(self):
        """After a rollback: the code is what it was, and nothing unknown is mapped."""
        self.check_maps()
        now = code_of(self.pid)
        for start, was in self.code.items():
            check(now.get(start) == was, f'the code at {start:x} is not what it was')


# Whole stories

def round_trip(victim, patch, first=VULNERABLE, then=LEVEL_1, wait=5, footprint=True):
    """Ask, patch, ask again, roll back, ask again. Without `footprint` the mappings are not
    compared, for victims that make and remove some themselves."""
    victim.says(first)
    before = Footprint(victim) if footprint else None
    must(apply(patch, victim, wait=wait), 0, ['done'])
    victim.says(then)
    check(any(record['state'] == 'active' for record in records(victim)), 'no active record')
    if before:
        before.check_maps()
    must(rollback(victim, wait=wait), 0, ['done'])
    victim.says(first)
    if before:
        before.check_restored()


def mode_patch(program, level=1):
    names = {'victim-pie': 'victim-pie', 'victim-stripped': 'victim-pie',
             'victim-nopie': 'victim-nopie', 'victim-lib': 'subject', 'server': 'subject'}
    return patch_path(names[program], level)


# TAP

TESTS = []


def test(function=None, *, name=None):
    def add(function):
        TESTS.append((name or function.__name__.replace('_', ' '), function))
        return function
    return add(function) if function else add


def each(values, template):
    """Makes a test for each value."""
    def add(function):
        for value in values:
            TESTS.append((template.format(value), lambda value=value: function(value)))
        return function
    return add


def main():
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended by SIGTERM'))
    if os.geteuid() != 0:
        print('Bail out! root is needed')
        return 1
    if os.environ.get('VICTIMS') is None:
        print('Bail out! VICTIMS is not set')
        return 1
    build_victims()
    return run_tests()


def run_tests():
    """Runs all tests, or those that a word of the command line is part of; says it in TAP."""
    wanted = sys.argv[1:]
    chosen = [(name, function) for name, function in TESTS
              if not wanted or any(word in name for word in wanted)]
    failed = not chosen
    for number, (name, function) in enumerate(chosen, 1):
        try:
            function()
            print(f'ok {number} - {name}')
        except Skipped as reason:
            print(f'ok {number} - {name} # SKIP {reason}')
        except Exception as error:  # pylint: disable=broad-except
            failed = True
            print(f'not ok {number} - {name}')
            if not isinstance(error, Failed):
                error = traceback.format_exc()
            for line in str(error).splitlines():
                print(f'# {line}')
    print(f'1..{len(chosen)}')
    return int(failed)
