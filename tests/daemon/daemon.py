#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sutured: what is kept is applied, to every instance, whatever happens to sutured."""
import collections
import contextlib
import json
import os
import pathlib
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sutured import CallFailed, Daemon, harness, once, suture    # noqa: E402
from harness import LEVEL_1, VULNERABLE, check, equal, patch_path, test, wait_for   # noqa: E402


@test
def what_is_applied_is_kept_and_given_to_every_new_process():
    with Daemon() as daemon:
        daemon.start()
        with harness.Victim('victim-lib', 'threads', 4) as victim:
            reply = daemon.apply(patch_path('subject'))
            check(reply['stored'] and not reply['faults'], str(reply))
            equal([(item['pid'], item['result']) for item in reply['processes']],
                  [(victim.pid, 'done')], 'who was patched')
            victim.says(LEVEL_1)
        equal(daemon.apply(patch_path('once-pie'))['processes'], [], 'no instance yet')
        daemon.settle()
        answers = collections.Counter(once() for _ in range(50))
        equal(dict(answers), {'fixed': 50}, f'answers of 50 starts: {daemon.events()[-5:]}')
        equal(daemon.stop(), 0, 'the exit code')


@test
def a_victim_that_is_killed_and_started_fifty_times():
    with Daemon() as daemon:
        daemon.start()
        daemon.apply(patch_path('subject'))
        daemon.settle()
        for _ in range(50):
            with harness.Victim('victim-lib', 'threads', 2) as victim:
                victim.says(LEVEL_1)
                # Every answer it ever gave: its first round was on the new code already.
                equal({slot[2] & 3 for slot in victim.slots() if slot[0]}, {LEVEL_1}, 'answers')
        wait_for(lambda: daemon.count('program-patched') == 50, 'fifty reports')
        equal(daemon.count('program-patched-late') + daemon.count('program-not-patched'), 0,
              'late or not patched')


@test
def who_runs_when_sutured_starts_is_patched():
    with Daemon() as daemon:
        daemon.start()
        daemon.apply(patch_path('subject'))
        daemon.stop()
        with harness.Victim('victim-lib', 'threads', 2) as victim:
            victim.says(VULNERABLE)
            daemon.start()
            victim.says(LEVEL_1)
            equal(daemon.call('Status')['processes'], 1, 'processes known')


@test
def rolled_back_it_is_gone_from_the_store_and_from_every_process():
    with Daemon() as daemon, harness.Victim('victim-lib', 'threads', 2) as victim:
        daemon.start()
        daemon.apply(patch_path('subject'))
        daemon.apply(patch_path('once-pie'))
        daemon.settle()
        equal(once(), 'fixed', 'a new process')
        reply = daemon.call('Rollback', {'id': 'TEST-subject'})
        equal([(item['pid'], item['result']) for item in reply['processes']],
              [(victim.pid, 'done')], 'who was rolled back')
        victim.says(VULNERABLE)
        daemon.call('Rollback', {'id': 'TEST-once-pie.1'})
        daemon.settle()
        equal(once(), 'vulnerable', 'a new process')
        equal(daemon.call('ListPatches'), {'patches': [], 'faults': []}, 'the store')


@test
def held_and_enabled_again():
    with Daemon() as daemon:
        daemon.start()
        with harness.Victim('victim-lib', 'threads', 2) as victim:
            equal(daemon.apply(patch_path('subject'), hold=True)['processes'], [], 'held')
            daemon.settle()
            victim.says(VULNERABLE)
            equal([patch['state'] for patch in daemon.call('ListPatches')['patches']], ['held'],
                  'the store')
            daemon.call('SetState', {'id': 'TEST-subject', 'state': 'enabled'})
            wait_for(lambda: victim.ask() == {LEVEL_1}, 'it is patched')


@test
def policy_says_who_gets_it():
    policy = '[Rule one]\nPath={}\nMode={}\n'
    for mode, first in (('hold', 'vulnerable'), ('ask', 'vulnerable'), ('automatic', 'fixed')):
        with Daemon(policy.format(harness.VICTIMS / 'once-pie', mode)) as daemon:
            daemon.start()
            daemon.apply(patch_path('once-pie'))
            daemon.apply(patch_path('once-nopie'))
            daemon.settle()
            equal(once(), first, mode)
            equal(once('once-nopie'), 'fixed', 'the other program')


