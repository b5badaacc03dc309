/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record, written into this very process through /proc/self/mem as into any other, and read
 * back from a copy in which bytes are changed. What is changed must be noticed.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/user.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "live/record.h"

#define CAPACITY 64
#define N_FUNCTIONS 3

static struct target target = { .memory_fd = -1 };
static uint8_t *region; /* of the record, and behind it one page each for functions and new code */
static size_t region_size;
static uint8_t *functions, *new_code;

static int open_self(void **state)
{
        (void)state;
        region_size = record_region_size(CAPACITY);
        target.pid = target.thread = getpid();
        target.memory_fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
        region = mmap(NULL, region_size + 2 * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
        functions = region + region_size;
        new_code = functions + PAGE_SIZE;
        return target.memory_fd < 0 || region == MAP_FAILED;
}

static const struct build_id build_id = { .size = 20, .bytes = { 1, 2, 3, 4, 5, 6, 7, 8 } };

static void add_function(struct record *record, size_t i)
{
        struct record_function *function = ARRAY_PUSH(record->functions, record->n_functions);

        assert_non_null(function);
        function->address = (uint64_t)functions + i * 64;
        function->skip = i == 1 ? 4 : 0;
        function->length = (uint8_t)(5 + i);
        function->displaced_size = 10;
        memset(function->original, (int)i + 1, sizeof(function->original));
        memset(function->displaced, 0x90, 10);
        assert_int_equal(record_write_function(&target, record, i, NULL), 0);
        assert_true(record_set_slot(record, i, record_displaced_address(record, i)));
}

/* A record with three functions; the current level has changed the first two. */
static void write_record(struct record *record)
{
        static const uint8_t zeros[4 * PAGE_SIZE];
        struct record_level *level;

        assert_in_range(region_size, 1, sizeof(zeros));
        assert_int_equal(target_write(&target, (uint64_t)region, zeros, region_size, NULL), 0);
        record_init(record, (uint64_t)region, CAPACITY, 0x400000, &build_id, "libx.so.1");
        for (size_t i = 0; i < N_FUNCTIONS; i++)
                add_function(record, i);
        level = record_level_add(record);
        strcpy(level->id, "SUT-1");
        level->level = 2;
        level->role = RECORD_ROLE_CURRENT;
        level->code_address = (uint64_t)new_code;
        level->code_size = 200;
        level->applied_at = 1234;
        for (size_t i = 0; i < 2; i++)
                assert_true(record_set_slot(record, i, (uint64_t)new_code + i * 100));
        record->exists = true;
        assert_int_equal(record_commit(&target, record, NULL), 0);
}

static void write_jump(const struct record *record, size_t i)
{
        uint64_t at = record_jump_address(&record->functions[i]);
        uint8_t jump[ARCH_JUMP_SIZE];

        assert_true(arch_jump(at, record_slot_address(record, i), jump));
        assert_int_equal(target_write(&target, at, jump, sizeof(jump), NULL), 0);
}

/* --- A memory of which some is readable -------------------------------------------------- */

struct window {
        const uint8_t *bytes;
        uint64_t start;
        size_t size;
};

static int read_window(void *context, uint64_t address, void *ret, size_t size)
{
        const struct window *window = context;

        if (address < window->start || size > window->size ||
            address - window->start > window->size - size)
                return -EFAULT;
        memcpy(ret, window->bytes + (address - window->start), size);
        return 0;
}

static int read_from(const uint8_t *bytes, size_t size, struct record *ret)
{
        struct window window = { bytes, (uint64_t)region, size };
        struct elf_memory memory = { read_window, &window };
        char problem[160] = "";
        int r;

        memset(ret, 0, sizeof(*ret));
        r = record_read(&memory, (uint64_t)region, ret, problem, sizeof(problem));
        if (r == RECORD_DAMAGED)
                assert_int_not_equal(problem[0], '\0');
        return r;
}

/* The checksum as record.c makes it (FNV-1a), so that what it protects can be forged. */
static void forge_checksum(uint8_t *bytes)
{
        struct record_header *header = (struct record_header *)bytes;
        size_t size = RECORD_SLOTS + CAPACITY * ARCH_SLOT_SIZE;
        uint32_t hash = 2166136261u;

        header->checksum = 0;
        for (size_t i = 0; i < size; i++)
                hash = (hash ^ bytes[i]) * 16777619u;
        header->checksum = hash;
}

/* --- Tests ------------------------------------------------------------------------------- */

static void what_is_written_is_read(void **state)
{
        _cleanup_(record_done) struct record record, copy;
        struct elf_memory memory = target_memory(&target);
        char problem[160];

        (void)state;
        write_record(&record);
        assert_int_equal(record_read(&memory, (uint64_t)region, &copy, problem, sizeof(problem)),
                         0);
        assert_memory_equal(record.head, copy.head, RECORD_SLOTS + CAPACITY * ARCH_SLOT_SIZE);
        assert_int_equal(copy.n_functions, N_FUNCTIONS);
        assert_memory_equal(record.functions, copy.functions,
                            N_FUNCTIONS * sizeof(*record.functions));
        assert_true(copy.exists);
        assert_string_equal(copy.header.module, "libx.so.1");
        assert_int_equal(copy.header.sequence, 1);
        /* its array can grow as base/array.h lets arrays grow */
        add_function(&copy, N_FUNCTIONS);
        assert_int_equal(record_commit(&target, &copy, NULL), 0);
        record_done(&copy);
        assert_int_equal(record_read(&memory, (uint64_t)region, &copy, problem, sizeof(problem)),
                         0);
        assert_int_equal(copy.n_functions, N_FUNCTIONS + 1);
        assert_int_equal(copy.header.sequence, 2);
}

static void every_changed_byte_is_noticed(void **state)
{
        _cleanup_(record_done) struct record record, copy;
        _cleanup_free_ uint8_t *bytes = malloc(region_size);
        size_t head = RECORD_SLOTS + CAPACITY * ARCH_SLOT_SIZE;
        size_t used = head + N_FUNCTIONS * sizeof(struct record_function);

        (void)state;
        write_record(&record);
        for (size_t i = 0; i < region_size; i++) {
                static const uint8_t changes[] = { 0x01, 0x80, 0xff };

                for (size_t j = 0; j < ARRAY_SIZE(changes); j++) {
                        int r;

                        memcpy(bytes, region, region_size);
                        bytes[i] ^= changes[j];
                        r = read_from(bytes, region_size, &copy);
                        if (r != (i < 8 ? RECORD_NONE : i < used ? RECORD_DAMAGED : 0))
                                fail_msg("byte %zu ^ %#x: outcome %d", i, changes[j], r);
                        record_done(&copy);
                }
        }
}

static void what_cannot_be_read_is_no_record(void **state)
{
        _cleanup_(record_done) struct record record, copy;
        size_t used = RECORD_SLOTS + CAPACITY * ARCH_SLOT_SIZE +
                      N_FUNCTIONS * sizeof(struct record_function);

        (void)state;
        write_record(&record);
        for (size_t size = 0; size < RECORD_HEAD_SIZE; size++)
                assert_true(read_from(region, size, &copy) < 0);
        /* all that is in use lies in the first page here */
        assert_true(used <= RECORD_HEAD_SIZE);
        assert_int_equal(read_from(region, RECORD_HEAD_SIZE, &copy), 0);
        record_done(&copy);
        assert_int_equal(read_from(functions, PAGE_SIZE, &copy), RECORD_NONE);
}

/* Fields that contradict each other under a right checksum. */
static void contradictions_are_noticed(void **state)
{
        static const struct {
                size_t offset, size;
                uint64_t value;
        } rows[] = {
#define HEADER(field, value) { offsetof(struct record_header, field),                         \
                               sizeof(((struct record_header *)0)->field), value }
                HEADER(version, 0),
                HEADER(version, 3),
                HEADER(address, 0),
                HEADER(address, UINT64_MAX),
                HEADER(region_size, 0),
                HEADER(region_size, UINT32_MAX),
                HEADER(capacity, 0),
                HEADER(capacity, RECORD_CAPACITY_MIN - 1),
                HEADER(capacity, RECORD_CAPACITY_MIN + 1),
                HEADER(capacity, RECORD_CAPACITY_MAX),
                HEADER(capacity, RECORD_CAPACITY_MAX + 1),
                HEADER(capacity, UINT32_MAX),
                HEADER(n_functions, CAPACITY + 1),
                HEADER(n_functions, UINT32_MAX),
                HEADER(n_functions, N_FUNCTIONS + 1), /* it was never written */
                HEADER(build_id_size, BUILD_ID_MAX + 1),
                HEADER(build_id_size, UINT32_MAX),
#define LEVEL(field, value) { 256 + 144 + offsetof(struct record_level, field),               \
                              sizeof(((struct record_level *)0)->field), value }
                LEVEL(role, RECORD_ROLE_RETAINED + 1),
                LEVEL(role, UINT16_MAX),
        };
        _cleanup_(record_done) struct record record, copy;
        _cleanup_free_ uint8_t *bytes = malloc(region_size);
        int r;

        (void)state;
        write_record(&record);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                memcpy(bytes, region, region_size);
                memcpy(bytes + rows[i].offset, &rows[i].value, rows[i].size);
                forge_checksum(bytes);
                r = read_from(bytes, region_size, &copy);
                if (r != RECORD_DAMAGED)
                        fail_msg("row %zu: outcome %d", i, r);
                record_done(&copy);
        }
        /* strings without an end */
        memcpy(bytes, region, region_size);
        memset(bytes + offsetof(struct record_header, module), 'x', 64);
        forge_checksum(bytes);
        assert_int_equal(read_from(bytes, region_size, &copy), RECORD_DAMAGED);
        record_done(&copy);
        memcpy(bytes, region, region_size);
        memset(bytes + 256 + offsetof(struct record_level, id), 'x', 52);
        forge_checksum(bytes);
        assert_int_equal(read_from(bytes, region_size, &copy), RECORD_DAMAGED);
        record_done(&copy);
}

