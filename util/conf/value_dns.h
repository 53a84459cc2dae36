/*
 * value_dns - kinds of values about the DNS; for util/conf alone, rows of the table in value.c.
 */
#ifndef VEREDUS_CONF_VALUE_DNS_H
#define VEREDUS_CONF_VALUE_DNS_H

#include "util/conf/value.h"

/* As every `read` of the table: false leaves the field as it was. Servers go to a struct
 * conf_endpoints, answers to a struct conf_answer_ranges, one more each; a weight to an int64_t. */
bool value_read_servers(const struct setting *row, struct span text, void *field,
                        const struct value_place *place) __attribute__((warn_unused_result));
bool value_read_weight(const struct setting *row, struct span text, void *field,
                       const struct value_place *place) __attribute__((warn_unused_result));
bool value_read_answers(const struct setting *row, struct span text, void *field,
                        const struct value_place *place) __attribute__((warn_unused_result));

/* Print what the above read back. */
void value_print_servers(const struct setting *row, const void *field, FILE *out);
void value_print_weight(const struct setting *row, const void *field, FILE *out);
void value_print_answers(const struct setting *row, const void *field, FILE *out);

#endif
