#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches of projects that are built where they are, by commands of every shape."""
import os
import shutil
import stat
import sys

from project import (AS_NOBODY, FIX, HEADER, LIMIT, NO_MOUNTS, NO_NAMESPACES, PATH, build, check,
                     cures, equal, run, says, scratch, source, write)
from harness import Skipped, each, run_tests, test

MAKEFILE = '''\
CFLAGS = -O2 -g
prog: main.o limit.o times.o
	$(CC) -o $@ $^
clean:
	rm -f *.o prog
'''


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=PATH):
            raise Skipped(f'{program} is not installed')


def in_place(folder, command, *more, tree=None, fix=None, env=None, **other):
    """Builds folder/tree with the command; the fix is fix.patch of the tree."""
    tree = tree or folder / 'tree'
    return build(folder, '--tree', tree, '--command', command, '--in-place', '--fix',
                 fix or tree / 'fix.patch', *more, env={'PATH': PATH, **(env or {})}, **other)


def project(folder, suffix='c', makefile=MAKEFILE):
    source(folder / 'tree', suffix)
    (folder / 'tree' / 'Makefile').write_text(makefile)
    return folder / 'tree'


def snapshot(tree):
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob('*')
            if path.is_file()}


@test
def make_and_an_installed_program():
    with scratch() as folder:
        tree = project(folder)
        run('make', cwd=tree)
        run('strip', '-o', folder / 'prog', 'prog', cwd=tree)
        built = snapshot(tree)
        run('make', 'clean', cwd=tree)
        result = in_place(folder, 'make -j2', '--binary', folder / 'prog')
        equal(result.json['units'], ['limit.c'], 'units')
        proof = result.items[0]['proof']
        equal(proof['n_functions_equal'], proof['n_functions'], 'functions that are equal')
        equal(snapshot(tree), built, 'the tree is as its own build leaves it')
        cures([folder / 'prog'], folder / 'out.spatch')


@test
def make_and_the_program_that_it_makes():
    with scratch() as folder:
        tree = project(folder)
        result = in_place(folder, 'make -j2')
        equal([item['path'] for item in result.items], [str(tree.resolve() / 'prog')], 'targets')
        cures([tree / 'prog'], folder / 'out.spatch')


SHAPES = {
    'compiled and linked at once': 'gcc -O2 -g main.c limit.c times.c -o prog',
    'several sources to a -c': 'gcc -c -O2 -g main.c limit.c times.c; gcc -o prog *.o',
    'objects elsewhere': 'mkdir -p out; for f in main limit times; do '
                         'gcc -O2 -g -c -o out/$f.obj $f.c; done; gcc -o prog out/*.obj',
    'a response file that is gone later': 'echo "-O2 -g \\"-DTEXT=\\\\\\"a b\\\\\\"\\" -c" >f.rsp; '
                                          'for f in main limit times; do gcc @f.rsp $f.c; done; '
                                          'rm f.rsp; gcc -o prog *.o',
    'dependency files': 'for f in main limit times; do gcc -O2 -g -MD -MP -MF $f.d -MT x -c $f.c; '
                        'done; gcc -o prog *.o',
    '-pipe and -Wp,-MD': 'for f in main limit times; do gcc -pipe -O2 -Wp,-MD,.$f.d -c $f.c; done; '
                         'gcc -o prog *.o',
    'a language that is told': 'cp limit.c limit.inc; gcc -O2 -x c -c limit.c -o limit.o; '
                               'gcc -O2 -xc main.c times.c -x none limit.o -o prog',
    'another folder': 'mkdir -p sub; cd sub; gcc -O2 -g -I.. -c ../main.c ../limit.c ../times.c; '
                      'cd ..; gcc -o prog sub/*.o',
    'a unity build': 'printf "#include \\"limit.c\\"\\n#include \\"times.c\\"\\n" >all.c; '
                     'gcc -O2 -g -c all.c main.c; gcc -o prog all.o main.o',
    'a compiler with its target and version': 'x86_64-linux-gnu-gcc-12 -O2 -c *.c; '
                                              'x86_64-linux-gnu-gcc-12 -o prog *.o',
    'c99': 'c99 -O2 -c main.c limit.c times.c; c99 -o prog *.o',
    'an object that is removed': 'gcc -O2 -c *.c; gcc -o prog *.o; rm *.o',
    'a library': 'gcc -O2 -fPIC -shared -Wl,-soname,libl.so.1 -o libl.so.1 limit.c times.c; '
                 'gcc -O2 -Wl,-rpath,. -o prog main.c libl.so.1',
}


