/*
 * What is asked of an arena: aligned memory that does not overlap, that stays until reset, and that
 * is all given back (the leak check of the sanitizers sees to the last).
 */
#include "util/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

static void unused_arena_costs_nothing(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_reset(&arena);
    assert_null(arena.blocks);
    arena_free(&arena);
    assert_null(arena.blocks);
}

static void allocations_are_aligned_for_any_type(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t size = 0; size < 3000; size += 7) {
        void *memory = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
    }
    arena_free(&arena);
}

static void allocations_keep_their_octets(void **state)
{
    (void)state;
    /* From nothing, over what fits a first block, to what needs a block of its own. */
    static const size_t sizes[] = {1,    0,     16,   100,    1000,  1008,  1009, 17,
                                   2000, 70000, 4000, 200000, 65536, 65520, 31,   64000};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]), ROUNDS = 5 };
    struct arena arena = {0};
    unsigned char *memory[COUNT * ROUNDS];

    for (size_t i = 0; i < COUNT * ROUNDS; i++) {
        memory[i] = arena_alloc(&arena, sizes[i % COUNT]);
        memset(memory[i], (int)i, sizes[i % COUNT]);
    }
    for (size_t i = 0; i < COUNT * ROUNDS; i++)
        for (size_t at = 0; at < sizes[i % COUNT]; at++)
            assert_int_equal(memory[i][at], i);
    arena_free(&arena);
}

static void empty_allocations_are_distinct(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_ptr_not_equal(arena_alloc(&arena, 0), arena_alloc(&arena, 0));
    arena_free(&arena);
}

static void zalloc_zeroes_memory_used_before(void **state)
{
    (void)state;
    struct arena arena = {0};
    memset(arena_alloc(&arena, 500), 0xff, 500);
    arena_reset(&arena);
    const char *memory = arena_zalloc(&arena, 500);
    for (size_t i = 0; i < 500; i++)
        assert_int_equal(memory[i], 0);
    arena_free(&arena);
}

static void copy_is_its_own_and_has_a_nul_behind(void **state)
{
    (void)state;
    struct arena arena = {0};
    char text[] = "a\0b";
    struct span copy = arena_copy(&arena, span_of(text, 3));
    text[0] = 'x';
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.data, "a\0b\0", 4);

    struct span empty = arena_copy(&arena, span_of(NULL, 0));
    assert_int_equal(empty.len, 0);
    assert_string_equal(empty.data, "");
    arena_free(&arena);
}

static void printf_formats_any_length(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct span text = arena_printf(&arena, "%d %s", 550, "no");
    assert_int_equal(text.len, 6);
    assert_string_equal(text.data, "550 no");
    assert_string_equal(arena_printf(&arena, "%s", "").data, "");

    struct span wide = arena_printf(&arena, "%100000d", 7);
    assert_int_equal(wide.len, 100000);
    assert_int_equal(wide.data[0], ' ');
    assert_string_equal(wide.data + 99999, "7");
    arena_free(&arena);
}

static void reset_arena_can_be_used_again(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (int round = 0; round < 10; round++) {
        for (size_t size = 1; size < 100000; size *= 3)
            memset(arena_alloc(&arena, size), round, size);
        arena_reset(&arena);
    }
    arena_free(&arena);
    assert_null(arena.blocks);
    assert_int_equal(arena.left, 0);
}

#ifdef VEREDUS_SANITIZED
static void reset_keeps_nothing_under_the_sanitizers(void **state)
{
    (void)state;
    struct arena arena = {0};
    (void)arena_alloc(&arena, 100);
    arena_reset(&arena);
    assert_null(arena.blocks);
}
#else
static void reset_keeps_a_small_block(void **state)
{
    (void)state;
    struct arena arena = {0};
    const void *first = arena_alloc(&arena, 100);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 100), first);
    arena_free(&arena);
}

static void reset_keeps_no_large_block(void **state)
{
    (void)state;
    struct arena arena = {0};
    (void)arena_alloc(&arena, 50000);
    arena_reset(&arena);
    assert_null(arena.blocks);
    arena_free(&arena);
}

