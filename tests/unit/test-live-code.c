/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions whose first instructions are moved are run: as they are, then with a jump at their
 * beginning that leads to the moved instructions, for the same arguments. The functions are written
 * in assembly, so that what stands in the first bytes is certain.
 */
#include "unit.h"

#include <Zydis/Zydis.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/user.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "live/arch/arch.h"

/* CASE makes a function of that name with its size, and what follows it right behind. */
#define CASE(name, body, behind)                                                              \
        ".balign 16\n" #name ":\n" body "\n.set " #name "_size, . - " #name "\n" behind "\n"

#define LONG_NOP ".byte 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"

__asm__(".pushsection .text.subjects, \"ax\", @progbits\n"
        ".balign 4096\n"
        "subjects_start:\n"
        "add_1000: lea 1000(%rdi), %rax\n ret\n"
        CASE(c_plain, "push %rbp\n mov %rsp, %rbp\n lea (%rdi,%rsi), %rax\n pop %rbp\n ret", "")
        CASE(c_call_first, "call add_1000\n add %rsi, %rax\n ret", "")
        CASE(c_call_second, "sub $8, %rsp\n call add_1000\n add $8, %rsp\n ret", "")
        CASE(c_call_self, "test %edi, %edi\n jle 1f\n dec %edi\n call c_call_self\n"
                          "inc %rax\n ret\n"
                          "1: mov $5, %eax\n ret", "")
        CASE(c_jcc_short, "test %edi, %edi\n je 1f\n lea 1(%rdi), %rax\n ret\n"
                          "1: mov $7, %eax\n ret", "")
        CASE(c_jcc_short_other, "cmp %esi, %edi\n jl 1f\n mov $1, %eax\n ret\n"
                                "1: mov $2, %eax\n ret", "")
        CASE(c_jcc_long, "test %edi, %edi\n {disp32} jns 1f\n mov $9, %eax\n ret\n"
                         "1: mov $3, %eax\n ret", "")
        CASE(c_jmp_short, "jmp 1f\n .byte 0xf1, 0xf1, 0xf1, 0xf1\n1: lea 3(%rdi), %rax\n ret", "")
        CASE(c_jmp_long, "{disp32} jmp add_1000\n ud2", "")
        CASE(c_ret_early, "test %edi, %edi\n jne 1f\n ret\n1: lea 2(%rdi), %rax\n ret", "")
        CASE(c_rip_load, "mov datum(%rip), %rax\n add %rdi, %rax\n ret", "")
        CASE(c_rip_lea, "lea datum(%rip), %rdx\n mov (%rdx), %rax\n add %rsi, %rax\n ret", "")
        CASE(c_rip_compare, "cmpl $77, datum(%rip)\n sete %al\n movzbl %al, %eax\n ret", "")
        CASE(c_rip_compare_byte, "cmpb $77, datum(%rip)\n sete %al\n movzbl %al, %eax\n ret", "")
        CASE(c_rip_store, "mov %rdi, room(%rip)\n mov room(%rip), %rax\n ret", "")
        CASE(c_rip_second, "mov %rdi, %rax\n add datum(%rip), %rax\n ret", "")
        CASE(c_rip_sse, "movq datum(%rip), %xmm0\n movq %xmm0, %rax\n ret", "")
        CASE(c_rip_push, "push datum(%rip)\n pop %rax\n ret", "")
        CASE(c_rip_jump, "jmp *pointer(%rip)\n ud2", "")
        CASE(c_rip_call, "call *pointer(%rip)\n inc %rax\n ret", "")
        CASE(c_indirect_call, "lea add_1000(%rip), %rax\n call *%rax\n ret", "")
        CASE(c_landing_pad, "endbr64\n mov %rdi, %rax\n imul %rsi, %rax\n ret", "")
        CASE(c_landing_pad_short, "endbr64\n ret", LONG_NOP)
        CASE(c_loop_to_entry, "lea 3(%rsi), %rsi\n dec %edi\n jg c_loop_to_entry\n"
                              "mov %rsi, %rax\n ret", "")
        CASE(c_short_nops, "mov %edi, %eax\n ret", ".skip 13, 0x90\n")
        CASE(c_short_long_nop, "mov %edi, %eax\n ret", LONG_NOP ".byte 0x66, 0x90\n")
        CASE(c_short_int3, "mov %edi, %eax\n ret", ".skip 13, 0xcc\n")
        CASE(c_long_instructions, "movabs $0x1122334455667788, %rax\n ret", "")
        CASE(c_four_short, "push %rbx\n push %r12\n push %rdi\n pop %rax\n"
                           "pop %r12\n pop %rbx\n ret", "")
        /* what can't be moved */
        CASE(r_branch_back, "nop\n1: lea 1(%rsi), %rsi\n dec %edi\n jg 1b\n"
                            "mov %rsi, %rax\n ret", "")
        CASE(r_branch_forward, "jmp 1f\n nop\n1: nop\n nop\n nop\n ret", "")
        CASE(r_late_branch, "test %edi, %edi\n1: nop\n nop\n nop\n nop\n dec %edi\n"
                            "{disp32} jg 1b\n ret", "")
        CASE(r_loop, "xor %eax, %eax\n loop 1f\n nop\n nop\n1: ret", "")
        CASE(r_jrcxz, "jrcxz 1f\n nop\n nop\n nop\n1: ret", "")
        CASE(r_jecxz, "jecxz 1f\n nop\n nop\n nop\n1: ret", "")
        CASE(r_xbegin, "xbegin 1f\n xend\n1: ret", "")
        CASE(r_undecodable, "lea 1(%rdi), %rax\n ret\n .byte 0x06", "")
        CASE(r_call_early, "push %rbx\n call *%rax\n pop %rbx\n nop\n ret", "")
        CASE(r_call_at_once, "call *(%rdi)\n inc %rax\n ret", "")
        CASE(r_call_stack, "sub $8, %rsp\n call *24(%rsp)\n add $8, %rsp\n ret", "")
        CASE(n_short_then_code, "mov %edi, %eax\n ret", "mov %esi, %eax\n ret\n")
        CASE(n_short_then_data, "mov %edi, %eax\n ret", ".byte 0x06, 0x07\n")
        ".balign 4096\n"
        "subjects_end:\n"
        ".popsection\n"
        ".pushsection .data\n"
        ".balign 8\n"
        "datum: .quad 77\n"
        "room: .quad 0\n"
        "pointer: .quad add_1000\n"
        ".popsection\n");

