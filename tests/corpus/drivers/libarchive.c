// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes archives of each format, through each filter, with files, links, directories, long names,
 * holes and metadata; lists them, compares what they hold, extracts them to disk, and reads disks. Reads
 * warc, mtree, ar, iso, cab-like garbage too; what was damaged must not give what was written.
 * The declarations are those of archive.h of libarchive 3.6.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "worker.h"

struct archive;
struct archive_entry;

struct archive *archive_write_new(void);
struct archive *archive_read_new(void);
struct archive *archive_read_disk_new(void);
struct archive *archive_write_disk_new(void);
int archive_write_set_format_by_name(struct archive *, const char *);
int archive_write_add_filter_by_name(struct archive *, const char *);
int archive_write_set_options(struct archive *, const char *);
int archive_write_set_passphrase(struct archive *, const char *);
int archive_write_set_bytes_in_last_block(struct archive *, int);
int archive_write_open_memory(struct archive *, void *, size_t, size_t *);
int archive_write_header(struct archive *, struct archive_entry *);
ssize_t archive_write_data(struct archive *, const void *, size_t);
int archive_write_close(struct archive *);
int archive_write_free(struct archive *);
int archive_read_support_format_all(struct archive *);
int archive_read_support_format_raw(struct archive *);
int archive_read_support_filter_all(struct archive *);
int archive_read_add_passphrase(struct archive *, const char *);
int archive_read_open_memory(struct archive *, const void *, size_t);
int archive_read_open_filename(struct archive *, const char *, size_t);
int archive_read_next_header(struct archive *, struct archive_entry **);
ssize_t archive_read_data(struct archive *, void *, size_t);
int archive_read_data_skip(struct archive *);
int archive_read_extract2(struct archive *, struct archive_entry *, struct archive *);
int archive_read_free(struct archive *);
int archive_write_disk_set_options(struct archive *, int);
int archive_read_disk_open(struct archive *, const char *);
int archive_read_disk_descend(struct archive *);
int archive_match_exclude_pattern(struct archive *, const char *);
struct archive *archive_match_new(void);
int archive_match_free(struct archive *);
int archive_match_path_excluded(struct archive *, struct archive_entry *);
const char *archive_format_name(struct archive *);
const char *archive_error_string(struct archive *);
struct archive_entry *archive_entry_new(void);
void archive_entry_free(struct archive_entry *);
void archive_entry_set_pathname(struct archive_entry *, const char *);
const char *archive_entry_pathname(struct archive_entry *);
void archive_entry_set_size(struct archive_entry *, int64_t);
int64_t archive_entry_size(struct archive_entry *);
int archive_entry_size_is_set(struct archive_entry *);
void archive_entry_set_filetype(struct archive_entry *, unsigned int);
unsigned int archive_entry_filetype(struct archive_entry *);
void archive_entry_set_perm(struct archive_entry *, unsigned int);
void archive_entry_set_mtime(struct archive_entry *, time_t, long);
time_t archive_entry_mtime(struct archive_entry *);
void archive_entry_set_symlink(struct archive_entry *, const char *);
const char *archive_entry_symlink(struct archive_entry *);
void archive_entry_set_uname(struct archive_entry *, const char *);
void archive_entry_xattr_add_entry(struct archive_entry *, const char *, const void *, size_t);
int archive_entry_acl_from_text(struct archive_entry *, const char *, int);

enum { OK = 0, END = 1, FILES = 12, ROOM = 1 << 20 };

struct kind {
        const char *format, *filter, *options;
        bool flat, nameless_links;      /* no folders and links; links are not kept */
        bool secret;
};

static uint8_t content[70000], back[80000], packed[ROOM];
static size_t size;

static size_t length_of(int i)
{
        return i == 0 ? 0 : (size_t)i * i * 150;
}

static void name_of(int i, const struct kind *kind, char name[300])
{
        if (kind->flat)
                snprintf(name, 300, "file%d", i);
        else if (i == 5 && strcmp(kind->format, "cpio") && strcmp(kind->format, "iso9660"))
                snprintf(name, 300, "folder/%0140d/%090d", i, i);
        else
                snprintf(name, 300, "folder/file%d.txt", i);
}

static void add(struct archive *archive, const char *name, unsigned int type, const void *data,
                size_t length, const char *link)
{
        struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, type);
        archive_entry_set_perm(entry, type == S_IFDIR ? 0755 : 0644);
        archive_entry_set_mtime(entry, 1000000000, 0);
        archive_entry_set_uname(entry, "root");
        archive_entry_set_size(entry, (int64_t)length);
        if (link)
                archive_entry_set_symlink(entry, link);
        if (archive_write_header(archive, entry) != OK) {
                fprintf(stderr, "%s: %s\n", name, archive_error_string(archive));
                MUST(!"the header is written");
        }
        if (length)
                MUST(archive_write_data(archive, data, length) == (ssize_t)length);
        archive_entry_free(entry);
}

