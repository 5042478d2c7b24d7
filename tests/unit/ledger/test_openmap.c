/* The map of open requests against a plain array, with ids that fall on few places. */
#include "ledger/openmap.h"
#include "unit/store/scratch.h"

enum { IDS = 300, STEPS = 200000 };

static struct id an_id(uint32_t n)
{
    struct id id = {{0}};
    id.bytes[0] = (uint8_t)n; /* the hash looks at the other half: many collide */
    id.bytes[1] = (uint8_t)(n >> 8);
    id.bytes[8] = (uint8_t)(n % 7);
    return id;
}

static void it_agrees_with_an_array(void **state)
{
    (void)state;
    static uint32_t slots[IDS]; /* 0: absent */
    struct openmap m = {0};
    uint64_t random = 42;
    size_t count = 0;
    assert_null(openmap_find(&m, an_id(1)));
    openmap_remove(&m, an_id(1));
    for (int step = 0; step < STEPS; step++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint32_t n = (uint32_t)(random >> 33) % IDS;
        bool is_put = (random >> 60) % 2 == 0;
        if (is_put) {
            struct open_place p = {an_id(n), 3, 1 + n, (uint32_t)step};
            assert_int_equal(openmap_put(&m, &p), OK);
            count += slots[n] == 0;
            slots[n] = (uint32_t)step + 1;
        } else {
            openmap_remove(&m, an_id(n));
            count -= slots[n] != 0;
            slots[n] = 0;
        }
        assert_int_equal(m.count, count);
        uint32_t look = (uint32_t)(random >> 40) % IDS;
        const struct open_place *p = openmap_find(&m, an_id(look));
        assert_int_equal(p ? p->slot + 1 : 0, slots[look]);
    }
    for (uint32_t n = 0; n < IDS; n++) {
        const struct open_place *p = openmap_find(&m, an_id(n));
        assert_int_equal(p ? p->slot + 1 : 0, slots[n]);
    }
    openmap_deinit(&m);
    openmap_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