extern uint8_t subjects_start[], subjects_end[];

struct subject {
        const char *name;
        const uint8_t *code;
        size_t size;
};

#define DECLARE(name) extern const uint8_t name[], name##_size[];
#define SUBJECT(name) { #name, name, (size_t)name##_size }
#define MOVED(f)                                                                              \
        f(c_plain) f(c_call_first) f(c_call_second) f(c_call_self) f(c_jcc_short)             \
        f(c_jcc_short_other) f(c_jcc_long) f(c_jmp_short) f(c_jmp_long) f(c_ret_early)        \
        f(c_rip_load) f(c_rip_lea) f(c_rip_compare) f(c_rip_compare_byte) f(c_rip_store)      \
        f(c_rip_second) f(c_rip_sse) f(c_rip_push) f(c_rip_jump) f(c_rip_call)                \
        f(c_indirect_call) f(c_landing_pad) f(c_landing_pad_short) f(c_loop_to_entry)         \
        f(c_short_nops) f(c_short_long_nop) f(c_short_int3) f(c_long_instructions)            \
        f(c_four_short)
#define REFUSED(f)                                                                            \
        f(r_branch_back) f(r_branch_forward) f(r_late_branch) f(r_loop) f(r_jrcxz)            \
        f(r_jecxz) f(r_xbegin) f(r_undecodable) f(r_call_early) f(r_call_at_once)             \
        f(r_call_stack)
