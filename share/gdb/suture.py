# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows gdb the code that suture has put into a process: its functions' names, and how to unwind.

    (gdb) source /usr/share/suture/gdb/suture.py

From then on it is done by itself whenever a process is attached or stops, and for core files. By hand:
`suture-symbols`, which also says what was found.

What is patched is read from the records in the process's own memory (suture's src/live/record.h). The
code of each has an ELF header, and gdb reads the rest by itself.
"""
import re
import struct

import gdb

MAGIC = b'SUTURE\0\1'
LEVELS, LEVEL_SIZE, LEVELS_AT = 8, 144, 256
LEVEL = struct.Struct('<52sI32sQ')      # id, level, digest, address of the code
ROLE_AT = 116
HEADER_AT = 16                          # in the code: the ELF header (debug-image.h)
LINE = re.compile(r'^\s*(?:\[\d+\]\s+)?(0x[0-9a-f]+)(?:->|\s+)(0x[0-9a-f]+)\b(.*)$')

shown = set()
busy = False


def mappings():
    """(start, end) of what may hold a record: code that is from no file."""
    inferior = gdb.selected_inferior()
    if not inferior.pid:
        return
    core = 'core' in (getattr(inferior.connection, 'type', '') or '')
    command = 'maintenance info sections' if core else 'info proc mappings'
    for line in gdb.execute(command, to_string=True).splitlines():
        found = LINE.match(line)
        if not found:
            continue
        start, end, rest = int(found[1], 16), int(found[2], 16), found[3]
        if core and not ('load' in rest and 'CODE' in rest):
            continue
        if not core and '/' in rest:
            continue
        yield start, end


def records():
    """(name of the patch, ELF header of its code) of all levels in the process."""
    inferior = gdb.selected_inferior()
    for start, end in mappings():
        try:
            if end - start < 4096 or bytes(inferior.read_memory(start, 8)) != MAGIC:
                continue
            head = bytes(inferior.read_memory(start, LEVELS_AT + LEVELS * LEVEL_SIZE))
            for at in range(LEVELS_AT, len(head), LEVEL_SIZE):
                name, level, _, code = LEVEL.unpack_from(head, at)
                role, = struct.unpack_from('<H', head, at + ROLE_AT)
                header = code + HEADER_AT
                if role and code and bytes(inferior.read_memory(header, 4)) == b'\x7fELF':
                    yield f'{name.rstrip(bytes(1)).decode("ascii", "replace")}.{level}', header
        except gdb.MemoryError:
            continue


def show(loud=False):
    """Adds what is not known to gdb yet."""
    global busy
    if busy:
        return
    busy = True
    try:
        known = {(gdb.selected_inferior().pid, code): name for name, code in records()}
        for (pid, code), name in known.items():
            if (pid, code, name) in shown:
                continue
            gdb.execute(f'add-symbol-file-from-memory {code:#x}', to_string=True)
            shown.add((pid, code, name))
        if loud:
            for (_, code), name in known.items():
                print(f'{name}: new code at {code:#x}')
            if not known:
                print('suture has patched nothing here.')
    except gdb.error as error:
        if loud:
            raise gdb.GdbError(str(error)) from error
    finally:
        busy = False


class SutureSymbols(gdb.Command):
    """Show gdb the code that suture has put into this process, and say what there is."""

    def __init__(self):
        super().__init__('suture-symbols', gdb.COMMAND_FILES)

    def invoke(self, argument, from_tty):
        show(loud=True)


SutureSymbols()
gdb.events.stop.connect(lambda _: show())
gdb.events.new_objfile.connect(lambda _: show())
show()