static void large_allocation_leaves_the_newest_block_in_use(void **state)
{
    (void)state;
    struct arena arena = {0};
    const char *before = arena_alloc(&arena, 16);
    (void)arena_alloc(&arena, 300000);
    assert_ptr_equal(arena_alloc(&arena, 16), before + 16);
    arena_free(&arena);
}
#endif

static void mem_new_and_array_are_zeroed(void **state)
{
    (void)state;
    const char *one = mem_new(64);
    const char *many = mem_array(8, 8);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(one[i], 0);
        assert_int_equal(many[i], 0);
    }
    mem_free((void *)(uintptr_t)one);
    mem_free((void *)(uintptr_t)many);
}

static void mem_resize_keeps_the_old_octets(void **state)
{
    (void)state;
    char *memory = mem_resize(NULL, 4, 1);
    memcpy(memory, "abc", 4);
    memory = mem_resize(memory, 1000, 100);
    assert_string_equal(memory, "abc");
    memory = mem_resize(memory, 2, 1);
    assert_memory_equal(memory, "ab", 2);
    mem_free(memory);
}

static void nothing_is_memory_too(void **state)
{
    (void)state;
    void *none = mem_new(0);
    void *array = mem_array(0, 8);
    assert_non_null(none);
    assert_non_null(array);
    array = mem_resize(array, 0, 8);
    assert_non_null(array);
    mem_free(none);
    mem_free(array);
    mem_free(NULL);
}

/* Reading the size through a volatile keeps the compiler from warning about its absurdity. */
static void ask_for_too_much_of_an_array(void)
{
    volatile size_t half = SIZE_MAX / 2;
    mem_free(mem_array(half, 3));
}

static void ask_for_too_much_when_resizing(void)
{
    volatile size_t half = SIZE_MAX / 2;
    mem_free(mem_resize(NULL, half, 3));
}

static void ask_for_too_much_of_an_arena(void)
{
    volatile size_t most = SIZE_MAX;
    struct arena arena = {0};
    (void)arena_alloc(&arena, most);
}

/* The exit code of a process that does nothing but `action`, its log line thrown away. */
static int exit_code_of(void (*action)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO);
        action();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void overflow_is_fatal(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(ask_for_too_much_of_an_arena), EX_SOFTWARE);
#ifndef VEREDUS_SANITIZED /* the sanitizer's allocator ends the process itself */
    assert_int_equal(exit_code_of(ask_for_too_much_of_an_array), EX_OSERR);
    assert_int_equal(exit_code_of(ask_for_too_much_when_resizing), EX_OSERR);
#else
    assert_int_not_equal(exit_code_of(ask_for_too_much_of_an_array), 0);
    assert_int_not_equal(exit_code_of(ask_for_too_much_when_resizing), 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_arena_costs_nothing),
        cmocka_unit_test(allocations_are_aligned_for_any_type),
        cmocka_unit_test(allocations_keep_their_octets),
        cmocka_unit_test(empty_allocations_are_distinct),
        cmocka_unit_test(zalloc_zeroes_memory_used_before),
        cmocka_unit_test(copy_is_its_own_and_has_a_nul_behind),
        cmocka_unit_test(printf_formats_any_length),
        cmocka_unit_test(reset_arena_can_be_used_again),
#ifdef VEREDUS_SANITIZED
        cmocka_unit_test(reset_keeps_nothing_under_the_sanitizers),
#else
        cmocka_unit_test(reset_keeps_a_small_block),
        cmocka_unit_test(reset_keeps_no_large_block),
        cmocka_unit_test(large_allocation_leaves_the_newest_block_in_use),
#endif
        cmocka_unit_test(mem_new_and_array_are_zeroed),
        cmocka_unit_test(mem_resize_keeps_the_old_octets),
        cmocka_unit_test(nothing_is_memory_too),
        cmocka_unit_test(overflow_is_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