#define WITHOUT_ROOM(f) f(n_short_then_code) f(n_short_then_data)
#define ROW(name) SUBJECT(name),

MOVED(DECLARE)
REFUSED(DECLARE)
WITHOUT_ROOM(DECLARE)

static const struct subject moved[] = { MOVED(ROW) };
static const struct subject refused[] = { REFUSED(ROW) };
static const struct subject without_room[] = { WITHOUT_ROOM(ROW) };

static uint8_t *page; /* executable, within reach of the subjects */

static int make_page(void **state)
{
        uint64_t near = ROUND_DOWN((uint64_t)subjects_start, (uint64_t)PAGE_SIZE);

        (void)state;
        for (uint64_t distance = 1 << 20; distance < 1 << 30; distance += 1 << 20) {
                page = mmap((void *)(near - distance), PAGE_SIZE,
                            PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
                if (page != MAP_FAILED)
                        break;
        }
        return page == MAP_FAILED ||
               mprotect(subjects_start, (size_t)(subjects_end - subjects_start),
                        PROT_READ | PROT_WRITE | PROT_EXEC) != 0;
}

static int displace(const struct subject *subject, uint64_t place, struct arch_displaced *ret)
{
        size_t skip = arch_entry_skip(subject->code, subject->size);

        return arch_displace(subject->code, subject->size, subject->size + 16, skip,
                             (uint64_t)subject->code, place, ret);
}

struct answers {
        uint64_t of[16];
};

static struct answers ask(const struct subject *subject)
{
        static const uint64_t arguments[][2] = { { 0, 0 },  { 1, 5 },   { 5, 1 },
                                                 { 7, 7 },  { 77, 2 },  { 0x7fffffff, 3 },
                                                 { (uint64_t)-1, 9 } };
        uint64_t (*function)(uint64_t, uint64_t) =
                (uint64_t(*)(uint64_t, uint64_t))(uintptr_t)subject->code;
        struct answers answers = { { 0 } };

        for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
                /* c_ret_early and c_landing_pad_short return what rax holds */
                __asm__ volatile("" ::: "memory");
                if (subject->code == c_ret_early && arguments[i][0] == 0)
                        continue;
                /* recursion and loops as deep as the argument */
                if ((subject->code == c_call_self || subject->code == c_loop_to_entry) &&
                    arguments[i][0] == 0x7fffffff)
                        continue;
                answers.of[i] = function(arguments[i][0], arguments[i][1]);
                if (subject->code == c_landing_pad_short)
                        answers.of[i] = 0;
        }
        return answers;
}

static void moved_code_does_the_same(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
                const struct subject *subject = &moved[i];
                size_t skip = arch_entry_skip(subject->code, subject->size);
                uint8_t *at = (uint8_t *)(uintptr_t)subject->code + skip;
                struct answers before = ask(subject), after, back;
                struct arch_displaced displaced = { 0 };
                uint8_t original[ARCH_JUMP_SIZE];

                if (displace(subject, (uint64_t)page, &displaced) != 0)
                        fail_msg("%s was refused", subject->name);
                assert_in_range(displaced.length, ARCH_JUMP_SIZE, ARCH_ORIGINAL_MAX);
                assert_in_range(displaced.size, 1, ARCH_DISPLACED_MAX);
                memset(page, 0xcc, PAGE_SIZE);
                memcpy(page, displaced.code, displaced.size);
                memcpy(original, at, sizeof(original));
                assert_true(arch_jump((uint64_t)at, (uint64_t)page, at));
                after = ask(subject);
                memcpy(at, original, sizeof(original));
                back = ask(subject);
                if (memcmp(&before, &after, sizeof(before)) != 0)
                        fail_msg("%s answers otherwise when moved", subject->name);
                assert_memory_equal(&before, &back, sizeof(before));
        }
}

