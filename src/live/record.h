/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The record: what is patched in one module of one process, kept in that process's own memory. It
 * is inherited by fork, survives the death or upgrade of suture, and is the only truth there is.
 *
 * It lies in the switch region: an anonymous, private, readable and executable mapping of
 * RECORD_REGION_SIZE bytes near the module, of which only the pages written to take memory:
 *
 *      0     struct record_header
 *      256   struct record_level [RECORD_LEVELS]
 *      1408  slots, ARCH_SLOT_SIZE bytes each: a jump to the displaced original instructions of a
 *            function, or to its new code
 *      ...   struct record_function [], behind the slots, in the order of the slots
 *
 * Header, levels and slots are the head. It lies within one page and is always written as a
 * whole, by one write, which is the commit of every change: nobody ever sees half of one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "elf/build-id.h"
#include "live/arch/arch.h"
#include "live/live.h"
#include "live/target.h"
#include "patch/patch.h"

#define RECORD_MAGIC "SUTURE\0\1"
/*
 * The older version, which earlier sutures know, as long as it says all: those must not unmap what
 * is registered (RECORD_LEVEL_REGISTERS), and refuse a record of a version that they don't know.
 */
#define RECORD_VERSION_FIRST 1
#define RECORD_VERSION_REGISTERS 2
#define RECORD_LEVELS 8
#define RECORD_SLOTS 1408           /* offset of the slots */
#define RECORD_CAPACITY_MIN 64      /* slots */
#define RECORD_HEAD_SIZE 4096

enum record_role {
        RECORD_ROLE_NONE = 0,
        RECORD_ROLE_INCOMING,       /* being prepared; no slot leads there */
        RECORD_ROLE_CURRENT,        /* the slots lead there */
        RECORD_ROLE_OUTGOING,       /* was current; to be unmapped */
        RECORD_ROLE_RETAINED,       /* was current; stays, since pointers into it may exist */
};

struct record_header {
        char magic[8];
        uint32_t version;
        uint32_t checksum;          /* of the head with this field zero */
        uint64_t address;           /* of the region itself */
        uint32_t region_size;
        uint32_t capacity;          /* slots */
        uint32_t n_functions;       /* slots in use */
        uint32_t build_id_size;
        uint64_t module_address;    /* of the module's ELF header */
        uint8_t build_id[BUILD_ID_MAX];
        uint64_t shadow_root;       /* a read-write page for shadow variables, 0 if none */
        uint64_t sequence;          /* counts the commits */
        char module[64];
        uint8_t reserved[96];
};

struct record_level {
        char id[52];
        uint32_t level;
        uint8_t digest[SHA256_SIZE];/* of the patch file */
        uint64_t code_address;      /* new code and read-only data */
        uint32_t code_size;
        uint32_t strict_size;       /* the first bytes: no thread may be in them at a change */
        uint64_t data_address;      /* writable data, 0 if none */
        uint32_t data_size;
        uint16_t role;
        uint16_t flags;             /* RECORD_LEVEL_* */
        uint64_t applied_at;        /* seconds since 1970-01-01 UTC */
        uint64_t hook_undo;         /* address, 0 if none */
        uint32_t n_functions;
        uint32_t reserved;
};

#define RECORD_LEVEL_PINNED 1u      /* pointers into it may outlive it: never unmapped */
#define RECORD_LEVEL_DIRECT 2u      /* its only function is switched by the jump itself */
#define RECORD_LEVEL_REGISTERS 8u   /* its data end with struct registrations (registration.h) */
#define RECORD_LEVEL_ENTRY 4u       /* frames may go on in it after a change: never unmapped */

struct record_function {
        uint64_t address;           /* of the function */
        uint8_t original[ARCH_ORIGINAL_MAX]; /* the displaced bytes */
        uint8_t skip;               /* bytes before the jump that stay */
        uint8_t length;             /* of the displaced bytes */
        uint16_t displaced_size;    /* 0: could not be displaced, see RECORD_LEVEL_DIRECT */
        uint32_t checksum;          /* of this struct with this field zero */
        uint8_t displaced[ARCH_DISPLACED_MAX];
};

