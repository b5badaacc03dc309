/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file has the form that administrators know from systemd units: sections in brackets,
 * Key=Value lines, comments behind # or ; at the start of a line. Debian 12 has no kept library for
 * TOML in C, and libinih tells no columns; the form needs less than a page of reading. What a key
 * means is a row in a table: the section it may stand in, how its value is read, and where it goes.
 */
#include "daemon/policy.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/array.h"
#include "base/file.h"

#define DEFAULT_BUDGET_MS 100
#define DEFAULT_DEATHS 3
#define DEFAULT_WITHIN_MS (10 * 60 * 1000)
#define DEFAULT_AUDIT_BYTES (64ull << 20)
#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_WATCH_MS 10000
#define DEFAULT_INTERVAL_MS 1000

enum section { NO_SECTION, DEFAULTS, CRASH_GUARD, LOG, RULE, EXCLUDE, HEALTH, N_SECTIONS };

static const char *const section_names[N_SECTIONS] = {
        [DEFAULTS] = "Defaults", [CRASH_GUARD] = "CrashGuard", [LOG] = "Log", [RULE] = "Rule",
        [EXCLUDE] = "Exclude", [HEALTH] = "Health",
};
#define IN(section) (1u << (section))

struct word {
        const char *text;
        int value;
};
static const struct word mode_words[] = {
        { "automatic", POLICY_AUTOMATIC }, { "ask", POLICY_ASK }, { "hold", POLICY_HOLD }, { NULL },
};
static const struct word severity_words[] = {
        { "low", POLICY_LOW }, { "medium", POLICY_MEDIUM }, { "high", POLICY_HIGH },
        { "critical", POLICY_CRITICAL }, { NULL },
};
static const struct word reach_words[] = {
        { "remote", PATCH_REACH_REMOTE }, { "local", PATCH_REACH_LOCAL }, { NULL },
};
static const struct word yes_words[] = { { "yes", 1 }, { "no", 0 }, { NULL } };

enum kind {
        KIND_WORD,      /* enum or bool, of `words` */
        KIND_GLOBS,     /* struct policy_list; blanks separate, further lines add */
        KIND_TIME,      /* uint32_t milliseconds */
        KIND_BYTES,     /* uint64_t */
        KIND_COUNT,     /* uint32_t */
        KIND_PATH,      /* char *, absolute */
        KIND_CHECK,     /* of a health check; `detail` is its kind */
};

struct key {
        const char *name;
        unsigned sections;
        enum kind kind;
        size_t offset;
        const struct word *words;
        size_t given;           /* offset of a bool that is set; 0: none */
        enum policy_health_kind detail;
};

#define P(field) offsetof(struct policy, field)
#define R(field) offsetof(struct policy_rule, field)
#define H(field) offsetof(struct policy_health, field)

