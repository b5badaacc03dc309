# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs `suture build` for one fix and says what came of it.

outcomes: made, refused (a rule), failed (a sentence), "no code" (the shipped build does not contain
what the fix changes: SB105 and nothing else), "no C" (the fix touches no C or C++ file).
"""
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import time

LIMIT_S = 600
PACKAGE_LIMIT_S = 3 * 3600
NOTHING_DIFFERS = 'SB105'
PACKAGE_FAILED = 'building the original failed'
NOT_IN_THIS_BUILD = 'the fix changes nothing that '


@dataclasses.dataclass
class Answer:
    code: int
    json: dict
    seconds: float
    memory_mib: int
    timed_out: bool


class Suture:
    """The program, the cache that this worker uses, and the right to be stopped."""
    def __init__(self, program, cache, stop):
        self.program = program
        self.cache = cache
        self.stop = stop
        self.environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8',
                            'HOME': os.environ.get('HOME', '/')}

    def ask(self, *words, limit=LIMIT_S):
        began = time.monotonic()
        process = subprocess.Popen([str(self.program)] + [str(word) for word in words],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, env=self.environment,
                                   start_new_session=True)
        text, timed_out = self.follow(process, began + limit)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {}
        return Answer(process.returncode, answer, time.monotonic() - began,
                      usage.ru_maxrss // 1024, timed_out)

    def follow(self, process, deadline):
        """Reads until the program closes its output; interrupts it when it is time to."""
        text, timed_out, told = b'', False, 0
        os.set_blocking(process.stdout.fileno(), False)
        while True:
            part = process.stdout.read()
            if part == b'':
                return text, timed_out
            text += part or b''
            late = time.monotonic() > deadline
            if (late or self.stop.is_set()) and time.monotonic() > told + 30:
                timed_out = late
                process.send_signal(signal.SIGKILL if told else signal.SIGINT)
                told = time.monotonic()
            time.sleep(0.05)

    def built_packages(self, source):
        builds = self.cache / 'builds'
        return {path.name for path in builds.glob(f'{source}_*')} if builds.is_dir() else set()

    def build(self, source, *words):
        """Builds; where the package itself had to be built first, once more for the fix alone.
        Returns the answer and the seconds of the package's own build, None if it was there."""
        before = self.built_packages(source)
        answer = self.ask('build', '--json', '--cache', self.cache, *words, limit=PACKAGE_LIMIT_S)
        if self.built_packages(source) == before or self.stop.is_set():
            answer.timed_out = answer.timed_out or answer.seconds > LIMIT_S
            return answer, None
        again = self.ask('build', '--json', '--cache', self.cache, *words)
        return again, max(0.0, answer.seconds - again.seconds)


def log_figures(path):
    """The counts of the comparison, which only the log has: (changed, new)."""
    try:
        text = pathlib.Path(path).read_text(errors='replace')
    except OSError:
        return None
    found = re.findall(r'^\[\d/\d\] compare: (\d+) functions? changed, (\d+) new', text, re.MULTILINE)
    return [int(found[-1][0]), int(found[-1][1])] if found else None


def failed_step(text):
    return text.split(':', 1)[0] if ':' in text else ''


def judge(answer):
    """outcome and sentence, from what the program said."""
    told = answer.json
    fatal = [finding for finding in told.get('findings', []) if finding['fatal']]
    cause = told.get('cause') or ''
    if answer.timed_out:
        return 'failed', f'was not done after {LIMIT_S} s'
    if answer.code == 0 and told.get('digest'):
        return 'made', ''
    if NOT_IN_THIS_BUILD in cause:
        return 'no code', cause
    if fatal and {finding['code'] for finding in fatal} == {NOTHING_DIFFERS}:
        return 'no code', cause
    if fatal:
        return 'refused', cause
    if re.search(r'\bSB\d{3}\b', cause):
        code = re.search(r'\bSB\d{3}\b', cause).group(0)
        return ('no code' if code == NOTHING_DIFFERS else 'refused'), cause
    return 'failed', cause or f'ended with {answer.code} and said nothing'


def describe(answer, build_seconds):
    """What is kept of a build, for the document and for later."""
    told = answer.json
    outcome, sentence = judge(answer)
    findings = [[finding['code'], finding['fatal'], finding['where'], finding['text']]
                for finding in told.get('findings', [])]
    return {
        'outcome': outcome,
        'sentence': sentence,
        'rules': sorted({code for code, fatal, _, _ in findings if fatal} |
                        set(re.findall(r'\bSB\d{3}\b', sentence))),
        'findings': findings,
        'units': len(told.get('units', [])),
        'functions': log_figures(told.get('log', '')),
        'modules': {item['module']: item.get('functions', []) for item in told.get('items', [])
                    if 'module' in item},
        'proof': {item['module']: [item['proof']['n_functions_equal'], item['proof']['n_functions']]
                  for item in told.get('items', []) if 'proof' in item},
        'digest': told.get('digest'),
        'seconds': round(answer.seconds, 1),
        'memory_mib': answer.memory_mib,
        'size': told.get('size_bytes'),
        'package_seconds': None if build_seconds is None else round(build_seconds),
    }
