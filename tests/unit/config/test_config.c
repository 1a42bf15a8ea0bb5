/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>

#include "memory_files.h"
#include "support/support.h"

#define FILES(...) ((const struct memory_file[]){__VA_ARGS__, {NULL, NULL, 0}})

static void expect_origin(const struct loaded *loaded, const char *key, const char *origin)
{
    char text[256];
    config_origin(loaded->config, key, text, sizeof text);
    cr_assert_str_eq(text, origin);
}

Test(config, has_defaults_without_any_file)
{
    LOADED loaded = load_files(FILES({NULL, NULL, 0}), NULL);
    cr_assert_eq(loaded.code, 0);
    cr_assert_eq(config_int(loaded.config, "Frontend.bind_port"), 8080);
    cr_assert(!config_is_set(loaded.config, "Frontend.port_max"));
    cr_assert_eq(config_frontend_range(loaded.config).last, 8080);
    cr_assert_eq(config_size(loaded.config, "Balancer.buffer"), 65536);
    cr_assert_eq(config_usec(loaded.config, "Datastore.commit_delay"), 500);
    cr_assert_eq(config_enum(loaded.config, "Frontend.enrolment"), 0);
    cr_assert_str_eq(config_str(loaded.config, "Balancer.admin_socket"),
                     "/run/portico/balancer.sock");
    cr_assert_eq(config_list(loaded.config, "Frontend.trusted_proxies").count, 2);
    cr_assert(config_bool(loaded.config, "Balancer.tls_tickets"));
    cr_assert_eq(config_file_count(loaded.config), 0);
    expect_origin(&loaded, "Frontend.bind_port", "default");
}

Test(config, every_default_is_valid)
{
    for (unsigned program = PROGRAM_FRONTEND; program <= PROGRAM_PORTICO; program *= 2) {
        LOADED loaded =
            load_request((struct config_request){.program = program}, FILES({NULL, NULL, 0}));
        cr_assert_eq(loaded.code, 0, "%s", loaded.told);
        cr_assert_str_empty(loaded.told);
    }
}

Test(config, nested_maps_are_dotted_keys)
{
    LOADED loaded = load_text("Frontend: {bind_port: 9000, port_max: 9009}\nBalancer:\n  hosts: "
                              "[a, b]\nMonitoring:\n");
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_eq(config_frontend_range(loaded.config).first, 9000);
    cr_assert_eq(config_frontend_range(loaded.config).last, 9009);
    cr_assert_str_eq(config_list(loaded.config, "Balancer.hosts").items[1], "b");
    expect_origin(&loaded, "Balancer.hosts", "t.yaml:3");
}

Test(config, later_files_overlay_earlier_ones_key_by_key)
{
    const char *paths[] = {"a", "b"};
    LOADED loaded = load_request(
        (struct config_request){.program = PROGRAM_PORTICO, .files = paths, .file_count = 2},
        FILES(
            {"a",
             "Frontend.threads: 1\nFrontend.crypto_threads: 1\n"
             "HTTPServer Context: {Balancer.threads: 1, Frontend.connection_limit: 1}\n",
             0},
            {"b", "Frontend.threads: 2\nHTTPServer Context: {Frontend.connection_limit: 2}\n", 0}));
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 2);
    cr_assert_eq(config_int(loaded.config, "Frontend.crypto_threads"), 1);
    cr_assert_eq(config_int(loaded.config, "Balancer.threads"), 1);
    cr_assert_eq(config_int(loaded.config, "Frontend.connection_limit"), 2);
}

Test(config, a_context_beats_the_top_level_even_of_a_later_file)
{
    const char *paths[] = {"a", "b"};
    LOADED loaded = load_request(
        (struct config_request){.program = PROGRAM_PORTICO, .files = paths, .file_count = 2},
        FILES({"a", "HTTPServer Context: {Frontend.threads: 1}\n", 0},
              {"b", "Frontend.threads: 2\n", 0}));
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 1);
}

Test(config, the_deepest_matching_context_wins)
{
    LOADED loaded = load_text("Frontend.threads: 1\n"
                              "HTTPServer Context:\n"
                              "  Frontend.threads: 2\n"
                              "  Platform:Linux: {Frontend.threads: 3}\n"
                              "  Platform:Windows:\n"
                              "    Platform:Linux: {Frontend.threads: 4}\n"
                              "Platform:Linux: {Frontend.threads: 5}\n"
                              "Client Context: {Frontend.threads: 6}\n");
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 3);
    cr_assert_str_empty(loaded.told);
}

