/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sample-patch.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "patch/patch.h"

static const char manifest_text[] =
        "{ 'schema': 'suture-patch-1', 'id': 'SUT-2026-0042', 'level': 2,"
        "  'title': 'sample: answer rightly', 'author': 'Jane Doe <jane@example.org>',"
        "  'created': '2026-11-25T08:00:00Z',"
        "  'source': { 'package': 'sample', 'version': '1.0-1' },"
        "  'cves': [ { 'id': 'CVE-2026-63382', 'reach': 'remote' },"
        "            { 'id': 'CVE-2026-0001', 'reach': 'unknown' } ],"
        "  'fixes': [ { 'name': 'fix.patch', 'sha256': '" "0123456789abcdef0123456789abcdef"
        "0123456789abcdef0123456789abcdef" "' } ],"
        "  'supersedes': [ 'SUT-2026-0007' ],"
        "  'targets': ["
        "    { 'build_id': '" SAMPLE_BUILD_ID "', 'module': 'libsample.so.1',"
        "      'package': 'libsample1', 'version': '1.0-1', 'pinned': true,"
        "      'sections': [ '.text.answer', '.rodata.answer', '.data.counter', '.bss.room',"
        "                    '.text.hook' ],"
        "      'functions': ["
        "        { 'name': 'answer', 'address': 4096, 'size': 64, 'sha256': '"
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" "',"
        "          'symbol': 'answer', 'consistency': 'strict',"
        "          'cold': [ { 'address': 8192, 'size': 20 } ] } ],"
        "      'symbols': ["
        "        { 'name': 'warn_local', 'kind': 'local', 'address': 999 },"
        "        { 'name': 'strlen', 'kind': 'slot', 'address': 888, 'lookup': 'strlen' },"
        "        { 'name': 'memchr', 'kind': 'import', 'lookup': 'memchr',"
        "          'version': 'GLIBC_2.2.5' },"
        "        { 'name': 'suture_shadow_root', 'kind': 'runtime' } ],"
        "      'hooks': { 'pre': 'hook', 'post': 'hook', 'undo': 'hook' } },"
        "    { 'build_id': '" SAMPLE_BUILD_ID_2 "', 'module': 'libsample.so.2',"
        "      'pinned': false, 'sections': [ '.text.hook' ],"
        "      'functions': ["
        "        { 'name': 'a', 'address': 16, 'size': 16, 'sha256': '"
        "00000000000000000000000000000000ffffffffffffffffffffffffffffffff" "',"
        "          'symbol': 'hook', 'consistency': 'entry' },"
        "        { 'name': 'b', 'address': 32, 'size': 16, 'sha256': '"
        "00000000000000000000000000000000ffffffffffffffffffffffffffffffff" "',"
        "          'symbol': 'hook', 'consistency': 'strict' } ] } ] }";

/* JSON with ' for ", which C can hold without escapes. */
static json_t *parse_quoted(const char *text)
{
        _cleanup_free_ char *copy = strdup(text);

        if (!copy)
                return NULL;
        for (char *at = copy; *at; at++)
                if (*at == '\'')
                        *at = '"';
        return json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
}

static bool add_sections(struct sample *sample)
{
        static const uint8_t code[64] = { 0xc3 };
        static const uint8_t bytes[32] = "the answer is %d";

        sample->text = elf_writer_add_section(sample->writer, ".text.answer", SHT_PROGBITS,
                                              SHF_ALLOC | SHF_EXECINSTR, 16, code, sizeof(code));
        sample->rodata = elf_writer_add_section(sample->writer, ".rodata.answer", SHT_PROGBITS,
                                                SHF_ALLOC, 8, bytes, sizeof(bytes));
        sample->data = elf_writer_add_section(sample->writer, ".data.counter", SHT_PROGBITS,
                                              SHF_ALLOC | SHF_WRITE, 8, bytes, sizeof(bytes));
        sample->bss = elf_writer_add_section(sample->writer, ".bss.room", SHT_NOBITS,
                                             SHF_ALLOC | SHF_WRITE, 32, NULL, 4096);
        sample->text_hook = elf_writer_add_section(sample->writer, ".text.hook", SHT_PROGBITS,
                                                   SHF_ALLOC | SHF_EXECINSTR, 16, code, 16);
        return sample->text && sample->rodata && sample->data && sample->bss && sample->text_hook;
}

