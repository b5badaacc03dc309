/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/confirm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void note_interrupt(int signal)
{
        (void)signal;
        interrupted = 1;
}

void interrupt_catch(void)
{
        /* No SA_RESTART: a question that waits for its answer must end. */
        struct sigaction action = { .sa_handler = note_interrupt };

        sigemptyset(&action.sa_mask);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGHUP, &action, NULL);
}

bool interrupt_seen(void)
{
        return interrupted;
}

/* The first byte of a line that is read to its end; 0 at the end of input. */
static char read_answer(void)
{
        char first = 0, c;

        while (!interrupted) {
                ssize_t n = read(STDIN_FILENO, &c, 1);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0 || c == '\n')
                        break;
                if (!first && c != ' ')
                        first = c;
        }
        return first;
}

int confirm(struct output *output, const char *question, struct error *err)
{
        char answer;

        if (output->json || output->quiet || !isatty(STDIN_FILENO))
                return error_set(err, EXIT_CODE_USAGE, 0,
                                 "nothing was changed; add --yes to go on without being asked",
                                 "there is nobody to ask \"%s\"", question);
        output_text(output, "%s [y/N] ", question);
        fflush(output->stream);
        answer = read_answer();
        return answer == 'y' || answer == 'Y' ? 0 : CONFIRM_NO;
}
