#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""redis, as Debian shipped it, against CVE-2026-25243: RESTORE takes a damaged value.

The probe restores a zipmap whose value length of 4 is written in five bytes where one is due. The
vulnerable server takes it for granted ("OK"; the bytes are chosen so that nothing outside them is
read); the fixed one says that the data are bad.

The fix came with tests in Tcl. They start servers of their own; a hook behind the last step of their
start patches each of them while it runs. What they say of the vulnerable program that runs patched
must be what they say of the program that Debian built from the fixed source. (Some of them were
written for a newer redis and fail with that one, too.)"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from servers import CACHE, check, digest, driver_module, equal, inputs, main, story, suture_path, test

VALUE = (b'\x09\x0e\x01\x01\x6b\xfe\x04\x00\x00\x00\x00\x76\x61\x6c\x31\xff\x09\x00'
         b'\xd0\xf9\xe4\x1d\xe4\xfb\x11\x4c')

HOOK = '''
rename wait_server_started wait_server_started_alone
proc wait_server_started {config_file stdout pid} {
    set port_busy [wait_server_started_alone $config_file $stdout $pid]
    if {!$port_busy && [info exists ::env(SERVER_HOOK)]} {
        exec $::env(SERVER_HOOK) $pid
    }
    return $port_busy
}
'''

# Some tests start servers that are to end at once.
APPLY = '''#!/bin/sh
runs() {{ [ "$(readlink /proc/$1/exe)" = {program} ]; }}
runs $1 || exit 0
{suture} apply {patch} --digest {digest} --yes --pid $1 >>{log} 2>&1 || ! runs $1
'''

OF_THE_FIX = [
    'corrupt payload: zipmap - 5 bytes length encoding and a huge field',
    'corrupt payload: zipmap - 5 bytes length encoding for a small field',
    'corrupt payload: zipmap - 5 bytes length encoding for a small value']


def restore(server):
    client = driver_module('redis').Client(server.ports['redis'])
    answer = str(client('RESTORE', 'probe', 0, VALUE, 'REPLACE'))
    client('DEL', 'probe')
    client.socket.close()
    return answer


@test
def redis_under_traffic_refuses_a_damaged_value_once_patched():
    story('redis', restore, 'OK', 'ERR Bad data format')


class Suite:
    """A copy of redis' tests, with a program in the place where they look for it."""

    def __init__(self, programs):
        self.folder = tempfile.mkdtemp(prefix='redis-tests-')
        shutil.copytree(CACHE / 'redis' / 'suite', self.folder, dirs_exist_ok=True, symlinks=True)
        shutil.copytree(programs / 'usr' / 'bin', os.path.join(self.folder, 'src'), symlinks=True)
        with open(os.path.join(self.folder, 'tests/support/server.tcl'), 'a', encoding='utf-8') as file:
            file.write(HOOK)

    def hook(self, patch):
        """The program that patches a server that the tests have started."""
        path, self.log = os.path.join(self.folder, 'hook'), os.path.join(self.folder, 'hook.log')
        program = os.path.realpath(os.path.join(self.folder, 'src', 'redis-server'))
        with open(path, 'w', encoding='utf-8') as file:
            file.write(APPLY.format(program=program, suture=suture_path(), patch=patch,
                                    digest=digest(patch), log=self.log))
        os.chmod(path, 0o755)
        return path

    def run(self, patch=None):
        """{test: passed} of the files that the fix touches."""
        environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8'}
        if patch:
            environment['SERVER_HOOK'] = self.hook(patch)
        done = subprocess.run(
            ['tclsh', 'tests/test_helper.tcl', '--clients', '1', '--durable', '--single', 'unit/dump',
             '--single', 'integration/corrupt-dump', '--skiptest', '/fuzzer|wouldn.t fit|OOM|MIGRATE'],
            cwd=self.folder, env=environment, check=False, capture_output=True, text=True,
            errors='replace', stdin=subprocess.DEVNULL, timeout=300)
        told = re.sub(r'\x1b\[[\d;]*m', '', done.stdout)
        results = dict.fromkeys(re.findall(r'^\[ok\]: (.*) \(\d+ ms\)$', told, re.M), True)
        results |= dict.fromkeys(re.findall(r'^\[err\]: (.*) in tests/', told, re.M), False)
        check(len(results) > 20, f'the tests did not run: {told[-600:]} {done.stderr[-300:]}')
        return results

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


@test
def tests_of_the_fix_pass_in_vulnerable_servers_that_run_patched():
    root, patch = inputs('redis')
    with Suite(root) as suite:
        vulnerable = suite.run()
        patched = suite.run(patch)
        with open(suite.log, encoding='utf-8') as file:
            check(file.read().count('is PATCHED') > 10, 'the servers of the tests were not patched')
    with Suite(CACHE / 'redis' / 'fixed') as suite:
        fixed = suite.run()
    differ = {name for name in patched.keys() | fixed.keys() if patched.get(name) != fixed.get(name)}
    equal(differ, set(), 'tests that say something else of patched servers than of those that Debian fixed')
    changed = sorted(name for name in patched if patched[name] and not vulnerable.get(name))
    equal(changed, OF_THE_FIX, 'tests that pass with the patch only')
    equal([name for name in vulnerable if vulnerable[name] and not patched.get(name)], [],
          'tests that the patch breaks')


if __name__ == '__main__':
    sys.exit(main())
