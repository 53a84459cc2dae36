/* tls, as the configuration names it: complaints with the line of the section, warnings served. */
#include "tests/unit/tls_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/conf/conf.h"

/* What was complained about, a line each. */
struct heard {
    char text[2048];
    int count;
};

static void hear(void *arg, const char *message)
{
    struct heard *heard = arg;
    size_t used = strlen(heard->text);
    snprintf(heard->text + used, sizeof heard->text - used, "%s\n", message);
    heard->count++;
}

/* The text behind a host name, as DIRECTORY/v.conf. */
static struct conf *configure(struct tls_rig *rig, char *text, struct heard *heard)
{
    char whole[2048], name[64];
    int size = snprintf(whole, sizeof whole, "hostname = mx.example.test\n%s", text);
    snprintf(name, sizeof name, "%s/v.conf", rig->directory);
    FILE *in = fmemopen(whole, (size_t)size, "r");
    struct conf *conf = conf_parse(in, name, hear, heard);
    fclose(in);
    *heard = (struct heard){.count = 0};
    assert_non_null(conf);
    return conf;
}

static char all_pairs[] =
    "tls { certificate = \"ec.pem\" key = \"ec.key\" }\n"
    "tls { certificate = \"rsa.pem\" key = \"rsa.key\" }\n"
    "tls \"other.test\" { certificate = \"other.pem\" key = \"other.key\" }\n";

static void the_certificates_of_the_configuration_are_served(void **state)
{
    struct tls_rig *rig = *state;
    struct heard heard;
    struct conf *conf = configure(rig, all_pairs, &heard);
    struct tls_server *server =
        conf_tls_server(conf, &rig->ratchet, SPAN("smtp"), &(struct conf_voice){hear, &heard});
    assert_non_null(server);
    assert_int_equal(heard.count, 0);
    tls_rig_connect(rig, server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    tls_rig_assert_talk(rig);
    tls_server_free(server);
    assert_true(conf_check_tls(conf, &(struct conf_voice){hear, &heard}));
    conf_free(conf);
}

static void every_bad_section_is_named_with_its_line(void **state)
{
    struct tls_rig *rig = *state;
    struct heard heard;
    char text[] = "tls { certificate = \"ec.pem\" key = \"rsa.key\" }\n"
                  "\n"
                  "tls \"a.test\" { certificate = \"none.pem\" key = \"ec.key\" }\n"
                  "tls \"b.test\" { certificate = \"ec.pem\" key = \"ec.key\" }\n"
                  "tls \"b.test\" { certificate = \"other.pem\" key = \"open.key\" }\n";
    char open_key[64], command[160];
    snprintf(open_key, sizeof open_key, "%s/open.key", rig->directory);
    snprintf(command, sizeof command, "cp %s/other.key %s", rig->directory, open_key);
    assert_int_equal(system(command), 0);
    assert_int_equal(chmod(open_key, 0644), 0);
    struct conf *conf = configure(rig, text, &heard);
    assert_null(
        conf_tls_server(conf, &rig->ratchet, SPAN("smtp"), &(struct conf_voice){hear, &heard}));
    assert_non_null(strstr(heard.text, "/v.conf:2: "));
    assert_non_null(strstr(heard.text, "is not the key of"));
    assert_non_null(strstr(heard.text, "/v.conf:4: "));
    assert_non_null(strstr(heard.text, "none.pem can not be opened"));
    assert_non_null(strstr(heard.text, "/v.conf:6: "));
    assert_non_null(strstr(heard.text, "open.key can be used by others (mode 0644)"));
    assert_false(conf_check_tls(conf, &(struct conf_voice){hear, &heard}));
    conf_free(conf);
}

static void an_expired_certificate_is_a_warning(void **state)
{
    struct tls_rig *rig = *state;
    struct heard heard;
    char text[] = "tls { certificate = \"ec.pem\" key = \"ec.key\" }\n";
    tls_rig_make(rig, "ec", "ec", "DNS:mx.example.test", -10, 5);
    struct conf *conf = configure(rig, text, &heard);
    assert_true(conf_check_tls(conf, &(struct conf_voice){hear, &heard}));
    assert_int_equal(heard.count, 1);
    assert_non_null(strstr(heard.text, "/v.conf:2: warning: "));
    assert_non_null(strstr(heard.text, "expired 5 days ago"));
    conf_free(conf);
}

static void without_a_section_there_is_nothing_to_complain_about(void **state)
{
    struct tls_rig *rig = *state;
    struct heard heard;
    char text[] = "";
    struct conf *conf = configure(rig, text, &heard);
    assert_true(conf_check_tls(conf, &(struct conf_voice){hear, &heard}));
    assert_int_equal(heard.count, 0);
    conf_free(conf);
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, tls_rig_setup, tls_rig_teardown)
    static const struct CMUnitTest tests[] = {
        RIGGED(the_certificates_of_the_configuration_are_served),
        RIGGED(every_bad_section_is_named_with_its_line),
        RIGGED(an_expired_certificate_is_a_warning),
        RIGGED(without_a_section_there_is_nothing_to_complain_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