@test
def excluded_means_never():
    with Daemon(f'[Exclude one]\nPath={harness.VICTIMS}/victim-lib\n') as daemon:
        daemon.start()
        with harness.Victim('victim-lib', 'threads', 2) as victim:
            equal(daemon.apply(patch_path('subject'))['processes'], [], 'asked for, and excluded')
            victim.says(VULNERABLE)
        daemon.settle()
        with harness.Victim('victim-lib', 'threads', 2) as victim:
            victim.says(VULNERABLE)
        equal(once('once-lib'), 'fixed', 'another program with the library')


@test
def a_policy_that_is_read_anew_holds_from_then_on():
    with Daemon() as daemon:
        daemon.start()
        daemon.apply(patch_path('once-pie'))
        daemon.settle()
        daemon.config.write_text('[Policy]\nMode=nonsense\n')
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: daemon.count('policy-refused') == 1, 'the policy is refused')
        check(daemon.call('Status')['policy_fault'], 'the fault is not told')
        equal(once(), 'fixed', 'the policy from before')
        daemon.config.write_text('[Defaults]\nMode=hold\n')
        daemon.call('Reload')
        daemon.settle()
        equal(once(), 'vulnerable', 'the new policy')


@test
def killed_at_random_it_harms_nobody_and_knows_all_again():
    with Daemon() as daemon, harness.Victim('victim-lib', 'threads', 4) as victim:
        daemon.start()
        daemon.apply(patch_path('subject'))
        for round_ in range(15):
            daemon.stop(signal.SIGKILL)
            daemon.start(ready=False)
            time.sleep(0.03 * round_)
            victim.sound()
            equal(once('once-static'), 'vulnerable', 'a program without a patch starts')
        daemon.stop(signal.SIGKILL)
        victim.says(LEVEL_1)
        daemon.start()
        equal(daemon.call('Status')['processes'], 1, 'processes known')
        victim.says(LEVEL_1)
        with harness.Victim('victim-lib', 'threads', 2) as second:
            second.says(LEVEL_1)
    wait_for(lambda: not leftovers(), 'nothing of it runs')


def leftovers():
    """Processes of the guard whose sutured is gone."""
    found = []
    for entry in os.listdir('/proc'):
        try:
            words = pathlib.Path(f'/proc/{entry}/stat').read_text().rpartition(')')
        except (OSError, ValueError):
            continue
        if '(suture-' in words[0] and words[2].split()[1] == '1':
            found.append(entry)
    return found


@test
def a_hundred_patched_processes_over_an_upgrade():
    victims = []
    with Daemon() as daemon:
        try:
            daemon.start()
            daemon.apply(patch_path('subject'))
            daemon.settle()
            victims = [harness.Victim('victim-lib', 'threads', 1) for _ in range(100)]
            before = [harness.code_of(victim.pid) for victim in victims]
            daemon.stop()
            daemon.start()
            equal(daemon.call('Status')['processes'], 100, 'processes known')
            equal([harness.code_of(victim.pid) for victim in victims], before, 'their code')
            for victim in victims[::10]:
                victim.says(LEVEL_1)
        finally:
            for victim in victims:
                victim.close()


@test
def a_patch_whose_service_dies_is_quarantined():
    with Daemon('[CrashGuard]\nDeaths=3\nWithin=10min\n') as daemon:
        daemon.start()
        daemon.apply(patch_path('subject'))
        daemon.settle()
        for _ in range(3):
            with harness.Victim('victim-lib', 'threads', 1) as victim:
                victim.says(LEVEL_1)
                os.kill(victim.pid, signal.SIGSEGV)
                victim.process.wait()
        wait_for(lambda: daemon.count('patch-quarantined') == 1, 'the quarantine')
        daemon.settle()
        patch = daemon.call('ListPatches')['patches'][0]
        equal(patch['state'], 'quarantined', 'its state')
        check(patch['reason'], 'no reason is given')
        with harness.Victim('victim-lib', 'threads', 1) as victim:
            victim.says(VULNERABLE)
            daemon.stop()
            daemon.start()
            victim.says(VULNERABLE)


