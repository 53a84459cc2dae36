/*
 * A configuration file: refused with a complaint, or taken; what is printed of it then is a file
 * that means the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "util/conf/conf.h"

static void complain(void *arg, const char *message)
{
    size_t *complaints = arg;
    require(message != NULL && message[0] != '\0');
    ++*complaints;
}

static struct conf *parse(struct span text, size_t *complaints)
{
    FILE *in = fdopen(fuzz_file(text, 0), "r");
    require(in != NULL);
    struct conf *conf = conf_parse(in, "/nowhere/veredus.conf", complain, complaints);
    (void)fclose(in);
    return conf;
}

static struct span print(const struct conf *conf, char **memory)
{
    size_t size = 0;
    FILE *out = open_memstream(memory, &size);
    require(out != NULL);
    conf_print_all(conf, out);
    require(fclose(out) == 0);
    return span_of(*memory, size);
}

static void check_print(const struct conf *conf)
{
    char *memory = NULL, *memory_again = NULL;
    size_t complaints = 0;
    struct span printed = print(conf, &memory);
    struct conf *again = parse(printed, &complaints);
    require(again != NULL && complaints == 0);
    require(span_equal(print(again, &memory_again), printed));
    conf_free(again);
    free(memory);
    free(memory_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t complaints = 0;
    struct conf *conf = parse(span_of(data, size), &complaints);
    require((conf == NULL) == (complaints > 0));
    if (conf == NULL)
        return 0;
    check_print(conf);
    conf_free(conf);
    return 0;
}
