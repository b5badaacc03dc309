/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks once, as the first thing it does, says the answer and ends: was it patched before main?
 *     once [fork N | thread-exec PROGRAM | block | ignore | handle | uid | sleep MS]...
 * Answers "fixed" or "vulnerable", exit code 0 or 1; what it is told to do comes afterwards.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "subject.h"

/* Hostile: claims 40 bytes and has 7. The memory behind it is there, so believing it is no crash. */
static const unsigned char hostile[48] = { 40, 'a', 'b', 'c', 'd', 'e', 'f', 'g' };

static void *exec_in_thread(void *program)
{
        execl(program, program, (char *)NULL);
        _exit(127);
}

static int start(char **argv)
{
        char *const *rest = argv + 1;

        execv(*rest, rest);
        return 127;
}

static void ignore(int signal)
{
        (void)signal;
}

/* The next program inherits what is done to signals. */
static void with_signals(const char *what)
{
        static const int signals[] = { SIGURG, SIGWINCH, SIGCHLD };
        sigset_t set;

        sigfillset(&set);
        if (strcmp(what, "block") == 0)
                sigprocmask(SIG_SETMASK, &set, NULL);
        for (size_t i = 0; i < 3 && strcmp(what, "block") != 0; i++)
                signal(signals[i], strcmp(what, "ignore") == 0 ? SIG_IGN : ignore);
}

int main(int argc, char **argv)
{
        int fixed = subject_check(hostile, 8) == -1;

        if (argc > 1 && strcmp(argv[1], "thread-exec") == 0) {
                pthread_t thread;

                pthread_create(&thread, NULL, exec_in_thread, argv[2]);
                pause();
        }
        if (argc > 2 && (strcmp(argv[1], "block") == 0 || strcmp(argv[1], "ignore") == 0 ||
                         strcmp(argv[1], "handle") == 0)) {
                with_signals(argv[1]);
                return start(argv + 1);
        }
        if (argc > 2 && strcmp(argv[1], "fork") == 0)
                for (int i = 0; i < atoi(argv[2]); i++)
                        if (fork() == 0)
                                return start((char *[]){ "", argv[0], NULL } );
        printf("%s%s\n", fixed ? "fixed" : "vulnerable",
               argc > 1 && strcmp(argv[1], "uid") == 0 ? (geteuid() == 0 ? " root" : " user") : "");
        fflush(stdout);
        while (wait(NULL) > 0)
                ;
        return !fixed;
}