static void what_cannot_be_moved_is_refused(void **state)
{
        struct arch_displaced displaced;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                if (displace(&refused[i], (uint64_t)page, &displaced) != ARCH_NOT_DISPLACEABLE)
                        fail_msg("%s was not refused", refused[i].name);
        for (size_t i = 0; i < ARRAY_SIZE(without_room); i++)
                if (displace(&without_room[i], (uint64_t)page, &displaced) != ARCH_NO_ROOM)
                        fail_msg("%s was taken to have room", without_room[i].name);
}

static void padding_counts_only_as_far_as_it_can_be_read(void **state)
{
        struct arch_displaced displaced;

        (void)state;
        for (size_t room = 0; room <= 5; room++)
                assert_int_equal(arch_displace(c_short_nops, 3, MAX((size_t)3, room), 0,
                                               (uint64_t)c_short_nops, (uint64_t)page, &displaced),
                                 room < 5 ? ARCH_NO_ROOM : 0);
        /* a function of nothing */
        assert_int_equal(arch_displace(c_short_nops, 0, 0, 0, (uint64_t)c_short_nops,
                                       (uint64_t)page, &displaced),
                         ARCH_NO_ROOM);
}

/* Where functions are not aligned the next one may begin amidst what looks like padding. */
static void padding_ends_where_a_function_could_begin(void **state)
{
        const uint64_t aligned = UINT64_C(0x7f0000001000);
        struct arch_displaced displaced;

        (void)state;
        for (uint64_t offset = 0; offset < 16; offset++) {
                bool room = offset + 5 <= ROUND_UP(offset + 3, UINT64_C(16));
                int r = arch_displace(c_short_nops, 3, 19, 0, aligned + offset, aligned - 4096,
                                      &displaced);

                assert_int_equal(r, room ? 0 : ARCH_NO_ROOM);
        }
}

extern const uint8_t a_reads[], a_overwrites[], a_calls[], a_other[];
__asm__(".pushsection .text.subjects, \"ax\", @progbits\n"
        "a_reads: push %rbp\n mov %rdx, %rbp\n mov 80(%rdx), %rax\n ret\n"
        "a_overwrites: mov 80(%rsp), %rax\n mov 8(%rdx), %edx\n mov 80(%rdx), %rax\n ret\n"
        "a_calls: call add_1000\n mov 80(%rdx), %rax\n ret\n"
        "a_other: mov 72(%rdx), %rax\n mov 80(%rcx), %rax\n mov 80(%rdx,%rax), %rax\n"
        " lea 80(%rdx), %rax\n ret\n .byte 6\n"
        ".skip 64, 0x90\n"
        ".popsection\n");

static void a_structure_is_known_by_what_is_read_of_it(void **state)
{
        (void)state;
        assert_true(arch_third_argument_is_read(a_reads, 64, 80));
        assert_false(arch_third_argument_is_read(a_reads, 5, 80));
        assert_false(arch_third_argument_is_read(a_reads, 0, 80));
        assert_false(arch_third_argument_is_read(a_overwrites, 64, 80));
        assert_false(arch_third_argument_is_read(a_calls, 64, 80));
        assert_false(arch_third_argument_is_read(a_other, 64, 80));
        assert_true(arch_third_argument_is_read(a_other, 64, 72));
}

static void a_place_out_of_reach_is_refused(void **state)
{
        struct arch_displaced displaced;
        static const struct subject load = SUBJECT(c_rip_load), plain = SUBJECT(c_plain);
        uint64_t far = (uint64_t)subjects_start + (UINT64_C(3) << 30);

        (void)state;
        assert_int_equal(displace(&load, far, &displaced), ARCH_NOT_DISPLACEABLE);
        assert_int_equal(displace(&plain, far, &displaced), ARCH_NOT_DISPLACEABLE);
        assert_int_equal(displace(&plain, (uint64_t)page, &displaced), 0);
}