@each(SHAPES, 'a build with {}')
def shape(name):
    with scratch() as folder:
        tree = project(folder)
        in_place(folder, SHAPES[name])
        os.chdir(tree)
        cures([tree / 'prog'], folder / 'out.spatch')


@each(['compiled and linked at once', 'another folder', 'a unity build'],
      'with nothing mounted, a build with {}')
def shape_without_mounts(name):
    with scratch() as folder:
        tree = project(folder)
        in_place(folder, SHAPES[name], prefix=NO_MOUNTS)
        os.chdir(tree)
        cures([tree / 'prog'], folder / 'out.spatch')


@test
def recursive_make():
    with scratch() as folder:
        tree = folder / 'tree'
        source(tree / 'lib')
        shutil.move(tree / 'lib' / 'fix.patch', tree / 'fix.patch')
        (tree / 'fix.patch').write_text(FIX.format(folder='lib/', suffix='c'))
        (tree / 'lib' / 'Makefile').write_text('all: main.o limit.o times.o\nCFLAGS=-O2 -g\n')
        (tree / 'Makefile').write_text('all:\n\t$(MAKE) -C lib\n\t$(CC) -o prog lib/*.o\n')
        in_place(folder, 'make -j2')
        cures([tree / 'prog'], folder / 'out.spatch')


@test
def a_header_that_the_fix_changes():
    with scratch() as folder:
        tree = project(folder)
        write(tree, limit_h=HEADER + '#define EXTRA 1\n',
              limit_c=LIMIT.replace('times(n) + 1', 'times(n) + EXTRA'),
              fix_patch='--- a/limit.h\n+++ b/limit.h\n@@ -8,4 +8,4 @@\n #ifdef __cplusplus\n }\n'
                        ' #endif\n-#define EXTRA 1\n+#define EXTRA (-4006)\n')
        result = in_place(folder, 'make')
        equal(sorted(result.json['units']), ['limit.c', 'main.c', 'times.c'], 'units')
        equal(result.items[0]['functions'], ['limit'], 'functions')


@test
def a_source_that_c_is_made_from():
    with scratch() as folder:
        tree = project(folder, makefile=MAKEFILE + 'limit.c: limit.y\n\tcp $< $@\n')
        shutil.move(tree / 'limit.c', tree / 'limit.y')
        (tree / 'fix.patch').write_text(FIX.format(folder='', suffix='y'))
        in_place(folder, 'make')
        cures([tree / 'prog'], folder / 'out.spatch')
        check('return times(n) + 1' in (tree / 'limit.c').read_text(), 'the tree was changed')


CMAKE = '''\
cmake_minimum_required(VERSION 3.10)
project(tiny C CXX)
add_executable(prog main.{suffix} limit.{suffix} times.{suffix})
'''


CONTROL = '''\
Source: prog
Maintainer: A Person <person@example.org>
Build-Depends: debhelper-compat (= 13)

Package: prog
Architecture: any
Depends: ${shlibs:Depends}
Description: says its limit
'''
CHANGELOG = '''\
prog (1.0) unstable; urgency=low

  * First.

 -- A Person <person@example.org>  Mon, 01 Jan 2024 00:00:00 +0000
'''


