/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a backup. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"
#include "archive_sum.h"

enum { LINE_SIZE = PATH_MAX + 256, SUM_LENGTH = ARCHIVE_SUM_SIZE - 1 };

#define FIRST_LINE "# portico backup 1"

/* It shall not lead elsewhere. */
static bool is_name(struct str name)
{
    struct str rest = name;
    struct str part;
    bool leads_up = false;
    while (str_split(&rest, '/', &part)) {
        leads_up = leads_up || str_equal(part, STR(".."));
    }
    return name.len > 0 && name.len < ARCHIVE_NAME_SIZE && name.data[0] != '/' && !leads_up;
}

static int verify_file(const char *path, struct str line, struct archive_facts *facts,
                       struct error *error)
{
    char file[PATH_MAX];
    char sum[ARCHIVE_SUM_SIZE];
    struct str name = str_skip(line, SUM_LENGTH + 2);
    if (!is_name(name)) {
        return error_set(error, -EBADMSG, "%s/" ARCHIVE_MANIFEST " has a line that is none of ours",
                         path);
    }
    snprintf(file, sizeof file, "%.4000s/%.*s", path, STR_ARG(name));
    int r = archive_sum(file, sum, error);
    if (r < 0) {
        return r == -ENOENT ? -EBADMSG : r;
    }
    if (!str_equal(str_from(sum), str_first(line, SUM_LENGTH))) {
        return error_set(error, -EBADMSG, "%s is not as it was written", file);
    }
    facts->files++;
    facts->has_keys = facts->has_keys || str_starts_with(name, STR("keys/"));
    return 0;
}

static void read_remark(struct str line, uint64_t *expected, struct archive_facts *facts)
{
    if (str_starts_with(line, STR("# made "))) {
        snprintf(facts->made, sizeof facts->made, "%.*s", STR_ARG(str_skip(line, 7)));
    } else if (str_starts_with(line, STR("# agents "))) {
        snprintf(facts->counts, sizeof facts->counts, "%.*s", STR_ARG(str_skip(line, 2)));
    } else if (str_starts_with(line, STR("# files ")) &&
               str_to_uint64(str_skip(line, 8), expected) < 0) {
        *expected = 0; /* as many as no backup has */
    }
}

static int verify_files(const char *path, FILE *manifest, struct archive_facts *facts,
                        struct error *error)
{
    char text[LINE_SIZE];
    bool is_first = true;
    uint64_t expected = UINT64_MAX; /* the manifest does not say */
    int r = 0;
    while (r == 0 && fgets(text, sizeof text, manifest) != NULL) {
        struct str line = str_trim(str_from(text));
        if (is_first && !str_equal(line, STR(FIRST_LINE))) {
            return error_set(error, -EBADMSG, "%s is no backup that this version knows", path);
        }
        is_first = false;
        if (str_starts_with(line, STR("#"))) {
            read_remark(line, &expected, facts);
        } else {
            r = verify_file(path, line, facts, error);
        }
    }
    if (r == 0 && facts->files == 0) {
        return error_set(error, -EBADMSG, "%s/" ARCHIVE_MANIFEST " names no file", path);
    }
    return r < 0 || expected == UINT64_MAX || expected == facts->files
               ? r
               : error_set(error, -EBADMSG, "%s/" ARCHIVE_MANIFEST " has lost lines", path);
}

static int verify_store(const char *path, usec_t patience, struct archive_facts *facts,
                        struct error *error)
{
    char file[PATH_MAX];
    char counts[sizeof facts->counts];
    snprintf(file, sizeof file, "%.4000s/" ARCHIVE_STORE, path);
    const struct store_inspect_settings settings = {
        .file = file,
        .is_copy = true,
        .examination = STORE_EXAMINE_THOROUGHLY,
        .patience = patience,
    };
    int r = store_inspect(&settings, &facts->store, error);
    if (r < 0) {
        return r;
    }
    const struct store_statistics *found = &facts->store.counts;
    snprintf(counts, sizeof counts, "agents %llu requests %llu responses %llu messages %llu",
             (unsigned long long)found->agents[0], (unsigned long long)found->requests,
             (unsigned long long)found->responses, (unsigned long long)found->messages);
    return strcmp(counts, facts->counts) == 0
               ? 0
               : error_set(error, -EBADMSG, "%s has %s, the manifest says %s", file, counts,
                           facts->counts);
}

int archive_verify(const char *path, usec_t patience, struct archive_facts *out,
                   struct error *error)
{
    struct archive_facts facts = {.files = 0};
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%.4000s/" ARCHIVE_MANIFEST, path);
    FILE *manifest = fopen(file, "re");
    if (manifest == NULL) {
        return error_set_errno(error, -errno, "cannot read %s", file);
    }
    int r = verify_files(path, manifest, &facts, error);
    fclose(manifest);
    r = r < 0 ? r : verify_store(path, patience, &facts, error);
    if (r == 0) {
        *out = facts;
    }
    return r;
}