/* A function of a patch that was taken back has no jump, and needs none. */
static void only_functions_in_use_need_their_jumps(void **state)
{
        _cleanup_(record_done) struct record record;
        struct elf_memory memory = target_memory(&target);

        (void)state;
        memset(&record, 0, sizeof(record));
        write_record(&record);
        assert_int_equal(record_count_jumps(&memory, &record), 0);
        assert_int_equal(record_count_missing_jumps(&memory, &record), 2);
        write_jump(&record, 0);
        assert_true(record_has_jump(&memory, &record, 0));
        assert_false(record_has_jump(&memory, &record, 1));
        assert_int_equal(record_count_missing_jumps(&memory, &record), 1);
        write_jump(&record, 1);
        assert_int_equal(record_count_missing_jumps(&memory, &record), 0);
        assert_int_equal(record_count_jumps(&memory, &record), 2);
        write_jump(&record, 2);
        assert_int_equal(record_count_jumps(&memory, &record), 3);
        assert_int_equal(record_count_missing_jumps(&memory, &record), 0);
        /* without a current level no function needs one */
        record.levels[0].role = RECORD_ROLE_RETAINED;
        assert_int_equal(target_write(&target, record_jump_address(&record.functions[0]),
                                      "\0\0\0\0", 5, NULL),
                         0);
        assert_int_equal(record_count_missing_jumps(&memory, &record), 0);
}