static const struct key keys[] = {
        { "Mode", IN(DEFAULTS), KIND_WORD, P(mode), mode_words, 0, 0 },
        { "PauseBudget", IN(DEFAULTS), KIND_TIME, P(pause_budget_ms), NULL, 0, 0 },
        { "Deaths", IN(CRASH_GUARD), KIND_COUNT, P(crash_deaths), NULL, 0, 0 },
        { "Within", IN(CRASH_GUARD), KIND_TIME, P(crash_within_ms), NULL, 0, 0 },
        { "Audit", IN(LOG), KIND_PATH, P(audit_path), NULL, 0, 0 },
        { "AuditSize", IN(LOG), KIND_BYTES, P(audit_max_bytes), NULL, 0, 0 },
        { "Journal", IN(LOG), KIND_WORD, P(journal), yes_words, 0, 0 },
        { "Unit", IN(RULE) | IN(EXCLUDE), KIND_GLOBS, R(units), NULL, 0, 0 },
        { "Path", IN(RULE) | IN(EXCLUDE), KIND_GLOBS, R(paths), NULL, 0, 0 },
        { "Container", IN(RULE) | IN(EXCLUDE), KIND_GLOBS, R(containers), NULL, 0, 0 },
        { "CVE", IN(RULE), KIND_GLOBS, R(cves), NULL, 0, 0 },
        { "Patch", IN(RULE) | IN(EXCLUDE), KIND_GLOBS, R(patches), NULL, 0, 0 },
        { "MinSeverity", IN(RULE), KIND_WORD, R(min_severity), severity_words, 0, 0 },
        { "Reach", IN(RULE), KIND_WORD, R(reach), reach_words, 0, 0 },
        { "Mode", IN(RULE), KIND_WORD, R(mode), mode_words, R(has_mode), 0 },
        { "PauseBudget", IN(RULE), KIND_TIME, R(pause_budget_ms), NULL, R(has_budget), 0 },
        { "Unit", IN(HEALTH), KIND_GLOBS, H(units), NULL, 0, 0 },
        { "Command", IN(HEALTH), KIND_CHECK, H(check), NULL, H(has_check), POLICY_HEALTH_COMMAND },
        { "HTTP", IN(HEALTH), KIND_CHECK, H(check), NULL, H(has_check), POLICY_HEALTH_HTTP },
        { "TCP", IN(HEALTH), KIND_CHECK, H(check), NULL, H(has_check), POLICY_HEALTH_TCP },
        { "Timeout", IN(HEALTH), KIND_TIME, H(timeout_ms), NULL, 0, 0 },
        { "Watch", IN(HEALTH), KIND_TIME, H(watch_ms), NULL, 0, 0 },
        { "Interval", IN(HEALTH), KIND_TIME, H(interval_ms), NULL, 0, 0 },
};

struct reader {
        const char *name;               /* of the file */
        struct policy *policy;
        enum section section;
        size_t line, section_line;
        const char *start;              /* of the line */
        uint64_t seen;                  /* keys of this section, by their row */
        uint32_t seen_sections;         /* those that stand once */
        struct error *err;
};

const char *policy_mode_name(enum policy_mode mode)
{
        return mode == POLICY_EXCLUDED ? "excluded" : mode_words[mode].text;
}

static void list_done(struct policy_list *list)
{
        for (size_t i = 0; i < list->n_items; i++)
                free(list->items[i]);
        free(list->items);
}

struct policy *policy_free(struct policy *policy)
{
        if (!policy)
                return NULL;
        for (size_t i = 0; i < policy->n_rules; i++) {
                struct policy_rule *rule = &policy->rules[i];

                free(rule->name);
                list_done(&rule->units);
                list_done(&rule->paths);
                list_done(&rule->containers);
                list_done(&rule->cves);
                list_done(&rule->patches);
        }
        for (size_t i = 0; i < policy->n_health; i++) {
                free(policy->health[i].name);
                free(policy->health[i].check);
                list_done(&policy->health[i].units);
        }
        free(policy->rules);
        free(policy->health);
        free(policy->audit_path);
        free(policy);
        return NULL;
}

struct policy *policy_new(void)
{
        struct policy *policy = calloc(1, sizeof(*policy));

        if (!policy)
                return NULL;
        policy->mode = POLICY_AUTOMATIC;
        policy->pause_budget_ms = DEFAULT_BUDGET_MS;
        policy->crash_deaths = DEFAULT_DEATHS;
        policy->crash_within_ms = DEFAULT_WITHIN_MS;
        policy->audit_max_bytes = DEFAULT_AUDIT_BYTES;
        policy->journal = true;
        policy->audit_path = strdup("/var/log/suture/audit.jsonl");
        return policy->audit_path ? policy : policy_free(policy);
}

/* "FILE:LINE:COLUMN: what "WORD"", with what is allowed as the next step. */
static int bad(const struct reader *reader, const char *at, size_t size, const char *what,
               const char *allowed)
{
        return error_set(reader->err, EXIT_CODE_ERROR, 0, allowed, "%s:%zu:%zu: %s \"%.*s\"",
                         reader->name, reader->line, (size_t)(at - reader->start) + 1, what,
                         (int)MIN(size, 100u), at);
}