Test(config, of_equal_depth_the_later_context_wins_with_a_warning)
{
    LOADED loaded = load_text("Platform:Linux: {Frontend.threads: 5}\n"
                              "HTTPServer Context: {Frontend.threads: 2}\n");
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 5);
    cr_assert(strstr(loaded.told, "t.yaml:2:40: warning: Frontend.threads has another value"));
}

Test(config, equal_values_at_equal_depth_are_no_news)
{
    LOADED loaded = load_text("Platform:Linux: {Frontend.threads: 5}\n"
                              "HTTPServer Context: {Frontend.threads: 5}\n");
    cr_assert_str_empty(loaded.told);
}

Test(config, named_contexts_come_last_and_so_win)
{
    const char *path = "a";
    const char *contexts[] = {"Debug Context"};
    LOADED loaded = load_request((struct config_request){.program = PROGRAM_FRONTEND,
                                                         .files = &path,
                                                         .file_count = 1,
                                                         .contexts = contexts,
                                                         .context_count = 1},
                                 FILES({"a",
                                        "Debug Context: {Frontend.threads: 7}\n"
                                        "Platform:Linux: {Frontend.threads: 8}\n",
                                        0}));
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 7);
}

Test(config, the_writeback_beats_contexts_and_a_parameter_beats_all)
{
    const struct memory_file *files =
        FILES({"etc/a.yaml", "Frontend.threads: 1\nHTTPServer Context: {Frontend.threads: 2}\n", 0},
              {"etc/server.local.yaml",
               "Frontend.threads: 3\nHTTPServer Context: {Frontend.crypto_threads: 4}\n", 0});
    LOADED loaded = load_files(files, NULL);
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 3);
    cr_assert_eq(config_int(loaded.config, "Frontend.crypto_threads"), 4);
    expect_origin(&loaded, "Frontend.threads", "writeback etc/server.local.yaml:1");
    LOADED second = load_files(files, "Frontend.threads=9");
    cr_assert_eq(config_int(second.config, "Frontend.threads"), 9);
    expect_origin(&second, "Frontend.threads", "-p");
}

Test(config, a_missing_writeback_is_fine_and_a_broken_one_is_not)
{
    LOADED fine = load_text("Config.writeback: nowhere.yaml\n");
    cr_assert_eq(fine.code, 0);
    LOADED broken =
        load_files(FILES({"t.yaml", "", 0}, {"./server.local.yaml", "a: b: c", 0}), NULL);
    cr_assert_eq(broken.code, -EINVAL);
}

Test(config, null_means_not_set_here)
{
    const char *paths[] = {"a", "b"};
    LOADED loaded = load_request(
        (struct config_request){.program = PROGRAM_PORTICO, .files = paths, .file_count = 2},
        FILES({"a",
               "Frontend.threads: 1\nFrontend.crypto_threads: 5\n"
               "HTTPServer Context: {Frontend.threads: ~}\n",
               0},
              {"b", "Frontend.crypto_threads: null\n", 0}));
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 1);
    cr_assert_eq(config_int(loaded.config, "Frontend.crypto_threads"), 0);
    LOADED quoted = load_text("Balancer.probe_path: 'null'\n");
    cr_assert_str_eq(config_str(quoted.config, "Balancer.probe_path"), "null");
}

Test(config, includes_override_the_includer_and_each_other)
{
    LOADED loaded =
        load_files(FILES({"d/a.yaml",
                          "Config.includes: [b.yaml, sub/c.yaml]\nFrontend.threads: 1\n"
                          "Frontend.crypto_threads: 1\nBalancer.threads: 1\n",
                          0},
                         {"d/b.yaml", "Frontend.threads: 2\nFrontend.crypto_threads: 2\n", 0},
                         {"d/sub/c.yaml", "Config.includes: d.yaml\nFrontend.threads: 3\n", 0},
                         {"d/sub/d.yaml", "Frontend.connection_limit: 4\n", 0}),
                   NULL);
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 3);
    cr_assert_eq(config_int(loaded.config, "Frontend.crypto_threads"), 2);
    cr_assert_eq(config_int(loaded.config, "Balancer.threads"), 1);
    cr_assert_eq(config_int(loaded.config, "Frontend.connection_limit"), 4);
    cr_assert_eq(config_file_count(loaded.config), 4);
}

Test(config, includes_may_sit_in_a_context)
{
    LOADED loaded =
        load_files(FILES({"a.yaml",
                          "HTTPServer Context: {Config.includes: '%(COLOUR|env).yaml'}\n"
                          "Client Context: {Config.includes: absent.yaml}\n",
                          0},
                         {"green.yaml", "Frontend.threads: 2\n", 0}),
                   NULL);
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 2);
}

