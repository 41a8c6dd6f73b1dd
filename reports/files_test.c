#include "reports/files.h"

#include "base/text.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/simrtc-files-XXXXXX";

static int setup(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return mkdtemp(folder) ? 0 : -1;
}

static void remove_below(const char *path)
{
    DIR *open_folder = opendir(path);
    for (struct dirent *entry; (entry = readdir(open_folder));) {
        char below[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (unlink(below) != 0)
            remove_below(below);
    }
    closedir(open_folder);
    rmdir(path);
}

static int teardown(void **state)
{
    (void)state;
    remove_below(folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *open_folder = opendir(path);
    while (open_folder && readdir(open_folder))
        count++;
    if (open_folder)
        closedir(open_folder);
    return count - 2; // "." and ".."
}

static void check_content(const char *path, const char *want)
{
    char got[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = 0;
    fclose(file);
    assert_string_equal(got, want);
}

static void test_file_write_makes_folders_and_replaces(void **state)
{
    (void)state;
    struct err err = {0};
    const char *path = in_folder("a/b/c.txt");
    assert_true(file_write(path, bytes_text("one"), &err));
    check_content(path, "one");
    assert_true(file_write(path, bytes_text("two"), &err));
    check_content(path, "two");
    assert_int_equal(entries(in_folder("a/b")), 1);
}

static void test_file_write_names_path_and_reason(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(file_write(in_folder("file"), bytes_text("x"), &err));
    assert_false(file_write(in_folder("file/below"), bytes_text("x"), &err));
    assert_non_null(strstr(err.text, "/file"));
    assert_non_null(strstr(err.text, "Not a directory"));
}

// A limit on the size of files stands for a full disk: the write itself fails.
static void test_file_write_that_fails_leaves_the_old_file_alone(void **state)
{
    (void)state;
    struct err err = {0};
    const char *path = in_folder("report.json");
    assert_true(file_write(path, bytes_text("old"), &err));
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){100, before.rlim_max};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, normal;
    sigaction(SIGXFSZ, &ignore, &normal);
    setrlimit(RLIMIT_FSIZE, &small);
    static char big[1000];
    bool written = file_write(path, bytes_of(big, sizeof big), &err);
    setrlimit(RLIMIT_FSIZE, &before);
    sigaction(SIGXFSZ, &normal, NULL);
    assert_false(written);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "too large"));
    check_content(path, "old");
    assert_int_equal(entries(folder), 1);
}

static void test_file_write_onto_a_folder_leaves_nothing(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(folder_make(in_folder("taken/here"), &err));
    assert_false(file_write(in_folder("taken"), bytes_text("x"), &err));
    assert_int_equal(entries(folder), 1);
}

static void begin_and_end(struct batch *batch, const char *path, const char *content)
{
    struct err err = {0};
    int fd = file_begin(path, batch->tag, &err);
    assert_true(fd >= 0);
    assert_true(file_put(fd, path, bytes_text(content), &err));
    assert_true(file_end(fd, path, batch->tag, true, &err));
    batch_add(batch, path);
}

static void test_batch_gives_names_when_committed(void **state)
{
    (void)state;
    struct err err = {0};
    struct batch batch = {.tag = 7};
    char path[512];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "%s/run%u/%u.pcap", folder, i % 10, i);
        begin_and_end(&batch, path, "content");
        assert_int_equal(access(path, F_OK), -1);
    }
    assert_true(batch_commit(&batch, &err));
    check_content(path, "content");
    assert_int_equal(entries(in_folder("run3")), 20);
    assert_true(batch_commit(&batch, &err)); // an empty one
    batch_free(&batch);
}

static void test_batch_free_removes_what_was_not_committed(void **state)
{
    (void)state;
    struct batch batch = {.tag = 7};
    begin_and_end(&batch, in_folder("a.pcap"), "x");
    batch_free(&batch);
    assert_int_equal(entries(folder), 0);
}

static void test_batch_commit_that_fails_removes_the_rest(void **state)
{
    (void)state;
    struct err err = {0};
    struct batch batch = {.tag = 7};
    begin_and_end(&batch, in_folder("a.pcap"), "x");
    begin_and_end(&batch, in_folder("b.pcap"), "x");
    begin_and_end(&batch, in_folder("c.pcap"), "x");
    assert_int_equal(unlink(in_folder("b.pcap.7.simrtc.tmp")), 0);
    assert_false(batch_commit(&batch, &err));
    assert_non_null(strstr(err.text, "b.pcap"));
    assert_int_equal(entries(folder), 1);
    check_content(in_folder("a.pcap"), "x");
    batch_free(&batch);
}