static void pack(const struct kind *kind)
{
        struct archive *archive = archive_write_new();
        char name[300];

        MUST(archive_write_set_format_by_name(archive, kind->format) == OK);
        MUST(!kind->filter || archive_write_add_filter_by_name(archive, kind->filter) == OK);
        MUST(!kind->options || archive_write_set_options(archive, kind->options) == OK);
        MUST(!kind->secret || archive_write_set_passphrase(archive, "secret") == OK);
        archive_write_set_bytes_in_last_block(archive, 1);
        MUST(archive_write_open_memory(archive, packed, sizeof(packed), &size) == OK);
        if (!kind->flat)
                add(archive, "folder", S_IFDIR, NULL, 0, NULL);
        for (int i = 0; i < FILES; i++) {
                name_of(i, kind, name);
                add(archive, name, S_IFREG, content, length_of(i), NULL);
        }
        if (!kind->flat && !kind->nameless_links)
                add(archive, "folder/link", S_IFLNK, NULL, 0, "file1.txt");
        MUST(archive_write_close(archive) == OK);
        MUST(archive_write_free(archive) == OK);
}

static struct archive *open_archive(bool secret)
{
        struct archive *archive = archive_read_new();

        MUST(archive_read_support_format_all(archive) == OK);
        archive_read_support_filter_all(archive);
        if (secret)
                MUST(archive_read_add_passphrase(archive, "secret") == OK);
        if (archive_read_open_memory(archive, packed, size) == OK)
                return archive;
        archive_read_free(archive);
        return NULL;
}

static ssize_t read_all(struct archive *archive)
{
        size_t got = 0;
        ssize_t r;

        while ((r = archive_read_data(archive, back + got, 3001 < sizeof(back) - got ? 3001 : sizeof(back) - got)) > 0)
                got += (size_t)r;
        return r < 0 ? r : (ssize_t)got;
}

static int index_of(const char *name, const struct kind *kind)
{
        char expected[300];

        for (int i = 0; i < FILES; i++) {
                name_of(i, kind, expected);
                if (!strcmp(name, expected) || (name[0] == '.' && !strcmp(name + 2, expected)))
                        return i;
        }
        return -1;
}

static void unpack(const struct kind *kind, bool whole)
{
        struct archive *archive = open_archive(kind->secret);
        struct archive_entry *entry;
        int files = 0, links = 0, r;

        MUST(archive);
        while ((r = archive_read_next_header(archive, &entry)) == OK) {
                int i = index_of(archive_entry_pathname(entry), kind);

                if (archive_entry_filetype(entry) == S_IFLNK) {
                        links++;
                        MUST(!strcmp(archive_entry_symlink(entry), "file1.txt"));
                }
                if (archive_entry_filetype(entry) != S_IFREG || i < 0)
                        continue;
                files++;
                MUST(!archive_entry_size_is_set(entry) || archive_entry_size(entry) == (int64_t)length_of(i));
                if (!whole) {
                        MUST(archive_read_data_skip(archive) == OK);
                        continue;
                }
                MUST(read_all(archive) == (ssize_t)length_of(i));
                MUST(!memcmp(back, content, length_of(i)));
        }
        if (r != END || files != FILES)
                fprintf(stderr, "%s: %d files, %s\n", kind->format, files, archive_error_string(archive));
        MUST(r == END && files == FILES);
        MUST(links == !(kind->flat || kind->nameless_links));
        MUST(archive_format_name(archive));
        MUST(archive_read_free(archive) == OK);
}

static void extract(void)
{
        struct archive *archive = open_archive(false), *disk = archive_write_disk_new();
        struct archive_entry *entry;
        struct stat status;
        int seen = 0;

        MUST(archive_write_disk_set_options(disk, 0x0004 | 0x0002 | 0x0100 | 0x0200 | 0x10000) == OK);
        while (archive_read_next_header(archive, &entry) == OK) {
                char inside[400];

                snprintf(inside, sizeof(inside), "out/%s", archive_entry_pathname(entry));
                archive_entry_set_pathname(entry, inside);
                MUST(archive_read_extract2(archive, entry, disk) == OK);
        }
        archive_read_free(archive);
        MUST(archive_write_free(disk) == OK);
        MUST(!stat("out/folder/link", &status) && (size_t)status.st_size == length_of(1));
        MUST(status.st_mtime == 1000000000);
        archive = archive_read_disk_new();
        MUST(archive_read_disk_open(archive, "out") == OK);
        while (archive_read_next_header(archive, &entry) == OK) {
                seen++;
                archive_read_disk_descend(archive);
        }
        MUST(seen >= FILES + 3);
        archive_read_free(archive);
}

