#include "test.h"

#include "base/sort.h"

enum { MANY = 5000 };

/* ---- data ------------------------------------------------------------------------------ */

static uint64_t
random_number(void)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

enum shape { RANDOM, SORTED, REVERSED, EQUAL, FEW_VALUES, PIPE, SAWTOOTH, ALMOST, SHAPES };

static uint32_t
key_of(enum shape shape, size_t i, size_t count)
{
    switch (shape) {
    case SORTED: return (uint32_t)i;
    case REVERSED: return (uint32_t)(count - i);
    case EQUAL: return 7;
    case FEW_VALUES: return (uint32_t)(random_number() % 4);
    case PIPE: return (uint32_t)(i < count / 2 ? i : count - i);
    case SAWTOOTH: return (uint32_t)(i % 17);
    case ALMOST: return (uint32_t)(i == count / 3 ? 0 : i);
    default: return (uint32_t)random_number();
    }
}

/* ---- comparisons, with a context ----------------------------------------------------------- */

struct context {
    int sign;
    size_t comparisons, size;
};

/* By the first bytes as a number in this machine's order; a long item ends in a copy of them. */
static uint32_t
key_at(const void *item, size_t size)
{
    uint32_t key = 0;
    memcpy(&key, item, size < sizeof key ? size : sizeof key);
    return key;
}

static int
compare_keys(const void *left, const void *right, void *data)
{
    struct context *context = data;
    const uint32_t a = key_at(left, context->size), b = key_at(right, context->size);
    context->comparisons++;
    return context->sign * ((a > b) - (a < b));
}

static int
compare_numbers(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* n log2 n, rounded up. */
static size_t
n_log_n(size_t count)
{
    size_t log = 1;
    while ((size_t)1 << log < count)
        log++;
    return count * log;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void
check_against_qsort(enum shape shape, size_t count, int sign)
{
    static uint32_t items[MANY], expected[MANY];
    struct context context = {sign, 0, sizeof *items};
    for (size_t i = 0; i < count; i++)
        expected[i] = items[i] = key_of(shape, i, count);
    qsort(expected, count, sizeof *expected, compare_numbers);
    mp_sort(items, count, sizeof *items, (struct mp_comparison){compare_keys, &context});
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i], expected[sign > 0 ? i : count - 1 - i]);
    assert_true(context.comparisons <= 3 * n_log_n(count));
    assert_int_equal(context.comparisons > 0, count > 1);
}

static void
order_is_that_of_qsort_and_follows_the_context(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 2, 3, 11, 12, 13, 14, 100, 127, 128, 129, 1000, MANY};
    for (int shape = 0; shape < SHAPES; shape++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            check_against_qsort((enum shape)shape, counts[i], 1);
            check_against_qsort((enum shape)shape, counts[i], -1);
        }
}

static void
items_of_any_size_stay_whole_and_all_are_there(void **state)
{
    (void)state;
    enum { COUNT = 300, LARGEST = 100 };
    static unsigned char items[COUNT * LARGEST];
    for (size_t size = 1; size <= LARGEST; size++) {
        struct context context = {1, 0, size};
        unsigned long sum = 0, sorted = 0;
        for (size_t i = 0; i < COUNT; i++) {
            const uint32_t key = (uint32_t)random_number();
            for (size_t k = 0; k < size; k++)
                items[i * size + k] = (unsigned char)(key >> k % 4 * 8);
            sum += key_at(items + i * size, size);
        }
        mp_sort(items, COUNT, size, (struct mp_comparison){compare_keys, &context});
        for (size_t i = 0; i < COUNT; i++) {
            const unsigned char *item = items + i * size;
            for (size_t k = 4; k < size; k++)
                assert_int_equal(item[k], item[k % 4]);
            assert_true(i == 0 || key_at(item - size, size) <= key_at(item, size));
            sorted += key_at(item, size);
        }
        assert_int_equal(sum, sorted);
    }
}

/* Decides the order while it is asked, so that each pivot is among the smallest there are
 * (McIlroy, "A Killer Adversary for Quicksort"). */
struct adversary {
    uint32_t values[MANY];
    uint32_t solid, gas, candidate;
    size_t comparisons;
};

static int
compare_adversely(const void *left, const void *right, void *data)
{
    struct adversary *adversary = data;
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    uint32_t *values = adversary->values;
    adversary->comparisons++;
    if (values[a] == adversary->gas && values[b] == adversary->gas)
        values[a == adversary->candidate ? a : b] = adversary->solid++;
    if (values[a] == adversary->gas)
        adversary->candidate = a;
    else if (values[b] == adversary->gas)
        adversary->candidate = b;
    return (values[a] > values[b]) - (values[a] < values[b]);
}

static void
an_adversary_costs_no_more_than_n_log_n(void **state)
{
    (void)state;
    static struct adversary adversary = {.gas = MANY};
    static uint32_t items[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        items[i] = i;
        adversary.values[i] = adversary.gas;
    }
    mp_sort(items, MANY, sizeof *items, (struct mp_comparison){compare_adversely, &adversary});
    for (size_t i = 1; i < MANY; i++)
        assert_true(adversary.values[items[i - 1]] <= adversary.values[items[i]]);
    assert_true(adversary.comparisons > n_log_n(MANY)); /* it does make it harder */
    assert_true(adversary.comparisons <= 5 * n_log_n(MANY));
}

static int
compare_by_chance(const void *left, const void *right, void *context)
{
    (void)left, (void)right, (void)context;
    return (int)(random_number() % 3) - 1;
}

static void
contradictions_lose_no_item(void **state)
{
    (void)state;
    static uint32_t items[MANY];
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < MANY; i++)
            items[i] = i;
        mp_sort(items, MANY, sizeof *items, (struct mp_comparison){compare_by_chance, NULL});
        qsort(items, MANY, sizeof *items, compare_numbers);
        for (uint32_t i = 0; i < MANY; i++)
            assert_int_equal(items[i], i);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_qsort_and_follows_the_context),
        cmocka_unit_test(items_of_any_size_stay_whole_and_all_are_there),
        cmocka_unit_test(an_adversary_costs_no_more_than_n_log_n),
        cmocka_unit_test(contradictions_lose_no_item),
    };
    return RUN_TESTS(tests);
}