@test
def a_debian_source_without_a_command():
    need('dpkg-buildpackage', 'dh', 'fakeroot')
    with scratch() as folder:
        tree = project(folder, makefile=MAKEFILE + 'install:\n\tinstall -D prog $(DESTDIR)/usr/bin/prog\n')
        (tree / 'debian' / 'source').mkdir(parents=True)
        for name, text in (('control', CONTROL), ('changelog', CHANGELOG), ('source/format', '3.0 (native)\n'),
                           ('rules', '#!/usr/bin/make -f\n%:\n\tdh $@\n')):
            (tree / 'debian' / name).write_text(text)
        (tree / 'debian' / 'rules').chmod(0o755)
        result = build(folder, '--tree', tree, '--in-place', '--fix', tree / 'fix.patch',
                       env={'PATH': PATH})
        equal(result.json['units'], ['limit.c'], 'units')
        cures([tree / 'debian' / 'prog' / 'usr' / 'bin' / 'prog'], folder / 'out.spatch')


@test
def cmake():
    need('cmake')
    with scratch() as folder:
        tree = project(folder)
        (tree / 'CMakeLists.txt').write_text(CMAKE.format(suffix='c'))
        in_place(folder, 'cmake -B out -DCMAKE_BUILD_TYPE=Release .; cmake --build out')
        cures([tree / 'out' / 'prog'], folder / 'out.spatch')


@test
def cmake_with_ninja_outside_of_the_tree_and_unity():
    need('cmake', 'ninja')
    with scratch() as folder:
        tree = project(folder)
        (tree / 'CMakeLists.txt').write_text(CMAKE.format(suffix='c'))
        in_place(folder, 'cmake -G Ninja -B ../out -DCMAKE_BUILD_TYPE=Release .; '
                 'ninja -C ../out; cp ../out/prog .')
        cures([folder / 'out' / 'prog'], folder / 'out.spatch')


@test
def cmake_outside_of_the_tree_with_nothing_mounted():
    need('cmake')
    with scratch() as folder:
        tree = project(folder)
        (tree / 'CMakeLists.txt').write_text(CMAKE.format(suffix='c'))
        in_place(folder, 'cmake -B ../out -DCMAKE_BUILD_TYPE=Release .; cmake --build ../out; '
                 'cp ../out/prog .', prefix=NO_MOUNTS)
        cures([tree / 'prog'], folder / 'out.spatch')


@test
def cplusplus_with_cmake():
    need('cmake', 'g++')
    with scratch() as folder:
        tree = project(folder, 'cpp')
        (tree / 'CMakeLists.txt').write_text(CMAKE.format(suffix='cpp'))
        in_place(folder, 'cmake -B out -DCMAKE_BUILD_TYPE=RelWithDebInfo .; cmake --build out')
        cures([tree / 'out' / 'prog'], folder / 'out.spatch')


@each(['g++', 'clang++', 'clang'], 'the compiler {}')
def compiler(name):
    need(name)
    with scratch() as folder:
        suffix = 'cpp' if '++' in name else 'c'
        tree = project(folder, suffix)
        in_place(folder, f'{name} -O2 -g -c *.{suffix}; {name} -Wl,--build-id -o prog *.o')
        cures([tree / 'prog'], folder / 'out.spatch')


@test
def meson():
    need('meson', 'ninja')
    with scratch() as folder:
        tree = project(folder)
        (tree / 'meson.build').write_text(
            "project('tiny', 'c', default_options: ['buildtype=release'])\n"
            "executable('prog', 'main.c', 'limit.c', 'times.c')\n")
        in_place(folder, '/usr/bin/meson setup out; ninja -C out')
        cures([tree / 'out' / 'prog'], folder / 'out.spatch')


@test
def a_source_that_is_compiled_twice():
    """As libtool does: once for a program, once with -fPIC for a library."""
    with scratch() as folder:
        tree = project(folder)
        in_place(folder, 'mkdir -p .libs; for f in limit times; do gcc -O2 -fPIC -DPIC -c $f.c -o '
                 '.libs/$f.o; gcc -O1 -c $f.c -o $f.o; done; gcc -O2 -c main.c; '
                 'gcc -shared -Wl,-soname,libl.so -o .libs/libl.so .libs/*.o; '
                 'gcc -o prog *.o; gcc -Wl,-rpath,$PWD/.libs -o dynamic main.o .libs/libl.so')
        cures([tree / 'prog'], folder / 'out.spatch')
        cures([tree / 'dynamic'], folder / 'out.spatch')


