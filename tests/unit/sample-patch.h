/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A small valid patch, made afresh for each test: two targets, code with every kind of relocation
 * that is allowed, read-only data, data, bss, hooks, and every kind of symbol. Tests change one
 * thing in it before it is built.
 */
#include <jansson.h>
#include <stdbool.h>
#include "base/buffer.h"
#include "base/error.h"
#include "elf/writer.h"

#define SAMPLE_BUILD_ID "00112233445566778899aabbccddeeff00112233"
#define SAMPLE_BUILD_ID_2 "ffeeddccbbaa99887766554433221100ffeeddcc"

/* The ELF side; sections and symbols are left for the caller to add to. */
struct sample {
        struct elf_writer *writer;
        size_t text, rodata, data, bss, text_hook;              /* sections */
        size_t s_new, s_hook, s_table, s_counter, s_bss;        /* symbols */
        size_t s_local, s_slot, s_import, s_runtime;
        json_t *manifest;
};

bool sample_init(struct sample *sample);
void sample_done(struct sample *sample);
/* patch_build() of it. */
int sample_build(struct sample *sample, struct buffer *ret, struct error *err);
/* The same without reading it back, for files that must be refused. */
int sample_write(struct sample *sample, struct buffer *ret, struct error *err);
