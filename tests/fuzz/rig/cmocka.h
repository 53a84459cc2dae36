/*
 * What the rigs of the unit tests use of cmocka, for a fuzz target: what must hold and does not is
 * a panic, which the fuzzer reports with its input.
 */
#ifndef VEREDUS_TESTS_FUZZ_RIG_CMOCKA_H
#define VEREDUS_TESTS_FUZZ_RIG_CMOCKA_H

#include <stdio.h>
#include <string.h>

#include "util/base/panic.h"

#define assert_true(condition)         require(condition)
#define assert_false(condition)        require(!(condition))
#define assert_non_null(pointer)       require((pointer) != NULL)
#define assert_int_equal(a, b)         require((uintmax_t)(a) == (uintmax_t)(b))
#define assert_ptr_equal(a, b)         require((const void *)(a) == (const void *)(b))
#define assert_string_equal(a, b)      require(strcmp((a), (b)) == 0)
#define assert_memory_equal(a, b, len) require(memcmp((a), (b), (len)) == 0)
#define print_error(...)               (void)fprintf(stderr, __VA_ARGS__)
#define fail_msg(...)                  panic(__VA_ARGS__)

#endif