static void jumps_lead_where_they_say(void **state)
{
        const uint64_t from = UINT64_C(0x7f0000000000);
        uint8_t jump[ARCH_JUMP_SIZE], stub[ARCH_STUB_SIZE];
        uint64_t to;

        (void)state;
        for (int64_t distance = -1024; distance <= 1024; distance += 64) {
                assert_true(arch_jump(from, from + (uint64_t)distance, jump));
                assert_true(arch_jump_target(jump, from, &to));
                assert_int_equal(to, from + (uint64_t)distance);
        }
        assert_true(arch_jump(from, from + 5 + INT32_MAX, jump));
        assert_true(arch_jump_target(jump, from, &to));
        assert_int_equal(to, from + 5 + INT32_MAX);
        assert_true(arch_jump(from, from + 5 - (UINT64_C(1) << 31), jump));
        assert_false(arch_jump(from, from + 6 + INT32_MAX, jump));
        assert_false(arch_jump(from, from + 4 - (UINT64_C(1) << 31), jump));
        jump[0] = 0xe8;
        assert_false(arch_jump_target(jump, from, &to));
        assert_true(arch_slot_stub(from, from + 0x1000, stub));
        assert_false(arch_slot_stub(from, from + (UINT64_C(1) << 32), stub));
}

static void a_slot_stub_jumps_through_its_slot(void **state)
{
        extern uint64_t pointer;
        uint64_t (*function)(uint64_t);

        (void)state;
        assert_true(arch_slot_stub((uint64_t)page, (uint64_t)&pointer, page));
        function = (uint64_t(*)(uint64_t))(uintptr_t)page;
        assert_int_equal(function(234), 1234);
}

/* --- All functions of the C library ------------------------------------------------------ */

static ZydisDecoder decoder;

struct one {
        ZydisDecodedInstruction decoded;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        uint64_t target; /* of a relative operand, 0 without */
};

static struct one decode_one(const uint8_t *code, size_t size, uint64_t at)
{
        struct one one = { 0 };

        assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, size, &one.decoded,
                                                        one.operands)));
        for (size_t i = 0; i < one.decoded.operand_count; i++) {
                ZyanU64 target = 0;

                if ((one.decoded.attributes & ZYDIS_ATTRIB_IS_RELATIVE) &&
                    ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&one.decoded, &one.operands[i], at,
                                                          &target)))
                        one.target = target;
        }
        return one;
}

/* A call that was moved: a push of the address behind the original one, and a jump. */
static size_t check_moved_call(const char *name, const struct one *was, uint64_t at,
                               uint64_t place, const struct arch_displaced *displaced, size_t to)
{
        const uint8_t *code = displaced->code + to;
        uint32_t low, high;
        struct one jump;

        assert_true(displaced->size - to > 13);
        assert_memory_equal(code + 5, "\xc7\x44\x24\x04", 4);
        memcpy(&low, code + 1, sizeof(low));
        memcpy(&high, code + 9, sizeof(high));
        assert_int_equal(low | (uint64_t)high << 32, at + was->decoded.length);
        jump = decode_one(code + 13, displaced->size - to - 13, place + to + 13);
        if (jump.decoded.mnemonic != ZYDIS_MNEMONIC_JMP || jump.target != was->target)
                fail_msg("%s: a call was changed when it was moved", name);
        return 13 + jump.decoded.length;
}