Test(config, each_file_has_its_own_includes)
{
    const char *paths[] = {"a", "b"};
    const char *parameter = "Config.includes=e";
    LOADED loaded = load_request(
        (struct config_request){.program = PROGRAM_PORTICO,
                                .files = paths,
                                .file_count = 2,
                                .parameters = &parameter,
                                .parameter_count = 1},
        FILES({"a", "HTTPServer Context: {Config.includes: c}\nFrontend.threads: 1\n", 0},
              {"b", "Config.includes: d\nFrontend.threads: 2\n", 0},
              {"c", "Frontend.crypto_threads: 3\n", 0}, {"d", "Balancer.threads: 4\n", 0},
              {"e", "Frontend.threads: 5\n", 0}));
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_eq(config_file_count(loaded.config), 5);
    cr_assert_eq(config_int(loaded.config, "Frontend.crypto_threads"), 3);
    cr_assert_eq(config_int(loaded.config, "Balancer.threads"), 4);
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 5);
}

Test(config, includes_that_nest_too_deeply_are_refused)
{
    const struct memory_file files[] = {{"0", "Config.includes: 1", 0},
                                        {"1", "Config.includes: 2", 0},
                                        {"2", "Config.includes: 3", 0},
                                        {"3", "Config.includes: 4", 0},
                                        {"4", "Config.includes: 5", 0},
                                        {"5", "Config.includes: 6", 0},
                                        {"6", "Config.includes: 7", 0},
                                        {"7", "Config.includes: 8", 0},
                                        {"8", "Config.includes: 9", 0},
                                        {"9", "Config.includes: 9", 0},
                                        {NULL, NULL, 0}};
    LOADED loaded = load_files(files, NULL);
    cr_assert_eq(loaded.code, -EINVAL);
    cr_assert(strstr(loaded.told, "too deeply"));
}

Test(config, values_refer_to_each_other)
{
    LOADED loaded = load_text("Runtime.directory: \"/run/%(Mysql.host|upper)-%(Mysql.host)\"\n"
                              "Mysql.host: '%(name).example'\n"
                              "Mysql.name: db\\(1\\)\n"
                              "Balancer.access_log: '%(COLOUR|env)/%{%(x)}/%(admin_port)'\n"
                              "Balancer.hosts: ['%(COLOUR|env)', plain]\n"
                              "Balancer.repeat_paths: '%(hosts),last'\n");
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_str_eq(config_str(loaded.config, "Runtime.directory"),
                     "/run/MYSQL.HOST-db(1).example");
    cr_assert_str_eq(config_str(loaded.config, "Balancer.access_log"), "green/%(x)/8001");
    cr_assert_str_eq(config_list(loaded.config, "Balancer.hosts").items[0], "green");
    cr_assert_eq(config_list(loaded.config, "Balancer.repeat_paths").count, 3);
}

Test(config, files_are_read_beside_the_file_that_names_them)
{
    LOADED loaded = load_files(FILES({"etc/a.yaml",
                                      "Balancer.hosts: '%(hosts.txt|file)'\n"
                                      "Balancer.access_log: '%(no.txt|optionalfile)'\n",
                                      0},
                                     {"etc/hosts.txt", "a, b,c\n", 0}),
                               NULL);
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_eq(config_list(loaded.config, "Balancer.hosts").count, 3);
    cr_assert_str_eq(config_list(loaded.config, "Balancer.hosts").items[2], "c");
}

Test(config, exponential_references_end_in_an_error)
{
    char text[4096] = "Runtime.directory: '%(X.a0)'\nX.a30: ''\n";
    for (int i = 0; i < 15; i++) {
        sprintf(text + strlen(text), "X.a%d: '%%(a%d)%%(a%d)%%(a%d)'\n", i, i + 1, i + 1, i + 1);
    }
    LOADED loaded = load_text(text);
    cr_assert_eq(loaded.code, -EINVAL);
}

Test(config, values_of_foreign_sections_are_never_evaluated)
{
    LOADED loaded = load_text("Client.a: '%(x|flags) %(broken'\nClient.b: {any: [thing]}\n"
                              "Rekall: {c: d}\nLogging.filename: '%(x|module_path)'\n");
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_str_empty(loaded.told);
    cr_assert_eq(config_foreign_count(loaded.config), 3);
    cr_assert_str_eq(config_foreign_sections(loaded.config), "Client (2), Rekall (1)");
    cr_assert_eq(config_set_count(loaded.config), 1);
}