_Static_assert(sizeof(struct record_header) == 256, "layout of the record");
_Static_assert(sizeof(struct record_level) == 144, "layout of the record");
_Static_assert(sizeof(struct record_function) == 96, "layout of the record");
_Static_assert(256 + RECORD_LEVELS * 144 == RECORD_SLOTS, "layout of the record");

/* The head, as it lies in memory, and the functions behind it. */
struct record {
        union {
                struct {
                        struct record_header header;
                        struct record_level levels[RECORD_LEVELS];
                };
                uint8_t head[RECORD_HEAD_SIZE];
        };
        struct record_function *functions;
        size_t n_functions;         /* in the array; may be ahead of the header's count */
        bool exists;                /* in the target */
};

/* How many slots fit the head. */
#define RECORD_CAPACITY_MAX ((RECORD_HEAD_SIZE - RECORD_SLOTS) / ARCH_SLOT_SIZE)
_Static_assert(RECORD_CAPACITY_MAX >= PATCH_MAX_FUNCTIONS, "a patch must fit");

uint64_t record_region_size(uint32_t capacity);
/* Room for arch_function_stub and arch_register_stub, at the end of the region. */
#define RECORD_STUB_ROOM 256
#define RECORD_REGISTER_STUB_ROOM 64
uint64_t record_stub_address(const struct record *record);
uint64_t record_register_stub_address(const struct record *record);
uint64_t record_slot_address(const struct record *record, size_t function);
uint64_t record_function_address(const struct record *record, size_t function);
uint64_t record_displaced_address(const struct record *record, size_t function);
/* Where the jump of a function stands. */
uint64_t record_jump_address(const struct record_function *function);

void record_init(struct record *record, uint64_t address, uint32_t capacity,
                 uint64_t module_address, const struct build_id *build_id, const char *module);
void record_done(struct record *record);

struct record_level *record_level_with(struct record *record, enum record_role role);
/* A free entry, or NULL. */
struct record_level *record_level_add(struct record *record);
/* True if nothing is on its way in or out. */
bool record_is_settled(struct record *record);
/* What a current level becomes when it is current no more. */
enum record_role record_role_after(const struct record_level *level);
/* Index of the function at `address`, or -1. */
int record_find_function(const struct record *record, uint64_t address);
/* Leads a slot to `to`; false if it is out of reach. */
bool record_set_slot(struct record *record, size_t function, uint64_t to);

/* Writes the head in one step. 0, TARGET_GONE, fault. */
int record_commit(struct target *target, struct record *record, struct error *err);
/* Writes function `i` of the array, before the header counts it. */
int record_write_function(struct target *target, struct record *record, size_t i,
                          struct error *err);

enum record_outcome {
        RECORD_NONE = 1,            /* no record at this address */
        RECORD_DAMAGED = 2,         /* it begins like one, but contradicts itself */
};
/*
 * Reads and checks the record at `address` through `memory`. 0, RECORD_NONE, RECORD_DAMAGED
 * (then `problem`, of `problem_size` bytes, says what is wrong), or a negative errno.
 */
int record_read(const struct elf_memory *memory, uint64_t address, struct record *ret,
                char *problem, size_t problem_size);

/* True for a mapping that may hold a record: private, r-x, and "" or "[anon:...]" by name. */
bool record_may_be_at(const struct region *region);
/*
 * True for a switch region that was mapped but never written: what is left where suture was
 * killed between the two. Such a region is recognised by the advice it was given (or its name).
 */
bool record_is_orphan(struct target *target, const struct region *region);

/* How many functions have their jump in place, wherever it leads in the end. */
size_t record_count_jumps(const struct elf_memory *memory, const struct record *record);
/*
 * How many functions lack the jump that would lead them to the code of the current level. Functions
 * of other patches, applied and taken back earlier, stay in the record and need none.
 */
size_t record_count_missing_jumps(const struct elf_memory *memory, const struct record *record);
bool record_has_jump(const struct elf_memory *memory, const struct record *record, size_t i);