/* The moved instructions are the original ones, and mean the same addresses. */
static void check_moved(const char *name, const uint8_t *code, uint64_t place,
                        const struct arch_displaced *displaced, size_t size)
{
        size_t from = 0, to = 0;
        bool falls_through = true;

        while (from < MIN(displaced->length, size)) {
                uint64_t at = (uint64_t)code + from;
                struct one was = decode_one(code + from, size - from, at);
                struct one is = decode_one(displaced->code + to, displaced->size - to, place + to);

                if (was.decoded.mnemonic == ZYDIS_MNEMONIC_CALL &&
                    is.decoded.mnemonic == ZYDIS_MNEMONIC_PUSH) {
                        to += check_moved_call(name, &was, at, place, displaced, to);
                        falls_through = false;
                        from += was.decoded.length;
                        continue;
                }
                if (was.decoded.mnemonic != is.decoded.mnemonic || was.target != is.target)
                        fail_msg("%s: an instruction was changed when it was moved", name);
                falls_through = was.decoded.meta.category != ZYDIS_CATEGORY_RET &&
                                was.decoded.meta.category != ZYDIS_CATEGORY_UNCOND_BR &&
                                was.decoded.mnemonic != ZYDIS_MNEMONIC_UD2;
                from += was.decoded.length;
                to += is.decoded.length;
        }
        if (falls_through) {
                struct one back =
                        decode_one(displaced->code + to, displaced->size - to, place + to);

                assert_int_equal(back.target, (uint64_t)code + MAX(from, displaced->length));
                to += back.decoded.length;
        }
        if (to != displaced->size)
                fail_msg("%s: %zu bytes behind the moved instructions", name, displaced->size - to);
}

static void displace_symbol(uint8_t *base, const GElf_Sym *symbol, const char *name,
                            size_t *n_moved, size_t *n_all)
{
        const uint8_t *code = base + symbol->st_value;
        uint64_t place = (uint64_t)base - (64 << 20);
        size_t skip = arch_entry_skip(code, symbol->st_size);
        struct arch_displaced displaced;
        int r = arch_displace(code, symbol->st_size, symbol->st_size + 16, skip, (uint64_t)code,
                              place, &displaced);

        (*n_all)++;
        if (r != 0) {
                assert_true(r == ARCH_NOT_DISPLACEABLE || r == ARCH_NO_ROOM);
                return;
        }
        (*n_moved)++;
        check_moved(name, code + skip, place, &displaced, symbol->st_size - skip);
}

static void functions_of_the_c_library(void **state)
{
        Dl_info info;
        size_t n_moved = 0, n_all = 0;
        int fd;
        Elf *elf;
        Elf_Scn *section = NULL;

        (void)state;
        assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                                                  ZYDIS_STACK_WIDTH_64)));
        assert_int_not_equal(dladdr((void *)(uintptr_t)dlsym(RTLD_DEFAULT, "qsort"), &info), 0);
        elf_version(EV_CURRENT);
        fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        elf = elf_begin(fd, ELF_C_READ, NULL);
        assert_non_null(elf);
        while ((section = elf_nextscn(elf, section))) {
                GElf_Shdr header;
                Elf_Data *data;

                if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM)
                        continue;
                data = elf_getdata(section, NULL);
                for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
                        GElf_Sym symbol;

                        if (gelf_getsym(data, (int)i, &symbol) && symbol.st_size > 0 &&
                            symbol.st_shndx != SHN_UNDEF &&
                            GELF_ST_TYPE(symbol.st_info) == STT_FUNC)
                                displace_symbol(info.dli_fbase, &symbol,
                                                elf_strptr(elf, header.sh_link, symbol.st_name),
                                                &n_moved, &n_all);
                }
        }
        elf_end(elf);
        close(fd);
        print_message("%zu of %zu functions can be moved\n", n_moved, n_all);
        assert_true(n_all > 1000);
        assert_true(n_moved > n_all * 9 / 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(moved_code_does_the_same),
                cmocka_unit_test(what_cannot_be_moved_is_refused),
                cmocka_unit_test(padding_counts_only_as_far_as_it_can_be_read),
                cmocka_unit_test(padding_ends_where_a_function_could_begin),
                cmocka_unit_test(a_structure_is_known_by_what_is_read_of_it),
                cmocka_unit_test(a_place_out_of_reach_is_refused),
                cmocka_unit_test(jumps_lead_where_they_say),
                cmocka_unit_test(a_slot_stub_jumps_through_its_slot),
                cmocka_unit_test(functions_of_the_c_library),
        };

        return cmocka_run_group_tests_name("live-code", tests, make_page, NULL);
}
