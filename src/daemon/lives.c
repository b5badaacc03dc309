/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An array sorted by pid: one entry for each patched process. Ends that come before the patch was
 * reported (a program that crashes at once) wait in a small ring for the report.
 */
#include "daemon/lives.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "daemon/guard-parts.h"
#include "proc/process.h"

#define RING_SIZE 256
#define RING_NS 10000000000u

struct past_end {
        pid_t pid;
        uint32_t status;
        uint64_t at_ns;
};

struct lives {
        struct life *items;
        size_t n_items, n_room;
        int fd;
        struct past_end ring[RING_SIZE];
        size_t ring_at;
        void (*ended)(void *context, const struct life_end *end);
        void *context;
};

int lives_open(void (*ended)(void *context, const struct life_end *end), void *context,
               struct lives **ret, struct error *err)
{
        struct lives *lives = calloc(1, sizeof(*lives));

        if (!lives)
                return error_no_memory(err);
        lives->ended = ended;
        lives->context = context;
        lives->fd = guard_events_open();
        *ret = lives;
        return 0;
}

static void life_done(struct life *life)
{
        free(life->service);
        free(life->patches);
}

struct lives *lives_close(struct lives *lives)
{
        if (!lives)
                return NULL;
        for (size_t i = 0; i < lives->n_items; i++)
                life_done(&lives->items[i]);
        free(lives->items);
        if (lives->fd >= 0)
                close(lives->fd);
        free(lives);
        return NULL;
}

int lives_fd(const struct lives *lives)
{
        return lives->fd >= 0 ? lives->fd : -1;
}

size_t lives_count(const struct lives *lives)
{
        return lives->n_items;
}

/* Where the pid is, or would be. */
static size_t find(const struct lives *lives, pid_t pid, bool *ret_there)
{
        size_t low = 0, high = lives->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (lives->items[middle].pid < pid)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_there = low < lives->n_items && lives->items[low].pid == pid;
        return low;
}

static void remove_at(struct lives *lives, size_t i)
{
        life_done(&lives->items[i]);
        memmove(&lives->items[i], &lives->items[i + 1],
                (--lives->n_items - i) * sizeof(*lives->items));
}

static bool make_room(struct lives *lives)
{
        size_t room = MAX((size_t)64, 2 * lives->n_room);
        struct life *items;

        if (lives->n_items < lives->n_room)
                return true;
        if (lives->n_items >= LIVES_MAX)
                return false;
        items = reallocarray(lives->items, room, sizeof(*items));
        if (!items)
                return false;
        lives->items = items;
        lives->n_room = room;
        return true;
}

static void tell_end(struct lives *lives, const struct life *life, uint32_t status)
{
        struct life_end end = { .life = life };

        if (WIFSIGNALED((int)status))
                end.signal = WTERMSIG((int)status);
        else
                end.exit_status = WEXITSTATUS((int)status);
        lives->ended(lives->context, &end);
}

static bool insert(struct lives *lives, const struct life *life)
{
        bool there;
        size_t i = find(lives, life->pid, &there);
        struct life copy = *life;

        copy.seen = true;
        copy.service = strdup(life->service);
        copy.patches = strdup(life->patches);
        if (!copy.service || !copy.patches || (!there && !make_room(lives))) {
                life_done(&copy);
                return false;
        }
        if (there) {
                life_done(&lives->items[i]);
        } else {
                memmove(&lives->items[i + 1], &lives->items[i],
                        (lives->n_items++ - i) * sizeof(*lives->items));
        }
        lives->items[i] = copy;
        return true;
}

bool lives_add(struct lives *lives, const struct life *life)
{
        lives_step(lives); /* its exec must not come after it */
        for (size_t i = 0; i < RING_SIZE; i++) {
                struct past_end *past = &lives->ring[i];

                if (past->pid != life->pid || clock_now_ns() - past->at_ns > RING_NS)
                        continue;
                past->pid = 0;
                tell_end(lives, life, past->status);
                return true;
        }
        if (!process_alive(life->pid, life->start_ticks))
                return true; /* it ended as it should */
        return insert(lives, life);
}

static bool has_word(const char *words, const char *word)
{
        size_t size = strlen(word);

        for (const char *at = words; (at = strstr(at, word)); at += size)
                if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
                        return true;
        return false;
}

bool lives_add_patch(struct lives *lives, const struct life *life)
{
        _cleanup_buffer_ struct buffer words = { 0 };
        struct life both = *life;
        bool there;
        size_t i;

        lives_step(lives);
        i = find(lives, life->pid, &there);
        if (!there || lives->items[i].start_ticks != life->start_ticks)
                return lives_add(lives, life);
        if (has_word(lives->items[i].patches, life->patches))
                return true;
        if (!buffer_printf(&words, "%s %s", lives->items[i].patches, life->patches))
                return false;
        both.patches = (char *)words.data;
        return lives_add(lives, &both);
}

void lives_look_begin(struct lives *lives)
{
        for (size_t i = 0; i < lives->n_items; i++)
                lives->items[i].seen = false;
}

void lives_look_end(struct lives *lives)
{
        for (size_t i = lives->n_items; i > 0; i--)
                if (!lives->items[i - 1].seen)
                        remove_at(lives, i - 1);
}

static void on_fork(struct lives *lives, pid_t parent, pid_t child)
{
        bool there;
        size_t i = find(lives, parent, &there);
        struct life life;

        if (!there)
                return;
        life = lives->items[i];
        life.pid = child;
        life.main = false;
        (void)insert(lives, &life);
}

static void on_exit_event(struct lives *lives, pid_t pid, uint32_t status)
{
        bool there;
        size_t i = find(lives, pid, &there);

        if (there) {
                tell_end(lives, &lives->items[i], status);
                i = find(lives, pid, &there);
                if (there)
                        remove_at(lives, i);
        } else if (status != 0) {
                lives->ring[lives->ring_at++ % RING_SIZE] =
                        (struct past_end){ pid, status, clock_now_ns() };
        }
}

static void on_event(struct lives *lives, const struct proc_event *event)
{
        bool there;
        size_t i;

        switch (event->what) {
        case PROC_EVENT_FORK:
                if (event->event_data.fork.child_pid == event->event_data.fork.child_tgid)
                        on_fork(lives, event->event_data.fork.parent_tgid,
                                event->event_data.fork.child_tgid);
                break;
        case PROC_EVENT_EXEC:
                i = find(lives, event->event_data.exec.process_tgid, &there);
                if (there)
                        remove_at(lives, i);
                break;
        case PROC_EVENT_EXIT:
                if (event->event_data.exit.process_pid == event->event_data.exit.process_tgid)
                        on_exit_event(lives, event->event_data.exit.process_tgid,
                                      event->event_data.exit.exit_code);
                break;
        default:
                break;
        }
}

void lives_step(struct lives *lives)
{
        while (lives->fd >= 0) {
                _Alignas(struct nlmsghdr) char bytes[4096];
                const struct cn_msg *message = NLMSG_DATA((struct nlmsghdr *)bytes);
                struct proc_event event = { 0 };
                ssize_t n = recv(lives->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

                if (n < 0 && (errno == EINTR || errno == ENOBUFS))
                        continue; /* what was lost is put right by the next look */
                if (n < 0)
                        return;
                if ((size_t)n < NLMSG_LENGTH(sizeof(*message)) + offsetof(struct proc_event,
                                                                          event_data))
                        continue;
                memcpy(&event, message->data,
                       MIN(sizeof(event), (size_t)n - NLMSG_LENGTH(sizeof(*message))));
                on_event(lives, &event);
        }
}
