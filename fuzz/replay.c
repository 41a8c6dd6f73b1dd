// Every file of a corpus through a harness, without libFuzzer.
//
//     replay corpus-folder-or-file...
//
// A line for each file that did not pass; the last line is "N passed, N failed". The files run in a
// child, one after another, and in a new child after one that failed. A leak is a failure.
#define _DEFAULT_SOURCE // MAP_ANONYMOUS
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 4096
#define LEAK_EXIT 23

int __lsan_do_recoverable_leak_check(void);
int __llvm_profile_write_file(void) __attribute__((weak)); // there where coverage is counted

// For harnesses with a mutator of their own, which nothing calls here.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
    (void)data;
    return size < max ? size : max;
}

static char *files[FILES_MAX];
static unsigned files_count;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void file_add(const char *folder, const char *name)
{
    if (files_count == FILES_MAX || strcmp(name, "ORIGIN") == 0 || name[0] == '.')
        return;
    size_t max = strlen(folder) + strlen(name) + 2;
    char *path = mem_alloc(max);
    snprintf(path, max, "%s%s%s", folder, *folder ? "/" : "", name);
    files[files_count++] = path;
}

static void path_add(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) {
        file_add("", path);
        return;
    }
    unsigned first = files_count;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        file_add(path, entry->d_name);
    closedir(folder);
    qsort(files + first, files_count - first, sizeof files[0], by_name);
}

static bool run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat stat;
    if (!file || fstat(fileno(file), &stat) != 0 || !S_ISREG(stat.st_mode)) {
        fprintf(stderr, "%s cannot be read\n", path);
        if (file)
            fclose(file);
        return false;
    }
    // Of its exact size, so that a read past the end is seen.
    size_t size = (size_t)stat.st_size;
    uint8_t *data = mem_alloc(size ? size : 1);
    bool whole = fread(data, 1, size, file) == size;
    fclose(file);
    if (whole)
        LLVMFuzzerTestOneInput(data, size);
    free(data);
    return whole;
}

// The files from `from` on, in one process. Its exit code says how it ended; `at` where it was.
static pid_t run_from(unsigned from, volatile unsigned *at)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    for (unsigned i = from; i < files_count; i++) {
        *at = i;
        if (!run_file(files[i]) || __lsan_do_recoverable_leak_check())
            _exit(LEAK_EXIT);
    }
    *at = files_count;
    if (__llvm_profile_write_file)
        __llvm_profile_write_file();
    _exit(0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        path_add(argv[i]);
    volatile unsigned *at =
        mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(at != MAP_FAILED);
    unsigned failed = 0;
    for (unsigned next = 0; next < files_count;) {
        int status;
        *at = next;
        pid_t child = run_from(next, at);
        if (child < 0 || waitpid(child, &status, 0) != child) {
            perror("fork");
            return 2;
        }
        if (*at < files_count) {
            printf("FAILED  %s\n", files[*at]);
            failed++;
        }
        next = *at + 1;
    }
    printf("%u passed, %u failed\n", files_count - failed, failed);
    for (unsigned i = 0; i < files_count; i++)
        free(files[i]);
    return failed || files_count == 0;
}
