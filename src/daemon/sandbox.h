/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Reads a patch file that somebody handed over, in a process that may do nothing: another user, no
 * capability, no system call but those for memory and its own descriptors, little memory and time.
 * Only bytes that it found to be a sound patch file are looked at by the daemon itself.
 */
#include "base/buffer.h"
#include "base/hash.h"
#include "daemon/job.h"

struct sandbox;
/*
 * Takes over `fd`, from which only the new process reads. `end` is called out of job_step() of
 * sandbox_job(): with the bytes, which are the callee's from then on, or with the fault.
 */
typedef void sandbox_end(void *context, struct buffer *bytes, const struct error *err);
int sandbox_start(int fd, sandbox_end *end, void *context, struct sandbox **ret,
                  struct error *err);
struct sandbox *sandbox_free(struct sandbox *sandbox);
DEFINE_CLEANUP(struct sandbox *, sandbox_free)
struct job *sandbox_job(struct sandbox *sandbox);

/* Gives up everything, for good. False if that is not possible. Also for tests. */
bool sandbox_enter(void);
