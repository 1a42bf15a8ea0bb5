/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files and directories of inputs without libFuzzer, so that every corpus
 * and every input that once crashed is an ordinary test under any compiler and sanitizer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long replayed;

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rbe");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) < 0) {
        perror(path);
        return -1;
    }
    /* Exactly as large as the input, so that a sanitizer sees one byte too far. */
    uint8_t *data = malloc((size_t)status.st_size + (status.st_size == 0));
    if (data == NULL || fread(data, 1, (size_t)status.st_size, file) != (size_t)status.st_size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)status.st_size);
    free(data);
    replayed++;
    return 0;
}

static int replay(const char *path)
{
    struct dirent **entries;
    int failed = 0;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        return replay_file(path);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            failed |= replay(name);
        }
        free(entries[i]);
    }
    free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        failed |= replay(argv[i]);
    }
    printf("%lu inputs replayed\n", replayed);
    return failed != 0 || replayed == 0 ? 1 : 0;
}