Test(config, programs_do_not_evaluate_what_others_use)
{
    const char *path = "a";
    LOADED loaded = load_request(
        (struct config_request){.program = PROGRAM_BALANCER, .files = &path, .file_count = 1},
        FILES({"a", "PrivateKeys.server_key: '%(secret.pem|file)'\nFrontend.threads: x\n", 0}));
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
}

Test(config, secrets_that_others_may_read_are_told)
{
    LOADED loaded = load_files(
        FILES({"a.yaml", "PrivateKeys.server_key: '%(k.pem|file)'\n", 0},
              {"k.pem", "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n", 0644}),
        NULL);
    cr_assert(strstr(loaded.told, "warning: PrivateKeys.server_key: everyone on this machine may "
                                  "read ./k.pem") != NULL ||
                  strstr(loaded.told, "may read k.pem") != NULL,
              "%s", loaded.told);
}

Test(config, parameters_are_their_own_place)
{
    LOADED loaded = load_files(FILES({NULL, NULL, 0}), "Frontend.bind_port=99999");
    cr_assert_str_eq(loaded.told, "-p Frontend.bind_port=99999: error: Frontend.bind_port: 99999 "
                                  "is too large\n    hint: from 1 to 65535\n");
    LOADED secret = load_files(FILES({NULL, NULL, 0}), "PrivateKeys.ca_key=hunter2");
    cr_assert(strstr(secret.told, "hunter2") == NULL);
    LOADED unknown = load_files(FILES({NULL, NULL, 0}), "Frontend.bind_prt=1");
    cr_assert(strstr(unknown.told, "did you mean Frontend.bind_port?"));
}

Test(config, a_file_that_is_missing_or_too_large_is_told)
{
    LOADED missing = load_request((struct config_request){.program = PROGRAM_PORTICO,
                                                          .files = (const char *[]){"nowhere.yaml"},
                                                          .file_count = 1},
                                  FILES({NULL, NULL, 0}));
    cr_assert_str_eq(missing.told, "nowhere.yaml: error: cannot read nowhere.yaml: No such file or "
                                   "directory\n");
    char *text = malloc(SOURCE_FILE_MAX_BYTES + 2);
    memset(text, '\n', SOURCE_FILE_MAX_BYTES + 1);
    text[SOURCE_FILE_MAX_BYTES + 1] = '\0';
    LOADED large = load_text(text);
    cr_assert(strstr(large.told, "larger than 1 MiB"));
    free(text);
}

Test(config, the_same_parameter_twice_takes_the_last)
{
    const char *parameters[] = {"Frontend.threads=1", "Frontend.threads=2"};
    LOADED loaded = load_request((struct config_request){.program = PROGRAM_PORTICO,
                                                         .parameters = parameters,
                                                         .parameter_count = 2},
                                 FILES({NULL, NULL, 0}));
    cr_assert_eq(config_int(loaded.config, "Frontend.threads"), 2);
}

Test(config, an_empty_file_and_comments_are_fine)
{
    LOADED empty = load_text("");
    cr_assert_eq(empty.code, 0);
    LOADED comment = load_text("# nothing\n---\n...\n");
    cr_assert_eq(comment.code, 0, "%s", comment.told);
}

Test(config, asking_for_an_unknown_key_crashes, .signal = SIGABRT)
{
    LOADED loaded = load_text("");
    config_int(loaded.config, "Frontend.nonsense");
}

Test(config, asking_for_the_wrong_type_crashes, .signal = SIGABRT)
{
    LOADED loaded = load_text("");
    config_str(loaded.config, "Frontend.trusted_proxies");
}

static void *share(void *pointer)
{
    for (int i = 0; i < 10000; i++) {
        struct config *config = config_ref(pointer);
        cr_assert_eq(config_int(config, "Frontend.bind_port"), 8080);
        config_unref(config);
    }
    config_unref(pointer);
    return NULL;
}

Test(config, threads_share_it_by_reference)
{
    LOADED loaded = load_text("");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, share, config_ref(loaded.config));
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}

Test(config, a_server_file_of_grr_loads_unchanged)
{
    const char *path = "tests/data/config/grr/grr-server.yaml";
    for (unsigned program = PROGRAM_FRONTEND; program <= PROGRAM_PORTICO; program *= 2) {
        struct problems *problems = problems_new(50);
        struct config *config = NULL;
        const struct config_request request = {.program = program, .files = &path, .file_count = 1};
        int code = config_load(&request, problems, &config);
        cr_assert_eq(code, 0);
        cr_assert_eq(problems_errors(problems), 0);
        cr_assert_gt(config_foreign_count(config), 250);
        cr_assert_eq(config_file_count(config), 2);
        config_unref(config);
        problems_free(problems);
    }
}