static void list_words(const struct word *words, char *ret, size_t size)
{
        int n = snprintf(ret, size, "allowed: ");

        for (const struct word *word = words; word->text; word++)
                n += snprintf(ret + n, size - (size_t)n, "%s%s", word == words ? "" : ", ",
                              word->text);
}

static int read_word(const struct reader *reader, const struct key *key, const char *value,
                     size_t size, void *field)
{
        char allowed[256];

        for (const struct word *word = key->words; word->text; word++) {
                if (strlen(word->text) != size || strncmp(word->text, value, size) != 0)
                        continue;
                if (key->words == yes_words)
                        *(bool *)field = word->value;
                else
                        *(unsigned *)field = (unsigned)word->value;
                return 0;
        }
        list_words(key->words, allowed, sizeof(allowed));
        return bad(reader, value, size, "unknown value", allowed);
}

/* Digits, then one of the units; false also where the result is above `max`. */
static bool read_quantity(const char *value, size_t size, const struct word *units, uint64_t max,
                          uint64_t *ret)
{
        uint64_t number = 0;
        size_t i = 0;

        for (; i < size && isdigit((unsigned char)value[i]); i++) {
                number = 10 * number + (uint64_t)(value[i] - '0');
                if (number > max)
                        return false;
        }
        if (i == 0)
                return false;
        for (; units->text; units++)
                if (strlen(units->text) == size - i && strncmp(units->text, value + i, size - i) == 0)
                        break;
        if (!units->text || number > max / (uint64_t)units->value)
                return false;
        *ret = number * (uint64_t)units->value;
        return true;
}

