# SPDX-License-Identifier: GPL-2.0-or-later
"""A patch at work: applied to a process that maps the module and is busy in it, then rolled back.

The driver (drivers/README.md) checks every result it gets; its count must go on growing before, with
and after the patch. Nothing here passes when there is no driver or no process for it: that is skipped.
"""
import os
import pathlib
import signal
import subprocess
import threading
import time

DRIVERS = pathlib.Path(__file__).resolve().parent / 'drivers'
WAIT_S = 60
NOT_MAPPED = 'maps no module that the patch is for'
REPLACES_MAIN = 'SB132'


class Broken(Exception):
    """What went wrong, in a sentence."""


class Skipped(Exception):
    """Why it could not be tried, in a sentence."""


class Driver:
    """A running driver; its lines are read by a thread, so that nobody waits for one in vain."""
    def __init__(self, program, folder):
        self.pids, self.count, self.ended = [], 0, False
        self.process = subprocess.Popen([program, 'start', folder], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        errors='replace', start_new_session=True)
        self.errors = ''
        self.readers = [threading.Thread(target=self.read, daemon=True),
                        threading.Thread(target=self.read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def read(self):
        for line in self.process.stdout:
            words = line.split()
            if words and words[0] == 'ok':
                self.count = int(words[1])
            elif words and not self.pids and all(word.isdigit() for word in words):
                self.pids = words
        self.ended = True

    def read_errors(self):
        self.errors = self.process.stderr.read()

    def wait_for(self, true, what):
        end = time.monotonic() + WAIT_S
        while not true():
            if self.ended:
                self.process.wait()
                self.readers[1].join(5)
                words = ' '.join(self.errors.split())
                raise Broken(f'{what}: {words[:300] or "the driver ended"}')
            if time.monotonic() > end:
                raise Broken(f'{what}: no correct result for {WAIT_S} s')
            time.sleep(0.05)

    def goes_on(self, what):
        # Two more reports: the first may have been counted before.
        for _ in range(2):
            seen = self.count
            self.wait_for(lambda seen=seen: self.count > seen, what)

    def stop(self):
        """The exit code of the driver; it and what it started is gone afterwards."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            code = None
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        return code


def run_patch(suture, driver, spatch, digest, replaces_main):
    driver.wait_for(lambda: driver.pids and driver.count > 0, 'before the patch')
    pids = [word for pid in driver.pids for word in ('--pid', pid)]
    answer = suture.ask('apply', spatch, '--digest', digest, '--yes', '--json', *pids)
    if (answer.code == 0 and not answer.json.get('items')) or NOT_MAPPED in causes(answer):
        raise Skipped('the driver has no process that maps this module')
    if answer.code != 0 and replaces_main and 'main' in causes(answer):
        driver.goes_on('with no patch')
        raise Skipped('main is replaced, so only processes that start later take it (SB132)')
    if answer.code != 0:
        raise Broken(f'apply: {causes(answer)}')
    driver.goes_on('with the patch')
    answer = suture.ask('rollback', '--yes', '--json', *pids)
    if answer.code != 0 or not answer.json.get('items'):
        raise Broken(f'rollback: {causes(answer)}')
    driver.goes_on('after the rollback')


def causes(answer):
    """The first sentence that says why, of the whole or of one process."""
    items = answer.json.get('items') or []
    found = [item.get('cause') or item.get('error') for item in items]
    found = [answer.json.get('cause')] + [text for text in found if text]
    return next((str(text) for text in found if text), f'exit code {answer.code}')


def exercise(suture, name, folder, spatch, made):
    """{"outcome": "ok" | "failed" | "skipped", "text": sentence}; `made` is the result of the build."""
    program = DRIVERS / name
    if not os.access(program, os.X_OK):
        return {'outcome': 'skipped', 'text': 'no driver for this source'}
    driver = Driver(program, folder)
    try:
        run_patch(suture, driver, spatch, made['digest'],
                  any(finding[0] == REPLACES_MAIN for finding in made['findings']))
        code = driver.stop()
        if code != 0:
            raise Broken(f'the driver ended with {code}')
        return {'outcome': 'ok', 'text': ''}
    except Broken as error:
        return {'outcome': 'failed', 'text': str(error)}
    except Skipped as error:
        return {'outcome': 'skipped', 'text': str(error)}
    finally:
        driver.stop()
