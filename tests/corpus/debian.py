# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources and binary packages of Debian, through the private apt that suture keeps in its cache.

What could not be fetched raises Absent: that is no verdict on a fix, and is never shown as one.
"""
import os
import re
import shutil
import subprocess

FETCH_S = 600


class Absent(Exception):
    """Something the archive does not give, in a sentence."""


def run(*command, cwd=None, check=True, **more):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True,
                          errors='replace', stdin=subprocess.DEVNULL, check=False, **more)
    if check and done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f'{command[0]} {command[1]}: {words[-1] if words else "failed"}')
    return done.stdout


def version_in_file(version):
    """An epoch is not part of a file's name."""
    return version.split(':', 1)[-1]


class Archive:
    def __init__(self, suture, cache, folder):
        self.config = cache / 'apt' / 'apt.conf'
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if not self.config.exists():
            self.make_apt(suture, cache)

    def make_apt(self, suture, cache):
        """suture makes its apt before it looks for the source, so any source will do."""
        patch = self.folder / 'no.patch'
        patch.write_text('--- a/none\n+++ b/none\n@@ -0,0 +1 @@\n+none\n')
        subprocess.run([suture, 'build', '--cache', cache, '--source', 'libmodbus=0', '--fix', patch,
                        '--output', self.folder / 'no.spatch', '--quiet'],
                       capture_output=True, check=False)
        if not self.config.exists():
            raise Absent('the package lists cannot be fetched')

    def apt(self, *command, cwd=None):
        environment = dict(os.environ, APT_CONFIG=str(self.config), LC_ALL='C.UTF-8')
        try:
            return run(*command, cwd=cwd, env=environment, timeout=FETCH_S)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise Absent(re.sub(r'https?://\S+/', '', str(error))) from error

    def find_version(self, source):
        """The version that an unnamed one means: the newest that can be fetched."""
        text = self.apt('apt-cache', 'showsrc', '--only-source', source)
        versions = sorted(set(re.findall(r'^Version: (\S+)', text, re.MULTILINE)),
                          key=VersionKey, reverse=True)
        for version in versions:
            try:
                self.dsc(source, version)
                return version
            except Absent:
                continue
        raise Absent(f'no version of the source {source} can be fetched')

    def dsc(self, source, version):
        path = self.folder / f'{source}_{version_in_file(version)}.dsc'
        if not path.exists() or not self.is_whole(path):
            self.apt('apt-get', 'source', '--download-only', '-qq', '--only-source',
                     f'{source}={version}', cwd=self.folder)
        if not path.exists():
            raise Absent(f'the source {source} {version} cannot be fetched')
        return path

    def is_whole(self, dsc):
        names = re.findall(r'^ [0-9a-f]{64} \d+ (\S+)$', dsc.read_text(), re.MULTILINE)
        return names and all((self.folder / name).exists() for name in names)

    def unpack(self, source, version, folder, patched=True):
        """The source in `folder`, anew; with or without its debian/patches applied."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        how = [] if patched else ['--skip-patches']
        run('dpkg-source', *how, '--no-check', '-x', self.dsc(source, version), folder)
        return folder

    def binary_packages(self, source, version):
        """(package, version) of what the source ships for this machine."""
        text = self.apt('apt-cache', 'showsrc', '--only-source', source)
        stanza = next((part for part in text.split('\n\n') if f'\nVersion: {version}\n' in part), '')
        listed = re.findall(r'^ (\S+) deb \S+ \S+(.*)$', stanza, re.MULTILINE)
        names = [name for name, more in listed if 'arch=all' not in more]
        found = []
        for name in sorted(set(names)):
            if not re.search(r'-(dev|doc|dbg|dbgsym)$', name):
                found += self.binary_versions(name, source, version)
        return found

    def binary_versions(self, name, source, version):
        try:
            text = self.apt('apt-cache', 'show', '--all-versions', name)
        except Absent:
            return []
        for part in text.split('\n\n'):
            own = re.search(r'^Version: (\S+)', part, re.MULTILINE)
            other = re.search(r'^Source: (\S+)(?: \((\S+)\))?', part, re.MULTILINE)
            if own and (other.group(2) if other and other.group(2) else own.group(1)) == version and \
                    (other.group(1) if other else name) == source:
                return [(name, own.group(1))]
        return []

    def shipped_root(self, source, version, folder):
        """The shipped binaries, unpacked into one folder."""
        if (folder / '.whole').exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        packages = self.binary_packages(source, version)
        if not packages:
            raise Absent(f'no binary package of {source} {version} is in the archive')
        debs = folder.parent / (folder.name + '.debs')
        debs.mkdir(parents=True, exist_ok=True)
        for name, binary in packages:
            self.apt('apt-get', 'download', '-qq', f'{name}={binary}', cwd=debs)
        for deb in sorted(debs.glob('*.deb')):
            run('dpkg-deb', '-x', deb, folder)
        (folder / '.whole').touch()
        return folder

    def add_packages(self, names, folder):
        """The newest of these binary packages, unpacked into a folder over what is there."""
        debs = folder.parent / (folder.name + '.debs')
        debs.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not list(debs.glob(f'{name}_*.deb')):
                self.apt('apt-get', 'download', '-qq', name, cwd=debs)
            for deb in debs.glob(f'{name}_*.deb'):
                run('dpkg-deb', '-x', deb, folder)


class VersionKey:
    """Versions in dpkg's order."""
    def __init__(self, text):
        self.text = text

    def __lt__(self, other):
        return subprocess.run(['dpkg', '--compare-versions', self.text, 'lt', other.text],
                              check=False).returncode == 0