static void levels_have_roles(void **state)
{
        _cleanup_(record_done) struct record record;
        struct record_level *level;

        (void)state;
        record_init(&record, (uint64_t)region, CAPACITY, 0x400000, &build_id, "libx.so.1");
        assert_null(record_level_with(&record, RECORD_ROLE_CURRENT));
        for (size_t i = 0; i < RECORD_LEVELS; i++) {
                level = record_level_add(&record);
                assert_non_null(level);
                level->role = i == 3 ? RECORD_ROLE_CURRENT : RECORD_ROLE_RETAINED;
        }
        assert_null(record_level_add(&record));
        assert_ptr_equal(record_level_with(&record, RECORD_ROLE_CURRENT), &record.levels[3]);
        record.levels[5].role = RECORD_ROLE_NONE;
        record.levels[5].flags = RECORD_LEVEL_PINNED;
        level = record_level_add(&record);
        assert_ptr_equal(level, &record.levels[5]);
        assert_int_equal(level->flags, 0);
        assert_int_equal(record_role_after(level), RECORD_ROLE_OUTGOING);
        level->flags = RECORD_LEVEL_DIRECT;
        assert_int_equal(record_role_after(level), RECORD_ROLE_OUTGOING);
        level->flags = RECORD_LEVEL_PINNED;
        assert_int_equal(record_role_after(level), RECORD_ROLE_RETAINED);
        level->flags = RECORD_LEVEL_ENTRY;
        assert_int_equal(record_role_after(level), RECORD_ROLE_RETAINED);
}

