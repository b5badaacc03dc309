/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of rules. A number is never given to another rule; a rule that is no longer needed
 * stays for those who look up an old log. docs/rules.md is made from this (tools/rules-doc).
 */
#include "build/rules.h"

#include <strings.h>

const struct build_rule build_rules[] = {
        {
                .code = "SB101",
                .title = "a structure in use has another layout",
                .why = "Objects of the old layout exist in the process, made by code that is not "
                       "replaced. New code would read and write their members at the wrong "
                       "places. Integers of one size, new names, new values of an enum and other "
                       "words for the same layout don't count (but a name that another member has "
                       "or had, or a place that was padding, does), nor does a structure that no code "
                       "of the patch can notice. In C++ the base classes and virtual functions "
                       "belong to the layout.",
                .remedy = "Leave the structure as it is and keep the new member in a shadow "
                          "variable (suture/patch.h), which is bound to the address of the "
                          "object.",
                .example = "-        conn->retries++;\n"
                           "+        int *retries = suture_shadow_get_or_alloc(conn, 1, "
                           "sizeof(int));\n"
                           "+        if (retries)\n"
                           "+                (*retries)++;",
        },
        {
                .code = "SB102",
                .title = "a thread-local variable is new or changed",
                .why = "The block of thread-local variables of a module has a fixed size and "
                       "exists once for each running thread; it can't grow.",
                .remedy = "Use a shadow variable whose object is an address that each thread has "
                          "of its own, or an ordinary variable with a lock.",
                .example = "static __thread int depth;   /* new in the fix: refused */",
        },
        {
                .code = "SB103",
                .title = "an exported function has another signature",
                .why = "Other modules call it with the old parameters. They are not replaced. The "
                       "same is true of a function within the module if code that was not "
                       "compiled anew calls it.",
                .remedy = "Keep the old function as it is called from outside, and give the new "
                          "parameters to a new function that the fixed callers use.",
                .example = "-int parse(const char *text);\n"
                           "+int parse(const char *text, size_t size);",
        },
        {
                .code = "SB104",
                .title = "a function is gone in the fixed source",
                .why = "Nothing is replaced: the old function stays in the module. This is a "
                       "warning, for code that still reaches it, through a pointer or from "
                       "another module, runs the old code.",
                .remedy = "If old callers must not reach it any more, keep the function and let "
                          "it refuse.",
                .example = "-static int legacy_auth(struct conn *conn) { ... }",
        },
        {
                .code = "SB105",
                .title = "nothing differs",
                .why = "The objects of the original and the fixed source are the same in "
                       "meaning, so there is nothing to patch: the fix is in code that this "
                       "build does not contain, or concerns only data files or documentation.",
                .remedy = "Check that the fix was applied to the files this module is made of.",
                .example = "#ifdef ENABLE_FEATURE   /* not set in this build */\n"
                           "+        if (size > LIMIT)\n"
                           "+                return -1;\n"
                           "#endif",
        },
        {
                .code = "SB106",
                .title = "the shipped code is not the original's",
                .why = "The bytes of the function in the shipped module are not what the "
                       "original source compiles to here. A patch made from other code would be "
                       "a guess.",
                .remedy = "Compile with the same compiler version and flags as the package, from "
                          "exactly the source version that was shipped.",
                .example = "objdump -d --disassemble=FUNCTION the shipped module and the object",
        },
        {
                .code = "SB107",
                .title = "a function is not there exactly once",
                .why = "The shipped module has no such function with a known size, or several "
                       "that can't be told apart. It is not known which bytes are to be replaced.",
                .remedy = "Patch the function that calls it instead, or rename one of them in "
                          "the next release.",
                .example = "util.c in two folders, each with the same static function `trim`",
        },
        {
                .code = "SB108",
                .title = "a reference of an unsupported kind",
                .why = "The new code refers to something in a way (a relocation type) that can't "
                       "be carried out in a running process, or to an address that can be out of "
                       "reach.",
                .remedy = "Usually another form of the same code helps: a call instead of an "
                          "address, a local variable instead of a thread-local one.",
                .example = "readelf -r fixed.o",
        },
        {
                .code = "SB109",
                .title = "code that is not in a section of its own",
                .why = "Functions that share a section may jump to each other by branches so short "
                       "that they can't lead to another place. Such a function can't be taken "
                       "without its neighbour.",
                .remedy = "Compile with -ffunction-sections -fdata-sections. For assembly, put "
                          "each function in a section .text.NAME.",
                .example = "        .section .text.checksum,\"ax\",@progbits\n"
                           "checksum:",
        },
        {
                .code = "SB110",
                .title = "unwind information that can't be used",
                .why = "Exceptions, cleanups and backtraces find their way through tables that "
                       "the compiler makes. New code whose tables can't be read would end the "
                       "program at the first exception that passes through it.",
                .remedy = "See with readelf --debug-dump=frames what is wrong with the object "
                          "file; tables written by hand (.cfi directives) are the usual cause.",
                .example = "an entry in .eh_frame that ends outside of the section",
        },
        {
                .code = "SB111",
                .title = "the resolver of an indirect function changed",
                .why = "The resolver (IFUNC) has already run and its choice is bound; new code "
                       "for it would never be asked.",
                .remedy = "Patch the implementations that it chooses from.",
                .example = "int copy(void) __attribute__((ifunc(\"choose_copy\")));",
        },
        {
                .code = "SB112",
                .title = "a static initialiser changed",
                .why = "The variable exists in the process and may have been changed since it "
                       "started. Its initial value has no meaning any more, and overwriting it "
                       "could destroy state; leaving it would run new code on old data.",
                .remedy = "Leave the initialiser as it was and set the value in a hook "
                          "(SUTURE_PRE in suture/patch.h) that knows what the old value means, "
                          "or use the new value in the code only.",
                .example = "-static size_t limit = 65536;\n"
                           "+static size_t limit = 4096;\n"
                           "becomes\n"
                           "+static int lower_limit(void) { limit = 4096; return 0; }\n"
                           "+SUTURE_PRE(lower_limit)",
        },
        {
                .code = "SB113",
                .title = "a constant that other code uses changed",
                .why = "A constant comes along with the functions that read it, and all of them "
                       "are replaced. But other units or modules that read it would keep the "
                       "old one; and where objects hold the address of a table of functions, "
                       "those that exist hold that of the old one. For a list of such tables "
                       "this is a warning.",
                .remedy = "Keep the old table and add a new, static one for the fixed functions; "
                          "or leave a table of functions and replace the functions in it.",
                .example = "-const int limits[] = { 10, 20 };\n"
                           "+const int limits[] = { 10, 16 };",
        },
        {
                .code = "SB114",
                .title = "a symbol that is nowhere to be found",
                .why = "The new code needs something that is neither in the patch nor in the "
                       "module nor offered by the libraries the module is linked with.",
                .remedy = "Use what the process has already, or bring the code along: add the "
                          "unit that defines it to the build.",
                .example =
                        "+        return json_loads(text, 0, NULL);  /* not linked */",
        },
        {
                .code = "SB115",
                .title = "a variable that can't be told from another",
                .why = "Several variables of the module have this name (static ones in several "
                       "files or functions), and nothing shows which one the new code means.",
                .remedy = "Let the new code reach it through a function that uses it already, or "
                          "use a shadow variable.",
                .example = "static int count;   /* in two functions, both changed by the fix */",
        },
        {
                .code = "SB116",
                .title = "a function is too short for a jump",
                .why = "A replaced function begins with a jump of 5 bytes. This one is shorter, "
                       "and no padding follows before the next function.",
                .remedy = "Patch its callers instead, so that they use a new function.",
                .example =
                        "int is_allowed(void) { return 1; }   /* in a dense section of assembly */",
        },
        {
                .code = "SB117",
                .title = "a function that never returns",
                .why = "A thread is in it for as long as the program runs, so there is no moment "
                       "to replace it, and a later call that would run new code never comes.",
                .remedy = "Move the changed part to a function that it calls. An event loop that "
                          "does return and is entered again may be declared with SUTURE_ENTRY "
                          "(suture/patch.h): the next call runs new code.",
                .example = "void worker(void) { for (;;) serve(next_request()); }",
        },
        {
                .code = "SB118",
                .title = "a thread-local variable is out of reach",
                .why = "The shipped module has no entry through which the new code could find "
                       "this variable in each thread.",
                .remedy = "Call an existing function that reads or sets the variable.",
                .example =
                        "+        last_error = EINVAL;  /* __thread, unused so far */",
        },
        {
                .code = "SB119",
                .title = "code that has already run changed",
                .why = "Constructors run when a module is loaded. A new or changed one is part "
                       "of the patch only if something else calls it; it does not run again. "
                       "This is a warning.",
                .remedy = "Do the same in a hook (SUTURE_PRE or SUTURE_POST in suture/patch.h), "
                          "written so that it is right in a process that has been running.",
                .example = "static void __attribute__((constructor)) init(void) { ... }",
        },
        {
                .code = "SB120",
                .title = "a declaration for suture that can't be used",
                .why = "A hook or a consistency declared with suture/patch.h must name one "
                       "function of the fixed source, and each kind of hook may be declared once "
                       "for a module.",
                .remedy = "See the comments in suture/patch.h.",
                .example =
                        "SUTURE_PRE(check)\nSUTURE_PRE(check_more)  /* one too many */",
        },
        {
                .code = "SB121",
                .title = "too many functions",
                .why = "A module has one page of switch slots, and that is full with 320 "
                       "functions.",
                .remedy = "This is rarely a fix but an upgrade. If only line numbers differ, "
                          "build with the lines kept in place; else make the patch from the "
                          "essential part of the fix.",
                .example = "a fix that changes a header which every file includes",
        },
        {
                .code = "SB122",
                .title = "objects without machine code",
                .why = "They were compiled for link-time optimisation; what functions the module "
                       "has, and what was inlined where, is decided by the linker.",
                .remedy = "There is no safe way yet. Packages built with -flto can't be patched.",
                .example = "gcc -flto -c file.c",
        },
        {
                .code = "SB123",
                .title = "a module without a build ID",
                .why = "Processes that run the module are found by its build ID in memory.",
                .remedy = "None for this binary; have it linked with --build-id.",
                .example = "readelf -n MODULE",
        },
        {
                .code = "SB124",
                .title = "a reference into the middle of something",
                .why = "The new code refers to the inside of a function or object that is not "
                       "part of the patch, in a way that depends on how it was compiled.",
                .remedy = "Change the function that is referred to as well, so that it is "
                          "replaced too.",
                .example =
                        "static void *labels[] = { &&a, &&b };   /* labels of another function */",
        },
        {
                .code = "SB125",
                .title = "structures could not be compared",
                .why = "The objects have no debugging information that can be read, so a changed "
                       "structure or signature would not be noticed. This is a warning.",
                .remedy = "Compile both objects with -g.",
                .example = "gcc -g -O2 -ffunction-sections -fdata-sections -c file.c",
        },
        {
                .code = "SB126",
                .title = "changed code that the module does not contain",
                .why = "The function was compiled but is not in the shipped module: it was "
                       "inlined everywhere, or the linker left it out. This is a warning.",
                .remedy = "Nothing has to be done: functions into which it was inlined are "
                          "replaced by themselves.",
                .example = "a module linked with -Wl,--gc-sections",
        },
        {
                .code = "SB127",
                .title = "the beginning of a function can't be moved",
                .why = "Functions that change together are switched in one instant. For that the "
                       "first instructions of each are moved elsewhere; here a loop leads back "
                       "into them, or they can't run at another place. A function that changes "
                       "alone needs no moving.",
                .remedy = "Make a patch in which this function is the only one, or change its "
                          "callers instead.",
                .example =
                        "checksum:\n"
                        "        add (%rdi), %eax\n"
                        "        inc %rdi\n"
                        "        jmp checksum",
        },
        {
                .code = "SB128",
                .title = "a variable may have been renamed",
                .why = "A variable of the original is gone, and a new one of the same size is "
                       "there. If it is the same under another name, the patch would start with "
                       "its initial value and lose what the running process holds. This is a "
                       "warning.",
                .remedy = "Keep the old name in the patch.",
                .example = "-static struct pool *pool;\n"
                           "+static struct pool *main_pool;",
        },
        {
                .code = "SB129",
                .title = "a new entry of a table that the linker makes",
                .why = "Variables in a section of their own name are often gathered by the "
                       "linker in a table (__start_NAME, __stop_NAME). The table in the running "
                       "process can't grow, so the new entry is not part of the patch. This is a "
                       "warning.",
                .remedy = "Register the entry in a hook, if the program has a function for that.",
                .example =
                        "static const struct command stats __attribute__((section(\"commands\")));",
        },
        {
                .code = "SB130",
                .title = "copies of a function that would stay as they are",
                .why = "The compiler made several copies of the function, specialised or put into "
                       "its callers. Code written by hand replaces only those that it names; the "
                       "others would run on with the old behaviour, and the fix would be half "
                       "a fix.",
                .remedy = "Build the patch from a fixed source, which finds all copies; or "
                          "replace the functions that contain them as well; or give a function the "
                          "name of a copy with __asm__.",
                .example = "int parse_fixed(int mode) __asm__(\"parse.constprop.0\");",
        },
        {
                .code = "SB131",
                .title = "a new symbol that others can't see",
                .why = "A new function or variable of a library is part of the patch if the "
                       "replaced functions use it. Programs and other libraries that are loaded "
                       "later don't find it by its name. This is a warning.",
                .remedy = "Nothing has to be done unless another module is to call it; that one "
                          "has to wait for the fixed package.",
                .example = "+int conn_set_limit(struct conn *conn, size_t limit)   /* exported */",
        },
        {
                .code = "SB132",
                .title = "main is replaced",
                .why = "A process that runs has main on its stack to its end and stays busy: "
                       "suture apply changes nothing in it and says so. A process that starts "
                       "later is patched at its entry point, before main is called, by the guard "
                       "of sutured. For a tool that runs briefly that is all there is to do. This "
                       "is a warning.",
                .remedy = "For a service, move the changed part to a function that main calls, so "
                          "that running processes can take the patch too.",
                .example = "+        if (argc > MAX_FILES) usage();   /* in main */",
        },
        {
                .code = "SB133",
                .title = "a value of an enumeration is another number",
                .why = "Objects in the process hold the old numbers. New code would take one state "
                       "for another. The largest value doesn't count, for it is often the number of "
                       "the others.",
                .remedy = "Put new values at the end of the enumeration, or give them numbers that "
                          "are not in use.",
                .example = " enum state { OPEN,\n"
                           "+             PAUSED,   /* CLOSED was 1, and is 2 now */\n"
                           "              CLOSED, N_STATES };",
        },
        {
                .code = "SB201",
                .title = "a part of the fix does not fit",
                .why = "patch could not apply a part of the fix, because the text around it is "
                       "different in this version. In a file that the module is made from, the "
                       "result would be half a fix; in others this is a warning.",
                .remedy = "Take the fix that Debian made for this very version, apply the fixes "
                          "that come before it too (--fix may be repeated, in their order), or "
                          "adapt the part by hand.",
                .example = "suture build --fix first.patch --fix second.patch ...",
        },
        {
                .code = "SB202",
                .title = "the fix fits only loosely",
                .why = "Some lines around a change are not those that the fix was made for. It "
                       "was applied where patch found the best place. This is a warning.",
                .remedy = "Read the change in the place where it was made.",
                .example =
                        "patch -p1 --dry-run <fix.patch   # \"succeeded ... with fuzz 1\"",
        },
        {
                .code = "SB203",
                .title = "the fix changes a source that is not C",
                .why = "A grammar, a scanner or a table is turned into C by a program of the package's "
                       "build. That build goes on in the fixed copy; where it makes C files "
                       "again, they are a part of the fix, and this is a warning. Assembly, and "
                       "what that build does not make again, can't be followed.",
                .remedy = "Give the fix for the generated C file, if the source package holds it.",
                .example = "--- a/parser.y",
        },
        {
                .code = "SB204",
                .title = "the fix changes how the package is built",
                .why = "Changed compiler flags, lists of sources or configuration are not "
                       "followed: each unit is compiled as it was for the original, and a new C file "
                       "as the others of its folder. This is a warning.",
                .remedy = "Look whether the change matters for the fix. If so, install the fixed "
                          "package and restart instead.",
                .example = "--- a/configure.ac",
        },
        {
                .code = "SB211",
                .title = "an object is gone in the fixed set",
                .why = "The original has an object file that the fixed set does not have. Its "
                       "functions stay in the module as they are. This is a warning.",
                .remedy = "Compile the fixed source as a whole, so that both folders hold the same "
                          "files; or keep the object and let its functions refuse.",
                .example = "original/legacy.o   # and no fixed/legacy.o",
        },
        {
                .code = "SB212",
                .title = "the names in the module are lost",
                .why = "The module is stripped, so only the functions that it exports can be found "
                       "in it. This is a warning; what can't be found is refused.",
                .remedy = "Give the file as the linker made it, before it was stripped, or the one "
                          "with the debugging symbols, with --symbols.",
                .example = "suture build --symbols build/server --binary /usr/sbin/server ...",
        },
};

const size_t n_build_rules = sizeof(build_rules) / sizeof(build_rules[0]);

const struct build_rule *build_rule_find(const char *code)
{
        for (size_t i = 0; i < n_build_rules; i++)
                if (strcasecmp(build_rules[i].code, code) == 0)
                        return &build_rules[i];
        return NULL;
}