/* Damage in the middle: an error or other content, never a crash. Then what is no archive. */
static void refuse(const struct kind *kind)
{
        struct archive_entry *entry;
        struct archive *archive;

        size /= 2;
        archive = open_archive(kind->secret);
        if (archive) {
                int files = 0, r;

                while ((r = archive_read_next_header(archive, &entry)) == OK)
                        files += archive_entry_filetype(entry) == S_IFREG && read_all(archive) >= 0;
                MUST(files < FILES || r != OK);
                archive_read_free(archive);
        }
        worker_fill(packed, 4096, 99);
        size = 4096;
        archive = open_archive(false);
        if (archive) {
                MUST(archive_read_next_header(archive, &entry) != OK);
                archive_read_free(archive);
        }
}

static void texts(void)
{
        static const char mtree[] = "#mtree\n/set type=file mode=0644\nfile1 size=0 time=5.0 \\\n uid=0\nd type=dir\nx\\040y size=3\n..\n";
        static const char ar[] = "!<arch>\nhello.txt/      1000000000  0     0     100644  6         `\nhello\n";
        static const char warc[] = "WARC/1.0\r\nWARC-Type: resource\r\nWARC-Target-URI: file://a.txt\r\n"
                                   "WARC-Date: 2020-01-02T03:04:05Z\r\nContent-Length: 2\r\n\r\nhi\r\n\r\n";
        const char *const all[] = { mtree, ar, warc };
        const int entries[] = { 3, 1, 1 };
        struct archive *match = archive_match_new();
        struct archive_entry *entry;

        for (size_t i = 0; i < 3; i++) {
                struct archive *archive;
                int seen = 0;

                size = strlen(all[i]);
                memcpy(packed, all[i], size);
                archive = open_archive(false);
                MUST(archive);
                while (archive_read_next_header(archive, &entry) == OK)
                        seen++;
                MUST(seen == entries[i]);
                archive_read_free(archive);
        }
        entry = archive_entry_new();
        MUST(archive_match_exclude_pattern(match, "*.[ch]") == OK);
        archive_entry_set_pathname(entry, "a/b.c");
        MUST(archive_match_path_excluded(match, entry) == 1);
        archive_entry_set_pathname(entry, "a/b.d");
        MUST(archive_match_path_excluded(match, entry) == 0);
        MUST(archive_entry_acl_from_text(entry, "user::rw-,group::r--,other::---,user:me:rwx", 0x100) == OK);
        archive_entry_free(entry);
        archive_match_free(match);
}

static const struct kind kinds[] = {
        { .format = "ustar", .filter = "gzip" },
        { .format = "pax", .filter = "xz", .options = "compression-level=0" },
        { .format = "gnutar", .filter = "bzip2" },
        { .format = "pax", .filter = "zstd" },
        { .format = "gnutar", .filter = "lz4" },
        { .format = "pax", .filter = "compress" },
        { .format = "pax", .filter = "uuencode" },
        { .format = "pax", .filter = "b64encode" },
        { .format = "cpio" },
        { .format = "newc", .filter = "lzma" },
        { .format = "zip" },
        { .format = "zip", .options = "zip:compression=store" },
        { .format = "zip", .options = "zip:encryption=aes256", .secret = true },
        { .format = "zip", .options = "zip:encryption=traditional", .secret = true },
        { .format = "7zip", .options = "7zip:compression=lzma2" },
        { .format = "7zip", .options = "7zip:compression=ppmd" },
        { .format = "7zip", .options = "7zip:compression=bzip2" },
        { .format = "7zip", .options = "7zip:compression=store" },
        { .format = "xar" },
        { .format = "iso9660" },
        { .format = "arbsd", .flat = true },
        { .format = "arsvr4", .flat = true },
        { .format = "shar", .flat = true },
};

int main(void)
{
        worker_fill(content, sizeof(content), 11);
        for (;;) {
                for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                        pack(&kinds[i]);
                        if (strcmp(kinds[i].format, "shar")) {
                                /* The reader of xar counts from the file before. */
                                if (strcmp(kinds[i].format, "xar"))
                                        unpack(&kinds[i], true);
                                unpack(&kinds[i], false);
                                if (i == 1)
                                        extract();
                                refuse(&kinds[i]);
                        } else {
                                MUST(size > 1000 && !memcmp(packed, "#!/bin/sh", 9));
                        }
                        worker_ok();
                }
                texts();
                worker_ok();
        }
}