# What can't be done

@test
def a_command_that_fails():
    with scratch() as folder:
        project(folder)
        says(in_place(folder, 'echo all is well; echo the roof fell in >&2; exit 7', code=1),
             'exit status 7', 'all is well | the roof fell in', 'cache/logs/')


@test
def no_compiler_at_all():
    with scratch() as folder:
        project(folder)
        (folder / 'bin').mkdir()
        says(in_place(folder, 'true', code=1, env={'PATH': str(folder / 'bin')}),
             'there is no compiler in PATH')


@test
def everything_up_to_date():
    with scratch() as folder:
        run('make', cwd=project(folder))
        says(in_place(folder, 'make', code=1), 'no compiler call was seen', 'make clean')


@test
def the_changed_file_up_to_date():
    with scratch() as folder:
        tree = project(folder)
        run('make', cwd=tree)
        os.remove(tree / 'main.o')
        says(in_place(folder, 'make', code=1), 'did not go into this build', 'make clean')


@test
def a_compiler_by_its_path():
    with scratch() as folder:
        project(folder)
        says(in_place(folder, 'make CC=/usr/bin/gcc', code=1), 'no compiler call was seen',
             'by an absolute path', 'CC=gcc')


@test
def a_fix_that_does_not_apply():
    with scratch() as folder:
        tree = project(folder)
        write(tree, fix_patch=FIX.format(folder='', suffix='c').replace('calls++', 'cold++')
              .replace('n > 1000', 'm > 1000'))
        says(in_place(folder, 'make', code=1), 'the fix does not fit this version', 'limit.c',
             'cache/logs/')


@test
def a_fix_that_does_not_compile():
    with scratch() as folder:
        tree = project(folder)
        write(tree, fix_patch=FIX.format(folder='', suffix='c').replace('-times(calls)', 'thyme'))
        says(in_place(folder, 'make', code=1), 'compiling the fixed source', 'thyme', 'cache/logs/')


@test
def a_program_that_is_something_else():
    with scratch() as folder:
        tree = project(folder)
        run('make', cwd=tree)
        shutil.move(tree / 'prog', folder / 'prog')
        run('make', 'clean', cwd=tree)
        says(in_place(folder, 'make CFLAGS=-O0', '--binary', folder / 'prog', code=1),
             'is not the shipped', 'functions are equal', ' of ')
        says(in_place(folder, 'make clean prog', '--binary', '/usr/bin/true', code=1),
             'nothing that the source builds is called true')


@test
def link_time_optimisation():
    with scratch() as folder:
        project(folder)
        says(in_place(folder, 'make CFLAGS="-O2 -flto"', code=4), 'SB122', 'limit.c')


@test
def a_cache_in_the_tree():
    with scratch() as folder:
        tree = project(folder)
        says(in_place(tree, 'make', tree=tree, code=1), 'lies in the tree', '--cache')


@test
def a_tree_that_is_not_there():
    with scratch() as folder:
        project(folder)
        says(in_place(folder, 'make', tree=folder / 'nowhere', fix=folder / 'tree/fix.patch',
                      code=1), 'nowhere')


# Without privileges

@each(['with namespaces', 'without any'], 'an unprivileged user {}')
def unprivileged(how):
    with scratch() as folder:
        tree = project(folder)
        for place in (folder, tree):
            os.chmod(place, 0o777)
        prefix = AS_NOBODY if how == 'with namespaces' else NO_NAMESPACES + AS_NOBODY
        result = in_place(folder, 'make -j2', prefix=prefix, env={'HOME': str(folder)})
        equal((folder / 'out.spatch').stat().st_uid, 65534, 'owner of the patch')
        check(stat.S_ISREG((tree / 'prog').stat().st_mode), 'the program was built')
        check(result.json['log'].startswith(str(folder)), 'the log is in the cache')
        cures([tree / 'prog'], folder / 'out.spatch')


sys.exit(run_tests())