Test(config, a_server_file_of_grr_means_what_grr_makes_of_it)
{
    const char *path = "tests/data/config/grr/grr-server.yaml";
    struct problems *problems = problems_new(50);
    struct config *config = NULL;
    const struct config_request request = {
        .program = PROGRAM_FRONTEND, .files = &path, .file_count = 1};
    cr_assert_eq(config_load(&request, problems, &config), 0);
    cr_assert_eq(config_frontend_range(config).first, 9080);
    cr_assert_eq(config_frontend_range(config).last, 9089);
    cr_assert_eq(config_int(config, "Frontend.max_queue_size"), 600);
    cr_assert_eq(config_usec(config, "Frontend.message_expiry_time"), 600 * USEC_PER_SEC);
    cr_assert_eq(config_monitoring_range(config).first, 44450);
    cr_assert_str_eq(config_str(config, "Frontend.bind_address"), "0.0.0.0");
    cr_assert(strncmp(config_str(config, "PrivateKeys.server_key"), "-----BEGIN PRIVATE", 18) == 0);
    config_unref(config);
    problems_free(problems);
}

Test(config, the_shipped_file_loads_cleanly_and_says_the_defaults)
{
    const char *path = "conf/portico.yaml";
    struct problems *problems = problems_new(50);
    struct config *config = NULL;
    LOADED defaults = load_text("");
    const struct config_request request = {
        .program = PROGRAM_PORTICO, .files = &path, .file_count = 1};
    cr_assert_eq(config_load(&request, problems, &config), 0);
    cr_assert_eq(problems_warnings(problems), 0);
    for (size_t i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if ((option->flags & OPTION_NO_EFFECT) == 0 && strncmp(option->key, "Config.", 7) != 0 &&
            strcmp(option->key, "Frontend.port_max") != 0) {
            const struct value *value = config_value(config, option);
            const struct value *initial = config_value(defaults.config, option);
            cr_assert_eq(value->number, initial->number, "%s", option->key);
            cr_assert_eq(value->list.count, initial->list.count, "%s", option->key);
            cr_assert(value->number != 0 || strcmp(value->text, initial->text) == 0, "%s",
                      option->key);
        }
    }
    config_unref(config);
    problems_free(problems);
}

/* Bytes that look like configuration often enough to get somewhere. */
static void random_text(char *text, size_t size, uint64_t *state)
{
    static const char *const words[] = {"Frontend",
                                        "bind_port",
                                        ".",
                                        ":",
                                        " ",
                                        "\n",
                                        "  ",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        "%(",
                                        ")",
                                        "|file",
                                        "\t",
                                        "&a ",
                                        "*a",
                                        "'",
                                        "\"",
                                        "Platform:Linux:",
                                        "Config.includes: t.yaml\n",
                                        "-",
                                        "\\",
                                        "8080",
                                        "\xff",
                                        "---\n",
                                        "<<: ",
                                        "!!",
                                        "#",
                                        ","};
    size_t used = 0;
    while (used + 32 < size) {
        uint64_t random = next_random(state);
        used += (size_t)sprintf(text + used, "%s", words[random % ARRAY_LEN(words)]);
        if (random >> 60 == 0) {
            text[used++] = (char)(1 + (random >> 32) % 255);
        }
    }
    text[used] = '\0';
}

Test(config, random_bytes_never_crash)
{
    uint64_t state = 42;
    char text[512];
    for (int i = 0; i < 2000; i++) {
        random_text(text, 64 + (size_t)(next_random(&state) % 400), &state);
        LOADED loaded = load_text(text);
        cr_assert(loaded.code == 0 || loaded.code == -EINVAL);
    }
}

Test(config, engines_that_only_grr_had_load_with_a_warning)
{
    LOADED loaded = load_text("Datastore.implementation: MySQLAdvancedDataStore\n");
    cr_assert_eq(loaded.code, 0, "%s", loaded.told);
    cr_assert_str_eq(loaded.told,
                     "t.yaml:1:27: warning: Datastore.implementation MySQLAdvancedDataStore is not "
                     "known; SqliteDataStore is used\n"
                     "    Datastore.implementation: MySQLAdvancedDataStore\n"
                     "                              ^\n"
                     "    hint: write SqliteDataStore, or leave the option out\n");
}