@test
def one_that_dies_right_after_it_was_patched_counts():
    with Daemon('[CrashGuard]\nDeaths=2\nWithin=10min\n') as daemon:
        daemon.start()
        for _ in range(2):
            with harness.Victim('victim-lib', 'threads', 1) as victim:
                daemon.apply(patch_path('subject'), once=True)
                os.kill(victim.pid, signal.SIGSEGV)
                victim.process.wait()
        wait_for(lambda: daemon.count('patch-quarantined') == 1, 'the quarantine')


@test
def who_ends_as_it_should_is_no_crash():
    with Daemon('[CrashGuard]\nDeaths=2\nWithin=10min\n') as daemon:
        daemon.start()
        daemon.apply(patch_path('subject'))
        daemon.settle()
        for how in (signal.SIGTERM, signal.SIGKILL) * 3:
            with harness.Victim('victim-lib', 'threads', 1) as victim:
                os.kill(victim.pid, how)
                victim.process.wait()
        equal(daemon.count('patch-quarantined'), 0, 'quarantines')


@test
def untrusted_bytes_are_refused():
    with Daemon() as daemon:
        daemon.start()
        good = patch_path('subject').read_bytes()
        file = daemon.folder / 'bad.spatch'
        for bad in (b'', b'\x7fELF', good[:len(good) // 2], good[:-1], os.urandom(65536)):
            file.write_bytes(bad)
            try:
                daemon.apply(file)
                check(False, f'{len(bad)} bad bytes were taken')
            except CallFailed as fault:
                equal(fault.error, 'org.suture.Daemon.Refused', 'the answer')
        file.write_bytes(good)
        try:
            with open(file, 'rb') as stream:
                daemon.call('Apply', {'digest': '0' * 64}, stream.fileno())
            check(False, 'another digest was taken')
        except CallFailed as fault:
            equal(fault.parameters['exit_code'], 5, 'the exit code')
        end, begin = os.pipe()  # never written, never closed
        with daemon.client() as client:
            client.send('Apply', {'digest': '0' * 64}, end)
            equal(daemon.call('Status')['enabled'], 0, 'another client is served meanwhile')
        os.close(end)
        os.close(begin)
        equal(daemon.call('ListPatches')['patches'], [], 'the store')


@test
def only_root_and_its_group_may_change_something():
    with Daemon() as daemon:
        daemon.start()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                daemon.call('Status')
                daemon.call('ListPatches')
                refused = 0
                for method in ('Apply', 'Rollback', 'SetState', 'Reload'):
                    try:
                        daemon.call(method, {'id': 'x', 'digest': '0' * 64})
                    except CallFailed as fault:
                        refused += fault.error.endswith('.NotAllowed')
                code = 0 if refused == 4 else 2
            finally:
                os._exit(code)
        equal(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0, 'what nobody may')


@test
def peers_that_send_nonsense_or_nothing_or_do_not_read():
    with Daemon() as daemon:
        daemon.start()
        before = daemon.descriptors()
        peers = []
        for bad in (b'\0', b'x\0', b'[]\0', b'{}\0', b'{"method":7}\0', b'[' * 60000 + b'\0',
                    b'{"method":"a","parameters":[]}\0', b'x' * 200000,
                    b'{"method":"org.suture.Daemon.Status"}\0' * 5000, b'{"method":'):
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            peer.settimeout(2)
            peer.connect(daemon.socket)
            try:
                peer.sendall(bad)
            except (OSError, TimeoutError):
                pass  # closed by sutured, or it reads no more from one that does not read
            peers.append(peer)
        equal(daemon.call('Status')['enabled'], 0, 'others are served')
        for _ in range(200):  # more than it takes
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            peer.setblocking(False)
            try:
                peer.connect(daemon.socket)
            except BlockingIOError:
                pass
            peers.append(peer)
        for peer in peers:
            peer.close()
        wait_for(lambda: daemon.descriptors() <= before, 'all connections are closed')
        equal(daemon.call('Status')['enabled'], 0, 'others are served')


@test
def its_interfaces_describe_themselves():
    with Daemon() as daemon:
        daemon.start()
        info = daemon.call('org.varlink.service.GetInfo')
        for name in info['interfaces']:
            text = daemon.call('org.varlink.service.GetInterfaceDescription',
                               {'interface': name})['description']
            check(f'interface {name}' in text, f'{name}: {text[:80]}')
        try:
            daemon.call('Nothing')
            check(False, 'a method that is not there')
        except CallFailed as fault:
            equal(fault.error, 'org.varlink.service.MethodNotFound', 'the answer')


@test
def who_watches_is_told():
    with Daemon() as daemon:
        daemon.start()
        with daemon.client() as client:
            client.send('Watch', more=True)
            equal(daemon.call('Status')['enabled'], 0, 'the call is under way')
            daemon.apply(patch_path('once-pie'))
            equal(client.receive()['event'], 'patch-enabled', 'the first event')


@test
def systemd_is_told_when_it_watches():
    with Daemon() as daemon:
        path = str(daemon.folder / 'notify')
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(30)
        manager.bind(path)
        daemon.start(env={'NOTIFY_SOCKET': path, 'WATCHDOG_USEC': '1000000'})
        words = ''
        while 'READY=1' not in words or words.count('WATCHDOG=1') < 3:
            words += manager.recv(4096).decode() + '\n'
        check('STATUS=' in words, words)
        daemon.stop()
        while 'STOPPING=1' not in words:
            words += manager.recv(4096).decode() + '\n'


@test
def its_memory_stays_flat():
    with Daemon() as daemon:
        daemon.start()
        daemon.apply(patch_path('once-pie'))
        daemon.settle()
        loop = f'for i in $(seq 300); do {harness.VICTIMS}/once-pie; /bin/true; done > /dev/null'
        harness.subprocess.run(['bash', '-c', loop], check=False)
        before, descriptors = daemon.memory_kb(), daemon.descriptors()
        for _ in range(4):
            harness.subprocess.run(['bash', '-c', loop], check=False)
        wait_for(lambda: daemon.count('program-patched') == 1500, 'all reports')
        check(daemon.memory_kb() <= before + 256, f'{before} kB grew to {daemon.memory_kb()}')
        check(daemon.descriptors() <= descriptors, 'descriptors are lost')
        equal(daemon.call('Status')['processes'], 0, 'processes known')


@test
def its_log_is_whole():
    with Daemon() as daemon:
        daemon.start()
        daemon.apply(patch_path('once-pie'))
        daemon.settle()
        once()
        daemon.stop(signal.SIGKILL)
        daemon.start()
        result = harness.suture('log', 'verify', daemon.log, '--anchor', daemon.store.parent,
                                '--json')
        equal(result.code, 0, result.told())
        check(result.json['verdict']['anchored'], json.dumps(result.json))


def apply_words(name):
    path = patch_path(name)
    return 'apply', path, '--digest', harness.digest(path), '--yes', '--json'


@test
def the_command_line_goes_through_it():
    with Daemon() as daemon, harness.Victim('victim-lib', 'threads', 2) as victim:
        daemon.start()
        result = harness.must(suture(daemon, *apply_words('subject')), 0)
        equal((result.results(), result.json['kept']), (['done'], True), 'apply')
        victim.says(LEVEL_1)
        daemon.settle()
        with harness.Victim('victim-lib', 'threads', 2) as second:
            second.says(LEVEL_1)
        status = harness.must(suture(daemon, 'status', '--json'), 0)
        equal((status.json['guard'], [(kept['id'], kept['state']) for kept in status.json['kept']]),
              ('events', [('TEST-subject', 'enabled')]), 'status')
        result = harness.must(suture(daemon, *apply_words('subject')), 0)
        equal(result.results(), ['unchanged'], 'once more')
        result = harness.must(suture(daemon, 'rollback', 'TEST-subject', '--yes', '--json'), 0)
        equal((result.results(), result.json['no_longer_kept']), (['done'], True), 'rollback')
        victim.says(VULNERABLE)
        result = harness.must(suture(daemon, *apply_words('subject'), '--once'), 0)
        equal((result.results(), result.json['kept']), (['done'], False), 'apply --once')
        equal(daemon.call('ListPatches')['patches'], [], 'the store')


@test
def the_command_line_without_it_leaves_the_patch_for_it():
    with Daemon() as daemon, harness.Victim('victim-lib', 'threads', 2) as victim:
        result = harness.must(suture(daemon, *apply_words('subject')), 0)
        equal(result.json['kept'], False, 'there is no store')
        harness.must(suture(daemon, 'rollback', 'TEST-subject', '--yes'), 0)
        daemon.store.mkdir(parents=True)
        result = harness.must(suture(daemon, *apply_words('subject')), 0)
        equal(result.json['kept'], True, 'there is one')
        victim.says(LEVEL_1)
        equal(suture(daemon, 'status', '--json').json['guard'], 'none', 'status')
        daemon.start()
        with harness.Victim('victim-lib', 'threads', 2) as second:
            second.says(LEVEL_1)
        daemon.stop()
        harness.must(suture(daemon, 'rollback', 'TEST-subject', '--yes'), 0)
        victim.says(VULNERABLE)
        equal(suture(daemon, 'status', '--json').json['kept'], [], 'the store')


@test
def it_is_never_waited_for():
    with Daemon() as daemon:
        daemon.start()
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            result = harness.must(suture(daemon, 'status', '--json'), 0)
            equal(result.json['guard'], 'hangs', 'status')
        finally:
            daemon.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def unit(victim):
    """Puts the victim into a unit of its own, as systemd would."""
    mounts = [line.split() for line in pathlib.Path('/proc/mounts').read_text().splitlines()]
    root = next((words[1] for words in mounts if words[2] == 'cgroup2'), None)
    if not root:
        raise harness.Skipped('no cgroup v2 is mounted')
    name = f'suture-test-{os.getpid()}.service'
    group = pathlib.Path(root, name)
    group.mkdir()
    try:
        (group / 'cgroup.procs').write_text(str(victim.pid))
        yield name
    finally:
        victim.process.kill()
        victim.process.wait()
        wait_for(lambda: not (group / 'cgroup.procs').read_text(), 'the unit is empty')
        group.rmdir()


def with_health_check(daemon, victim, command):
    """Applies the patch where a command decides about the victim's unit."""
    script = daemon.folder / 'check'
    script.write_text(f'#!/bin/sh\n{command}\n')
    script.chmod(0o755)
    daemon.config.write_text(f'[Health one]\nUnit=suture-test-*.service\nCommand={script}\n'
                             'Timeout=10s\nInterval=300ms\nWatch=3s\n')
    daemon.start()
    return daemon.apply(patch_path('subject'))


@test
def a_health_check_that_fails_undoes():
    with Daemon() as daemon, harness.Victim('victim-lib', 'threads', 2) as victim, unit(victim):
        reply = with_health_check(daemon, victim,
                                  f'! {harness.SUTURE} status --pid {victim.pid} | grep -q PATCHED')
        check(reply['failed'], str(reply))
        equal(reply['processes'][-1]['result'], 'undone', 'the last result')
        victim.says(VULNERABLE)
        equal([patch['state'] for patch in daemon.call('ListPatches')['patches']],
              ['quarantined'], 'the store')
        check('health check' in daemon.said('patch-quarantined')[0]['fields']['reason'], 'reason')


@test
def a_health_check_that_goes_on_well_keeps():
    with Daemon() as daemon, harness.Victim('victim-lib', 'threads', 2) as victim, unit(victim):
        reply = with_health_check(daemon, victim, 'exit 0')
        check(not reply['failed'] and not reply['faults'], str(reply))
        victim.says(LEVEL_1)


@test
def store_writes_that_are_killed_leave_it_whole():
    with Daemon() as daemon:
        for round_ in range(20):
            daemon.start(ready=False)
            wait_for(lambda: daemon.process.poll() is None and os.path.exists(daemon.socket),
                     'the socket')
            child = os.fork()
            if child == 0:
                with contextlib.suppress(Exception):
                    daemon.apply(patch_path('once-pie'))
                    daemon.call('SetState', {'id': 'TEST-once-pie', 'state': 'held'})
                    daemon.call('Rollback', {'id': 'TEST-once-pie'})
                os._exit(0)
            time.sleep(0.01 * round_)
            daemon.stop(signal.SIGKILL)
            os.waitpid(child, 0)
        daemon.start()
        equal(daemon.call('ListPatches')['faults'], [], 'faults of the store')
        check(not [entry for entry in daemon.events() if entry['event'] == 'log-damaged'], 'the log')
        daemon.apply(patch_path('once-nopie'))
        daemon.settle()
        equal(once('once-nopie'), 'fixed', 'it goes on')


if __name__ == '__main__':
    sys.exit(harness.main())