static int read_number(const struct reader *reader, const struct key *key, const char *value,
                       size_t size, void *field)
{
        static const struct word times[] = {
                { "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 }, { NULL },
        };
        static const struct word sizes[] = {
                { "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 }, { NULL },
        };
        static const struct word plain[] = { { "", 1 }, { NULL } };
        uint64_t number;

        if (key->kind == KIND_TIME) {
                if (!read_quantity(value, size, times, 7 * 24 * 3600000u, &number))
                        return bad(reader, value, size, "no time",
                                   "a number with ms, s, min or h, at most 168h");
                *(uint32_t *)field = (uint32_t)number;
        } else if (key->kind == KIND_BYTES) {
                if (!read_quantity(value, size, sizes, 1ull << 40, &number))
                        return bad(reader, value, size, "no size",
                                   "a number of bytes, or with K, M or G");
                *(uint64_t *)field = number;
        } else {
                if (!read_quantity(value, size, plain, 1000, &number))
                        return bad(reader, value, size, "no count", "a number from 0 to 1000");
                *(uint32_t *)field = (uint32_t)number;
        }
        return 0;
}

static int read_globs(const struct reader *reader, const char *value, size_t size,
                      struct policy_list *list)
{
        const char *end = value + size;

        while (value < end) {
                size_t n = 0;
                char **item;

                while (value + n < end && !isblank((unsigned char)value[n]))
                        n++;
                item = ARRAY_PUSH(list->items, list->n_items);
                if (!item || !(*item = strndup(value, n)))
                        return error_no_memory(reader->err);
                for (value += n; value < end && isblank((unsigned char)*value);)
                        value++;
        }
        return 0;
}

static int read_check(const struct reader *reader, const struct key *key, const char *value,
                      size_t size, struct policy_health *health)
{
        const char *colon = memrchr(value, ':', size);
        uint64_t port;

        if (health->check)
                return bad(reader, value, size, "a second check in one section",
                           "one of Command, HTTP and TCP; make another [Health NAME] section");
        if (key->detail == POLICY_HEALTH_COMMAND && value[0] != '/')
                return bad(reader, value, size, "no absolute path", "the full path of a program, "
                           "with arguments");
        if (key->detail == POLICY_HEALTH_HTTP && strncmp(value, "http://", 7) != 0 &&
            strncmp(value, "https://", 8) != 0)
                return bad(reader, value, size, "no URL", "http://... or https://...");
        if (key->detail == POLICY_HEALTH_TCP &&
            (!colon || colon == value ||
             !read_quantity(colon + 1, size - (size_t)(colon + 1 - value),
                            (const struct word[]){ { "", 1 }, { NULL } }, 65535, &port) ||
             port == 0))
                return bad(reader, value, size, "no address", "HOST:PORT");
        health->kind = key->detail;
        health->check = strndup(value, size);
        return health->check ? 0 : error_no_memory(reader->err);
}

static int read_path(const struct reader *reader, const char *value, size_t size, char **field)
{
        if (value[0] != '/')
                return bad(reader, value, size, "no absolute path", "a path that begins with /");
        free(*field);
        *field = strndup(value, size);
        return *field ? 0 : error_no_memory(reader->err);
}

/* What the keys of the section at hand are stored in. */
static void *holder(const struct reader *reader)
{
        struct policy *policy = reader->policy;

        if (reader->section == RULE || reader->section == EXCLUDE)
                return &policy->rules[policy->n_rules - 1];
        return reader->section == HEALTH ? (void *)&policy->health[policy->n_health - 1] : policy;
}

static int store(const struct reader *reader, const struct key *key, const char *value, size_t size)
{
        void *holding = holder(reader), *field = (char *)holding + key->offset;

        if (key->given)
                *(bool *)((char *)holding + key->given) = true;
        switch (key->kind) {
        case KIND_WORD:
                return read_word(reader, key, value, size, field);
        case KIND_GLOBS:
                return read_globs(reader, value, size, field);
        case KIND_PATH:
                return read_path(reader, value, size, field);
        case KIND_CHECK:
                return read_check(reader, key, value, size, holding);
        default:
                return read_number(reader, key, value, size, field);
        }
}

static int unknown_key(const struct reader *reader, const char *name, size_t size)
{
        char allowed[384];
        int n = snprintf(allowed, sizeof(allowed), "allowed in [%s]:",
                         section_names[reader->section]);

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (keys[i].sections & IN(reader->section))
                        n += snprintf(allowed + n, sizeof(allowed) - (size_t)n, " %s", keys[i].name);
        return bad(reader, name, size, "unknown key", allowed);
}

static int read_key(struct reader *reader, const char *text, size_t size)
{
        const char *equals = memchr(text, '=', size), *value, *end = text + size;
        size_t name_size;

        if (!equals)
                return bad(reader, text, size, "neither a section nor a key:", "Key=Value");
        for (name_size = (size_t)(equals - text);
             name_size > 0 && isblank((unsigned char)text[name_size - 1]);)
                name_size--;
        for (value = equals + 1; value < end && isblank((unsigned char)*value);)
                value++;
        if (reader->section == NO_SECTION)
                return bad(reader, text, name_size, "a key before the first section:",
                           "begin with [Defaults]");
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (!(keys[i].sections & IN(reader->section)) ||
                    strlen(keys[i].name) != name_size || strncmp(keys[i].name, text, name_size))
                        continue;
                if (value == end)
                        return bad(reader, text, name_size, "no value for", "Key=Value");
                if (reader->seen & 1ull << i && keys[i].kind != KIND_GLOBS)
                        return bad(reader, text, name_size, "given a second time in this section:",
                                   "keep one of them");
                reader->seen |= 1ull << i;
                return store(reader, &keys[i], value, (size_t)(end - value));
        }
        return unknown_key(reader, text, name_size);
}

/* Called when a section ends. */
static int check_section(struct reader *reader)
{
        const struct policy *policy = reader->policy;
        const struct policy_rule *rule = policy->n_rules ? holder(reader) : NULL;
        const char *missing = NULL;

        if (reader->section == RULE && !rule->has_mode && !rule->has_budget)
                missing = "Mode= or PauseBudget=";
        if (reader->section == EXCLUDE && rule->units.n_items + rule->paths.n_items +
                                          rule->containers.n_items + rule->patches.n_items == 0)
                missing = "Unit=, Path=, Container= or Patch=";
        if (reader->section == HEALTH) {
                const struct policy_health *health = holder(reader);

                if (!health->check)
                        missing = "Command=, HTTP= or TCP=";
                else if (health->units.n_items == 0)
                        missing = "Unit=";
        }
        if (!missing)
                return 0;
        return error_set(reader->err, EXIT_CODE_ERROR, 0, NULL, "%s:%zu:1: the section [%s] needs %s",
                         reader->name, reader->section_line, section_names[reader->section],
                         missing);
}

static int begin_named(struct reader *reader, const char *name, size_t size)
{
        struct policy *policy = reader->policy;
        char *copy = strndup(name, size);

        if (copy && reader->section == HEALTH) {
                struct policy_health *health = ARRAY_PUSH(policy->health, policy->n_health);

                if (health) {
                        *health = (struct policy_health){
                                .name = copy, .line = reader->line,
                                .timeout_ms = DEFAULT_TIMEOUT_MS, .watch_ms = DEFAULT_WATCH_MS,
                                .interval_ms = DEFAULT_INTERVAL_MS,
                        };
                        return 0;
                }
        } else if (copy) {
                struct policy_rule *rule = ARRAY_PUSH(policy->rules, policy->n_rules);

                if (rule) {
                        rule->name = copy;
                        rule->line = reader->line;
                        rule->exclude = reader->section == EXCLUDE;
                        return 0;
                }
        }
        free(copy);
        reader->section = NO_SECTION;
        return error_no_memory(reader->err);
}

static int begin_section(struct reader *reader, const char *text, size_t size)
{
        static const char allowed[] = "allowed: [Defaults], [CrashGuard], [Log], [Rule NAME], "
                                      "[Exclude NAME], [Health NAME]";
        const char *name = text + 1, *end = text + size - 1, *blank;
        int r = check_section(reader);

        if (r < 0)
                return r;
        if (size < 2 || *end != ']')
                return bad(reader, text, size, "no section:", allowed);
        blank = memchr(name, ' ', (size_t)(end - name));
        reader->section = NO_SECTION;
        for (enum section i = DEFAULTS; i < N_SECTIONS; i++)
                if (strlen(section_names[i]) == (size_t)((blank ? blank : end) - name) &&
                    strncmp(section_names[i], name, strlen(section_names[i])) == 0)
                        reader->section = i;
        reader->seen = 0;
        reader->section_line = reader->line;
        if (reader->section == NO_SECTION || (reader->section >= RULE) != (blank != NULL) ||
            (blank && blank + 1 == end)) {
                reader->section = NO_SECTION;
                return bad(reader, text, size, "unknown section", allowed);
        }
        if (reader->section >= RULE)
                return begin_named(reader, blank + 1, (size_t)(end - blank - 1));
        if (reader->seen_sections & IN(reader->section)) {
                reader->section = NO_SECTION;
                return bad(reader, text, size, "a second section", "put them together");
        }
        reader->seen_sections |= IN(reader->section);
        return 0;
}

static int read_line(struct reader *reader, const char *text, size_t size)
{
        reader->start = text;
        for (; size > 0 && isspace((unsigned char)*text); text++)
                size--;
        while (size > 0 && isspace((unsigned char)text[size - 1]))
                size--;
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)text[i] < ' ' && text[i] != '\t')
                        return bad(reader, text + i, 0, "a control character", NULL);
        if (size == 0 || *text == '#' || *text == ';')
                return 0;
        return *text == '[' ? begin_section(reader, text, size) : read_key(reader, text, size);
}

