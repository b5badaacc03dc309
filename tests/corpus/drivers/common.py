# SPDX-License-Identifier: GPL-2.0-or-later
"""What the drivers share: finding the modules in FOLDER, starting what maps them, and telling how
it goes (the contract is in README.md).

A driver of a library compiles its worker, NAME.c, against the library in FOLDER; the worker loops
by itself and this file passes on what it says. A driver of a server starts it and asks it, over and
over, by the functions that it registers with `Driver.rounds`.
"""
import contextlib
import ctypes
import http.server
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

# The driver's programs are for reading: nothing is left beside them.
sys.dont_write_bytecode = True

HERE = pathlib.Path(__file__).resolve().parent
TELL_S = 0.4
START_S = 30


class Wrong(Exception):
    """A result that should be another one, in a sentence."""


def must(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def same(found, expected, what):
    must(found == expected, f'{what}: {found!r:.300}, expected {expected!r:.300}')


def free_port():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def parent_is_gone():
    """A driver that is killed leaves nothing running (prctl(PR_SET_PDEATHSIG))."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def soname(path):
    told = subprocess.run(['readelf', '-d', path], capture_output=True, text=True, check=False)
    found = re.search(r'\(SONAME\).*\[(.+)\]', told.stdout)
    return found.group(1) if found else None


def is_elf(path):
    with open(path, 'rb') as file:
        return file.read(4) == b'\x7fELF'


class Driver:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        must(self.folder.is_dir(), f'{folder} is no folder')
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix='driver-'))
        # Servers drop their rights and still must come in.
        os.chmod(self.scratch, 0o755)
        self.processes = []
        self.pids = []
        self.count = 0
        self.told = 0.0
        self.counting = threading.Lock()
        self.fault = None
        self.libraries = self.scratch / 'lib'
        self.link_libraries()

    def link_libraries(self):
        """A folder where each library of FOLDER has its SONAME, wherever it lies in FOLDER."""
        self.libraries.mkdir()
        for path in sorted(self.folder.rglob('*.so*')):
            if path.is_symlink() or not path.is_file() or not is_elf(path):
                continue
            name = soname(path)
            if name and not (self.libraries / name).exists():
                (self.libraries / name).symlink_to(path)

    def file(self, name):
        """The path of a program or library of FOLDER."""
        found = [path for path in self.folder.rglob(name) if path.is_file() and is_elf(path)]
        must(found, f'{self.folder} holds no {name}')
        return found[0]

    def environment(self, **more):
        environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8',
                       'HOME': str(self.scratch), 'LD_LIBRARY_PATH': str(self.libraries)}
        environment.update({key: str(value) for key, value in more.items()})
        return environment

    def spawn(self, *command, env=None, **more):
        log = open(self.scratch / 'log', 'ab')  # pylint: disable=consider-using-with
        more.setdefault('stdin', subprocess.DEVNULL)
        more.setdefault('stdout', log)
        more.setdefault('stderr', log)
        process = subprocess.Popen([str(word) for word in command], preexec_fn=parent_is_gone,
                                   env=self.environment(**(env or {})), **more)
        log.close()
        self.processes.append(process)
        return process

    def run(self, *command, env=None, **more):
        more.setdefault('timeout', START_S)
        return subprocess.run([str(word) for word in command], check=False, capture_output=True,
                              env=self.environment(**(env or {})), **more)

    def compile(self, name, *libraries, flags=()):
        """Builds the worker NAME.c against these libraries of FOLDER (by SONAME)."""
        program = self.scratch / name
        links = [str(self.libraries / library) for library in libraries]
        for library, link in zip(libraries, links):
            must(os.path.exists(link), f'{self.folder} holds no {library}')
        done = self.run('gcc', '-O1', '-std=gnu17', '-Wall', '-Wextra', '-o', program,
                        HERE / f'{name}.c', *links, f'-Wl,-rpath-link,{self.libraries}', *flags)
        must(done.returncode == 0, f'{name}.c cannot be compiled: {done.stderr.decode()}')
        return program

    def listens(self, port, process):
        """Waits until the server accepts connections."""
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(('127.0.0.1', port), timeout=1).close()
                return
            must(process.poll() is None, f'the server ended at once: {self.log()}')
            must(time.monotonic() < end, f'nothing listens on port {port}: {self.log()}')
            time.sleep(0.02)

    def log(self):
        return (self.scratch / 'log').read_text(errors='replace')[-800:]

    def alive(self):
        if self.fault:
            raise self.fault
        for process in self.processes:
            must(process.poll() is None,
                 f'process {process.pid} ended ({process.returncode}): {self.log()}')
        for pid in self.pids:
            must(os.path.exists(f'/proc/{pid}/maps') and self.state(pid) != 'Z',
                 f'process {pid} ended: {self.log()}')

    @staticmethod
    def state(pid):
        try:
            return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        except OSError:
            return 'Z'

    def maps(self, pid):
        """Whether the process maps a file of FOLDER."""
        with contextlib.suppress(OSError):
            return f' {self.folder}/' in pathlib.Path(f'/proc/{pid}/maps').read_text()
        return False

    def announce(self, *pids, **ports):
        """The PIDs on one line, then what listens where."""
        for pid in pids:
            must(self.maps(pid), f'process {pid} maps nothing of {self.folder}')
        self.pids = list(pids)
        print(*pids)
        for name, port in ports.items():
            print('listens', name, port)
        sys.stdout.flush()

    def right(self, results=1):
        """Counts correct results and tells how many there are so far."""
        with self.counting:
            self.count += results
            now = time.monotonic()
            if now - self.told > TELL_S:
                self.told = now
                print('ok', self.count, flush=True)

    def rounds(self, *functions):
        """Calls all of them in turn, for ever. What they return is the number of correct results."""
        while True:
            for function in functions:
                self.right(function() or 1)
            self.alive()

    def beside(self, function):
        """Calls it over and over in a thread, where the rounds are long."""
        def loop():
            try:
                while True:
                    self.right(function() or 1)
                    time.sleep(0.1)
            except Exception as fault:  # pylint: disable=broad-except
                self.fault = fault

        threading.Thread(target=loop, daemon=True).start()

    def relay(self, process):
        """The worker counts by itself."""
        for line in process.stdout:
            must(line.startswith(b'ok '), line.decode(errors='replace').strip())
            print(line.decode().strip(), flush=True)
        process.wait()
        raise Wrong(f'the worker ended ({process.returncode}): {self.log()}')

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)


class HTTPServer(http.server.ThreadingHTTPServer):
    """Clients may go away; what matters is what they got."""
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


def driver_module(name):
    """A driver as a Python module, for its client or its server."""
    loader = importlib.machinery.SourceFileLoader(f'driver_{name}', str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def children(pid):
    path = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
    return [int(word) for word in path.read_text().split()]


def ended(*_):
    raise SystemExit(0)


def main(drive):
    """`drive` gets a Driver and never returns; a wrong result is a Wrong."""
    if len(sys.argv) != 3 or sys.argv[1] != 'start':
        sys.exit(f'usage: {os.path.basename(sys.argv[0])} start FOLDER')
    name = os.path.basename(sys.argv[0])
    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
    driver = None
    try:
        driver = Driver(sys.argv[2])
        drive(driver)
    except Exception as fault:  # pylint: disable=broad-except
        told = str(fault) if isinstance(fault, (Wrong, OSError)) else traceback.format_exc()
        if driver:
            # A server that has died explains more than the connection that it left.
            with contextlib.suppress(OSError):
                time.sleep(0.1)
            with contextlib.suppress(Wrong):
                try:
                    driver.alive()
                except Wrong as dead:
                    told = f'{told} ({dead})'
        sys.stdout.flush()
        print(f'{name}: {told}', file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if driver:
            driver.close()
    return 0


def library(*libraries, flags=(), arguments=()):
    """The whole driver of a library: its worker has the driver's name."""
    name = os.path.basename(sys.argv[0])

    def drive(driver):
        program = driver.compile(name, *libraries, flags=flags)
        worker = driver.spawn(program, *arguments, cwd=driver.scratch, stdout=subprocess.PIPE)
        first = worker.stdout.readline()
        must(first.startswith(b'ok '), f'the worker says {first!r}: {driver.log()}')
        driver.announce(worker.pid)
        driver.relay(worker)

    sys.exit(main(drive))