static void a_long_name_is_cut(void **state)
{
        _cleanup_(record_done) struct record record;
        char name[200];

        (void)state;
        memset(name, 'n', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        record_init(&record, (uint64_t)region, CAPACITY, 0x400000, &build_id, name);
        assert_int_equal(strlen(record.header.module), sizeof(record.header.module) - 1);
}

static void parts_do_not_overlap(void **state)
{
        (void)state;
        for (uint32_t capacity = RECORD_CAPACITY_MIN; capacity <= RECORD_CAPACITY_MAX; capacity++) {
                struct record record;
                uint64_t address = UINT64_C(0x7f0000000000), functions_end;

                record_init(&record, address, capacity, 0x400000, &build_id, "x");
                assert_true(record_slot_address(&record, capacity) <= address + RECORD_HEAD_SIZE);
                assert_int_equal(record_slot_address(&record, capacity),
                                 record_function_address(&record, 0));
                functions_end = record_function_address(&record, capacity);
                assert_true(functions_end <= record_stub_address(&record));
                assert_true(record_displaced_address(&record, capacity - 1) + ARCH_DISPLACED_MAX <=
                            functions_end);
                assert_int_equal(record_stub_address(&record) + RECORD_STUB_ROOM,
                                 address + record_region_size(capacity));
                assert_int_equal(record_region_size(capacity) % PAGE_SIZE, 0);
        }
        assert_true(arch_function_stub_size <= RECORD_STUB_ROOM - RECORD_REGISTER_STUB_ROOM);
        assert_true(arch_register_stub_size <= RECORD_REGISTER_STUB_ROOM);
}

static void slots_have_a_reach(void **state)
{
        _cleanup_(record_done) struct record record;
        uint64_t slot, to;

        (void)state;
        record_init(&record, (uint64_t)region, CAPACITY, 0x400000, &build_id, "x");
        slot = record_slot_address(&record, CAPACITY - 1);
        assert_true(record_set_slot(&record, CAPACITY - 1, slot + 0x1000));
        assert_true(arch_jump_target(record.head + RECORD_SLOTS + (CAPACITY - 1) * ARCH_SLOT_SIZE,
                                     slot, &to));
        assert_int_equal(to, slot + 0x1000);
        assert_false(record_set_slot(&record, CAPACITY - 1, slot + ARCH_REACH + 16));
        /* which leaves it as it was */
        assert_true(arch_jump_target(record.head + RECORD_SLOTS + (CAPACITY - 1) * ARCH_SLOT_SIZE,
                                     slot, &to));
        assert_int_equal(to, slot + 0x1000);
}

static void only_anonymous_code_may_hold_a_record(void **state)
{
        struct region good = { .start = 0x1000, .end = 0x2000, .readable = true,
                               .executable = true, .path = "" };
        struct region other;

        (void)state;
        assert_true(record_may_be_at(&good));
        other = good, other.path = "[anon:suture]";
        assert_true(record_may_be_at(&other));
        other = good, other.writable = true;
        assert_false(record_may_be_at(&other));
        other = good, other.executable = false;
        assert_false(record_may_be_at(&other));
        other = good, other.readable = false;
        assert_false(record_may_be_at(&other));
        other = good, other.shared = true;
        assert_false(record_may_be_at(&other));
        other = good, other.inode = 7;
        assert_false(record_may_be_at(&other));
        other = good, other.path = "[vdso]";
        assert_false(record_may_be_at(&other));
}

/* An earlier suture would unmap what is registered, so it must not know such a record. */
static void only_what_is_registered_makes_a_new_version(void **state)
{
        _cleanup_(record_done) struct record record, copy = { 0 };
        struct record_level *retired;

        (void)state;
        memset(&record, 0, sizeof(record));
        write_record(&record);
        assert_int_equal(record.header.version, 1);
        retired = record_level_add(&record);
        retired->role = RECORD_ROLE_RETAINED;
        retired->flags = RECORD_LEVEL_REGISTERS;
        assert_int_equal(record_commit(&target, &record, NULL), 0);
        assert_int_equal(record.header.version, 2);
        assert_int_equal(read_from(region, region_size, &copy), 0);
        *retired = (struct record_level){ 0 };
        assert_int_equal(record_commit(&target, &record, NULL), 0);
        assert_int_equal(record.header.version, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_read),
                cmocka_unit_test(every_changed_byte_is_noticed),
                cmocka_unit_test(what_cannot_be_read_is_no_record),
                cmocka_unit_test(contradictions_are_noticed),
                cmocka_unit_test(only_functions_in_use_need_their_jumps),
                cmocka_unit_test(levels_have_roles),
                cmocka_unit_test(only_what_is_registered_makes_a_new_version),
                cmocka_unit_test(a_long_name_is_cut),
                cmocka_unit_test(parts_do_not_overlap),
                cmocka_unit_test(slots_have_a_reach),
                cmocka_unit_test(only_anonymous_code_may_hold_a_record),
        };

        return cmocka_run_group_tests_name("live-record", tests, open_self, NULL);
}