int policy_parse(const char *text, size_t size, const char *name, struct policy **ret,
                 struct error *err)
{
        _cleanup_(policy_freep) struct policy *policy = policy_new();
        struct reader reader = { .name = name, .policy = policy, .err = err };
        const char *end = text + size;
        int r = policy ? 0 : error_no_memory(err);

        while (r == 0 && text < end) {
                const char *newline = memchr(text, '\n', (size_t)(end - text));
                const char *stop = newline ? newline : end;

                reader.line++;
                r = read_line(&reader, text, (size_t)(stop - text));
                text = newline ? newline + 1 : end;
        }
        if (r == 0)
                r = check_section(&reader);
        if (r < 0)
                return r;
        *ret = STEAL(policy);
        return 0;
}

int policy_load(const char *path, bool may_be_missing, struct policy **ret, struct error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        _cleanup_buffer_ struct buffer text = { 0 };
        struct stat info;
        int r;

        if (fd < 0 && errno == ENOENT && may_be_missing) {
                *ret = policy_new();
                return *ret ? 0 : error_no_memory(err);
        }
        if (fd < 0 || fstat(fd, &info) < 0)
                return error_set(err, errno == EACCES ? EXIT_CODE_PERMISSION : EXIT_CODE_ERROR,
                                 errno, NULL, "can't open %s", path);
        if (info.st_mode & 022 || (info.st_uid != 0 && info.st_uid != geteuid()))
                return error_set(err, EXIT_CODE_ERROR, 0, "chown root and chmod go-w it",
                                 "%s may be written by others than root", path);
        r = file_read_fd(fd, path, POLICY_MAX_BYTES, &text, err);
        return r < 0 ? r : policy_parse((const char *)text.data, text.size, path, ret, err);
}