static void test_files_sweep_removes_only_its_tag(void **state)
{
    (void)state;
    struct err err = {0};
    int mine = file_begin(in_folder("a.pcap"), 7, &err);
    int other = file_begin(in_folder("a.pcap"), 17, &err);
    assert_true(file_write(in_folder("b.pcap"), bytes_text("x"), &err));
    close(mine);
    close(other);
    files_sweep(folder, 7);
    assert_int_equal(entries(folder), 2);
    assert_int_equal(access(in_folder("a.pcap.17.simrtc.tmp"), F_OK), 0);
    files_sweep(in_folder("no such folder"), 7);
}

// What stands for a terminal or /dev/null, which root could replace by a file.
static void test_file_write_to_a_pipe_goes_through_it(void **state)
{
    (void)state;
    struct err err = {0};
    const char *path = in_folder("pipe");
    char got[16] = "";
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(file_can_write(path, &err));
    assert_true(file_remove(path, &err));
    assert_true(file_write(path, bytes_text("through"), &err));
    assert_int_equal(read(reader, got, sizeof got - 1), 7);
    assert_string_equal(got, "through");
    close(reader);
    struct stat of;
    assert_int_equal(stat(path, &of), 0);
    assert_true(S_ISFIFO(of.st_mode));
    assert_int_equal(entries(folder), 1);
}

static void test_file_write_through_a_link_keeps_the_link(void **state)
{
    (void)state;
    struct err err = {0};
    char link_path[512];
    snprintf(link_path, sizeof link_path, "%s", in_folder("link"));
    assert_true(file_write(in_folder("below/file"), bytes_text("old"), &err));
    assert_int_equal(symlink("below/file", link_path), 0);
    assert_true(file_write(link_path, bytes_text("new"), &err));
    check_content(in_folder("below/file"), "new");
    struct stat of;
    assert_int_equal(lstat(link_path, &of), 0);
    assert_true(S_ISLNK(of.st_mode));
}

static void test_file_can_write_changes_nothing(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(file_write(in_folder("file"), bytes_text("old"), &err));
    assert_true(file_can_write(in_folder("file"), &err));
    check_content(in_folder("file"), "old");
    assert_true(file_can_write(in_folder("new"), &err));
    assert_int_equal(entries(folder), 1);
    assert_false(file_can_write(in_folder("file/below"), &err));
    err = (struct err){0};
    assert_false(file_can_write(folder, &err));
    assert_non_null(strstr(err.text, "is a folder"));
}

static void test_file_remove_is_content_when_there_is_none(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(file_write(in_folder("file"), bytes_text("x"), &err));
    assert_true(file_remove(in_folder("file"), &err));
    assert_true(file_remove(in_folder("file"), &err));
    assert_int_equal(entries(folder), 0);
    assert_true(folder_make(in_folder("taken"), &err));
    assert_false(file_remove(in_folder("taken"), &err));
}

static void leave_temporary(const char *path, unsigned tag)
{
    struct err err = {0};
    int fd = file_begin(path, tag, &err);
    assert_true(fd >= 0);
    close(fd);
}

static void test_folder_hold_removes_what_killed_processes_left(void **state)
{
    (void)state;
    struct err err = {0};
    leave_temporary(in_folder("a.pcap"), 7);
    leave_temporary(in_folder("run/deep/b.pcap"), 8);
    assert_true(file_write(in_folder("run/deep/kept.pcap"), bytes_text("x"), &err));
    assert_true(file_write(in_folder("run/other.tmp"), bytes_text("x"), &err));
    int hold = folder_hold(folder);
    assert_true(hold >= 0);
    assert_int_equal(entries(folder), 1);
    assert_int_equal(entries(in_folder("run")), 2);
    assert_int_equal(entries(in_folder("run/deep")), 1);
    close(hold);
    assert_int_equal(folder_hold(in_folder("none")), -1);
}

// Another run into the same folder is not disturbed while it lasts.
static void test_folder_hold_leaves_alone_what_another_is_writing(void **state)
{
    (void)state;
    int first = folder_hold(folder);
    leave_temporary(in_folder("a.pcap"), 7);
    int second = folder_hold(folder);
    assert_true(first >= 0 && second >= 0);
    assert_int_equal(entries(folder), 1);
    close(first);
    int third = folder_hold(folder); // the second still writes
    assert_int_equal(entries(folder), 1);
    close(third);
    close(second);
    close(folder_hold(folder));
    assert_int_equal(entries(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_write_makes_folders_and_replaces, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_file_write_names_path_and_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_write_that_fails_leaves_the_old_file_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_file_write_onto_a_folder_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_batch_gives_names_when_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_free_removes_what_was_not_committed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_batch_commit_that_fails_removes_the_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_files_sweep_removes_only_its_tag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_write_to_a_pipe_goes_through_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_write_through_a_link_keeps_the_link, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_file_can_write_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_remove_is_content_when_there_is_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_folder_hold_removes_what_killed_processes_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_folder_hold_leaves_alone_what_another_is_writing,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