static bool add_symbols(struct sample *sample)
{
        struct elf_writer *writer = sample->writer;

        /* A global one first: the writer must sort. */
        sample->s_new = elf_writer_add_symbol(writer, "answer", sample->text, 0, 64, STB_GLOBAL,
                                              STT_FUNC);
        sample->s_hook = elf_writer_add_symbol(writer, "hook", sample->text_hook, 0, 16,
                                               STB_GLOBAL, STT_FUNC);
        sample->s_table = elf_writer_add_symbol(writer, ".Ltable", sample->rodata, 0, 32,
                                                STB_LOCAL, STT_OBJECT);
        sample->s_counter = elf_writer_add_symbol(writer, "counter", sample->data, 0, 8,
                                                  STB_LOCAL, STT_OBJECT);
        sample->s_bss = elf_writer_add_symbol(writer, "", sample->bss, 0, 0, STB_LOCAL,
                                              STT_SECTION);
        sample->s_local = elf_writer_add_symbol(writer, "warn_local", SHN_UNDEF, 0, 0, STB_GLOBAL,
                                                STT_NOTYPE);
        sample->s_slot = elf_writer_add_symbol(writer, "strlen", SHN_UNDEF, 0, 0, STB_GLOBAL,
                                               STT_NOTYPE);
        sample->s_import = elf_writer_add_symbol(writer, "memchr", SHN_UNDEF, 0, 0, STB_GLOBAL,
                                                 STT_NOTYPE);
        sample->s_runtime = elf_writer_add_symbol(writer, "suture_shadow_root", SHN_UNDEF, 0, 0,
                                                  STB_GLOBAL, STT_NOTYPE);
        return sample->s_new && sample->s_hook && sample->s_table && sample->s_counter &&
               sample->s_bss && sample->s_local && sample->s_slot && sample->s_import &&
               sample->s_runtime;
}

static bool add_relocations(struct sample *sample)
{
        const struct {
                size_t section;
                uint64_t offset;
                uint32_t type;
                size_t symbol;
                int64_t addend;
        } rows[] = {
                { sample->text, 1, R_X86_64_PLT32, sample->s_local, -4 },
                { sample->text, 6, R_X86_64_PC32, sample->s_table, -4 },
                { sample->text, 12, R_X86_64_GOTPCRELX, sample->s_slot, -4 },
                { sample->text, 20, R_X86_64_REX_GOTPCRELX, sample->s_import, -4 },
                { sample->text, 24, R_X86_64_GOTPCREL, sample->s_runtime, -4 },
                { sample->text, 28, R_X86_64_32S, sample->s_counter, 0 },
                { sample->text, 32, R_X86_64_32, sample->s_bss, 8 },
                { sample->text, 56, R_X86_64_PC64, sample->s_hook, 0 },
                { sample->text, 0, R_X86_64_NONE, sample->s_new, 0 },
                { sample->rodata, 0, R_X86_64_64, sample->s_new, 0 },
                { sample->data, 24, R_X86_64_64, sample->s_import, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (!elf_writer_add_relocation(sample->writer, rows[i].section, rows[i].offset,
                                               rows[i].type, rows[i].symbol, rows[i].addend))
                        return false;
        return true;
}

bool sample_init(struct sample *sample)
{
        *sample = (struct sample){ .writer = elf_writer_new(EM_X86_64) };
        sample->manifest = parse_quoted(manifest_text);
        return sample->writer && sample->manifest && add_sections(sample) &&
               add_symbols(sample) && add_relocations(sample);
}

void sample_done(struct sample *sample)
{
        elf_writer_free(sample->writer);
        json_decref(sample->manifest);
}

int sample_build(struct sample *sample, struct buffer *ret, struct error *err)
{
        return patch_build(sample->writer, sample->manifest, ret, err);
}

int sample_write(struct sample *sample, struct buffer *ret, struct error *err)
{
        _cleanup_free_ char *text = json_dumps(sample->manifest, JSON_COMPACT);

        if (!text || !elf_writer_add_section(sample->writer, PATCH_MANIFEST_SECTION, SHT_PROGBITS,
                                             0, 1, text, strlen(text)))
                return error_no_memory(err);
        return elf_writer_finish(sample->writer, ret, err);
}