/* An empty list matches all; a value that there is not ("") matches no glob. */
static bool matches(const struct policy_list *globs, const char *value)
{
        if (globs->n_items == 0)
                return true;
        for (size_t i = 0; *value && i < globs->n_items; i++)
                if (fnmatch(globs->items[i], value, 0) == 0)
                        return true;
        return false;
}

/* What a rule asks of CVEs must all hold for one and the same of them. */
static bool matches_cve(const struct policy_rule *rule, const struct policy_facts *facts)
{
        if (rule->cves.n_items == 0 && rule->reach == PATCH_REACH_UNKNOWN &&
            rule->min_severity == POLICY_SEVERITY_UNKNOWN)
                return true;
        for (size_t i = 0; i < facts->n_cves; i++) {
                const struct policy_cve *cve = &facts->cves[i];

                if (matches(&rule->cves, cve->id) && cve->severity >= rule->min_severity &&
                    (rule->reach == PATCH_REACH_UNKNOWN || cve->reach == rule->reach))
                        return true;
        }
        return false;
}

static bool rule_matches(const struct policy_rule *rule, const struct policy_facts *facts)
{
        return matches(&rule->units, facts->unit) && matches(&rule->paths, facts->path) &&
               matches(&rule->containers, facts->container) &&
               matches(&rule->patches, facts->patch) && matches_cve(rule, facts);
}

struct policy_decision policy_decide(const struct policy *policy, const struct policy_facts *facts)
{
        struct policy_decision decision = {
                .mode = policy->mode, .pause_budget_ms = policy->pause_budget_ms,
        };
        bool has_budget = false;

        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct policy_rule *rule = &policy->rules[i];

                if (rule->exclude && rule_matches(rule, facts))
                        return (struct policy_decision){ POLICY_EXCLUDED, 0, rule };
        }
        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct policy_rule *rule = &policy->rules[i];

                if (rule->exclude || !rule_matches(rule, facts))
                        continue;
                if (rule->has_mode && !decision.rule) {
                        decision.mode = rule->mode;
                        decision.rule = rule;
                }
                if (rule->has_budget && !has_budget) {
                        decision.pause_budget_ms = rule->pause_budget_ms;
                        has_budget = true;
                }
        }
        return decision;
}

size_t policy_health_for(const struct policy *policy, const char *unit,
                         void (*each)(void *context, const struct policy_health *health),
                         void *context)
{
        size_t n = 0;

        for (size_t i = 0; i < policy->n_health; i++) {
                if (!matches(&policy->health[i].units, unit))
                        continue;
                n++;
                if (each)
                        each(context, &policy->health[i]);
        }
        return n;
}
