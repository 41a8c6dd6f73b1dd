#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/nat.h"

#include <stdio.h>

#define EIM NAT_ENDPOINT_INDEPENDENT
#define ADM NAT_ADDRESS_DEPENDENT
#define APDM NAT_ADDRESS_AND_PORT_DEPENDENT

static struct addr at(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

static struct nat_config plain(void)
{
    struct nat_config config = nat_config_default();
    config.lifetime = 120 * TIME_S;
    config.external[0] = at("198.51.100.1:1").ip;
    config.external_count = 1;
    return config;
}

static struct nat *nat_of(const struct nat_config *config)
{
    return nat_new(config, rng_seed(7, "nat"));
}

// The external endpoint of a packet, which must pass.
static struct addr out(struct nat *nat, nanotime now, const char *from, const char *to)
{
    struct addr src = at(from), dst = at(to);
    assert_int_equal(nat_out(nat, now, &src, &dst), NAT_PASS);
    return src;
}

static enum nat_outcome out_refused(struct nat *nat, nanotime now, const char *from, const char *to)
{
    struct addr src = at(from), dst = at(to);
    return nat_out(nat, now, &src, &dst);
}

static enum nat_outcome in(struct nat *nat, nanotime now, const char *from, const struct addr *to)
{
    struct addr src = at(from), dst = *to;
    enum nat_outcome outcome = nat_in(nat, now, &src, &dst);
    if (outcome != NAT_PASS)
        assert_true(addr_equal(&dst, to));
    return outcome;
}

static void reaches(struct nat *nat, nanotime now, const char *from, const struct addr *to,
                    const char *inside)
{
    char text[ADDR_TEXT_MAX];
    struct addr src = at(from), dst = *to;
    assert_int_equal(nat_in(nat, now, &src, &dst), NAT_PASS);
    assert_string_equal(addr_print(&dst, text), inside);
}

static void is(const struct addr *addr, const char *text)
{
    char printed[ADDR_TEXT_MAX];
    assert_string_equal(addr_print(addr, printed), text);
}

// ------------------------------------------------------------------------------- the nine kinds

// RFC 4787 4.1: is the mapping reused for the same destination, another port, another address?
static void test_nat_mapping_is_reused_as_its_dependence_says(void **state)
{
    (void)state;
    static const struct {
        enum nat_dependence mapping;
        bool same, other_port, other_ip;
    } rows[] = {{EIM, true, true, true}, {ADM, true, true, false}, {APDM, true, false, false}};
    for (size_t i = 0; i < 3; i++)
        for (int filtering = EIM; filtering <= APDM; filtering++) {
            struct nat_config config = plain();
            config.mapping = rows[i].mapping;
            config.filtering = (enum nat_dependence)filtering;
            struct nat *nat = nat_of(&config);
            struct addr first = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1000");
            struct addr same = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1000");
            struct addr port = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:2000");
            struct addr ip = out(nat, 0, "10.0.0.2:5000", "203.0.113.2:1000");
            assert_int_equal(addr_equal(&first, &same), rows[i].same);
            assert_int_equal(addr_equal(&first, &port), rows[i].other_port);
            assert_int_equal(addr_equal(&first, &ip), rows[i].other_ip);
            // Whatever the kind, each answer comes back.
            reaches(nat, 0, "203.0.113.1:1000", &first, "10.0.0.2:5000");
            reaches(nat, 0, "203.0.113.1:2000", &port, "10.0.0.2:5000");
            reaches(nat, 0, "203.0.113.2:1000", &ip, "10.0.0.2:5000");
            nat_free(nat);
        }
}

// RFC 4787 5: who may use a mapping that was made towards 203.0.113.1:1000.
static void test_nat_filter_admits_as_its_dependence_says(void **state)
{
    (void)state;
    static const struct {
        enum nat_dependence filtering;
        enum nat_outcome same, other_port, other_ip;
    } rows[] = {{EIM, NAT_PASS, NAT_PASS, NAT_PASS},
                {ADM, NAT_PASS, NAT_PASS, NAT_FILTERED},
                {APDM, NAT_PASS, NAT_FILTERED, NAT_FILTERED}};
    for (size_t i = 0; i < 3; i++)
        for (int mapping = EIM; mapping <= APDM; mapping++) {
            struct nat_config config = plain();
            config.mapping = (enum nat_dependence)mapping;
            config.filtering = rows[i].filtering;
            struct nat *nat = nat_of(&config);
            struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1000");
            assert_int_equal(in(nat, 0, "203.0.113.1:1000", &mapped), rows[i].same);
            assert_int_equal(in(nat, 0, "203.0.113.1:2000", &mapped), rows[i].other_port);
            assert_int_equal(in(nat, 0, "203.0.113.2:1000", &mapped), rows[i].other_ip);
            struct addr none = at("198.51.100.1:9");
            assert_int_equal(in(nat, 0, "203.0.113.1:1000", &none), NAT_NO_MAPPING);
            struct nat_stats stats = nat_stats(nat);
            assert_int_equal(stats.outcomes[NAT_NO_MAPPING], 1);
            assert_int_equal(stats.live, 1);
            nat_free(nat);
        }
}

static void test_nat_presets_are_the_four_classic_types(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum nat_dependence mapping, filtering;
    } rows[] = {{"full-cone", EIM, EIM},
                {"restricted-cone", EIM, ADM},
                {"port-restricted", EIM, APDM},
                {"symmetric", APDM, APDM}};
    for (size_t i = 0; i < 4; i++) {
        struct nat_config config = {.lifetime = 5};
        assert_true(nat_preset(&config, bytes_text(rows[i].name)));
        assert_int_equal(config.mapping, rows[i].mapping);
        assert_int_equal(config.filtering, rows[i].filtering);
        assert_int_equal(config.lifetime, 5);
    }
    struct nat_config config = {0};
    assert_false(nat_preset(&config, bytes_text("conical")));
    assert_string_equal(nat_dependence_name(ADM), "address-dependent");
    assert_string_equal(nat_outcome_name(NAT_HAIRPIN_REFUSED), "hairpin-refused");
}

// ------------------------------------------------------------------------------------------ ports

static void test_nat_preserves_the_port_while_it_is_free(void **state)
{
    (void)state;
    struct nat_config config = plain();
    struct nat *nat = nat_of(&config);
    struct addr first = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1000");
    struct addr second = out(nat, 0, "10.0.0.3:5000", "203.0.113.1:1000");
    is(&first, "198.51.100.1:5000");
    assert_int_not_equal(second.port, 5000);
    assert_int_equal(second.port % 2, 0); // RFC 4787 4.2.2
    reaches(nat, 0, "203.0.113.1:1000", &second, "10.0.0.3:5000");
    // Out of the range it cannot be kept.
    assert_true(out(nat, 0, "10.0.0.2:80", "203.0.113.1:1000").port >= 1024);
    nat_free(nat);
}

static void test_nat_symmetric_second_mapping_cannot_have_the_same_port(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.mapping = APDM;
    struct nat *nat = nat_of(&config);
    assert_int_equal(out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1").port, 5000);
    assert_int_not_equal(out(nat, 0, "10.0.0.2:5000", "203.0.113.1:2").port, 5000);
    nat_free(nat);
}

static void test_nat_overload_tells_hosts_apart_by_the_remote(void **state)
{
    (void)state;
    for (int filtering = EIM; filtering <= APDM; filtering++) {
        struct nat_config config = plain();
        config.ports = NAT_PORTS_OVERLOAD;
        config.filtering = (enum nat_dependence)filtering;
        struct nat *nat = nat_of(&config);
        struct addr a = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1000");
        struct addr b = out(nat, 0, "10.0.0.3:5000", "203.0.113.1:2000");
        is(&a, "198.51.100.1:5000");
        is(&b, "198.51.100.1:5000");
        reaches(nat, 0, "203.0.113.1:1000", &a, "10.0.0.2:5000");
        reaches(nat, 0, "203.0.113.1:2000", &a, "10.0.0.3:5000");
        // Both to one remote: the answer goes to whoever sent last.
        out(nat, 0, "10.0.0.3:5000", "203.0.113.1:1000");
        reaches(nat, 0, "203.0.113.1:1000", &a, "10.0.0.3:5000");
        out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1000");
        reaches(nat, 0, "203.0.113.1:1000", &a, "10.0.0.2:5000");
        nat_free(nat);
    }
}

static void test_nat_overload_keeps_the_port_until_its_last_host_is_gone(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.ports = NAT_PORTS_OVERLOAD;
    config.filtering = EIM;
    struct nat *nat = nat_of(&config);
    struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    out(nat, 60 * TIME_S, "10.0.0.3:5000", "203.0.113.1:2");
    out(nat, 90 * TIME_S, "10.0.0.4:5000", "203.0.113.1:3");
    reaches(nat, 130 * TIME_S, "203.0.113.1:9", &mapped, "10.0.0.4:5000");
    out(nat, 170 * TIME_S, "10.0.0.3:5000", "203.0.113.1:2");
    reaches(nat, 215 * TIME_S, "203.0.113.1:9", &mapped, "10.0.0.3:5000");
    assert_int_equal(in(nat, 290 * TIME_S, "203.0.113.1:9", &mapped), NAT_NO_MAPPING);
    nat_free(nat);
}

static void test_nat_overload_answer_outlives_the_host_it_was_taken_from(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.ports = NAT_PORTS_OVERLOAD;
    struct nat *nat = nat_of(&config);
    struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    out(nat, 60 * TIME_S, "10.0.0.3:5000", "203.0.113.1:1");
    reaches(nat, 130 * TIME_S, "203.0.113.1:1", &mapped, "10.0.0.3:5000");
    assert_int_equal(nat_stats(nat).live, 1);
    nat_expire(nat, 1000 * TIME_S); // without a packet
    assert_int_equal(nat_stats(nat).live, 0);
    nat_free(nat);
}

static void test_nat_sequential_gives_the_next_free_port(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.ports = NAT_PORTS_SEQUENTIAL;
    config.port_parity = false;
    config.port_min = 2000;
    config.port_max = 2002;
    struct nat *nat = nat_of(&config);
    assert_int_equal(out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1").port, 2000);
    assert_int_equal(out(nat, TIME_S, "10.0.0.3:5000", "203.0.113.1:1").port, 2001);
    assert_int_equal(out(nat, 2 * TIME_S, "10.0.0.4:5000", "203.0.113.1:1").port, 2002);
    assert_int_equal(out_refused(nat, 3 * TIME_S, "10.0.0.5:1", "203.0.113.1:1"), NAT_NO_PORT);
    // The first has expired: its port is the next.
    assert_int_equal(out(nat, 120 * TIME_S, "10.0.0.5:1", "203.0.113.1:1").port, 2000);
    nat_free(nat);
}

static void test_nat_sequential_begins_again_after_the_last_port(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.ports = NAT_PORTS_SEQUENTIAL;
    config.port_parity = false;
    config.port_min = 65534;
    struct nat *nat = nat_of(&config);
    assert_int_equal(out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1").port, 65534);
    assert_int_equal(out(nat, 60 * TIME_S, "10.0.0.3:5000", "203.0.113.1:1").port, 65535);
    assert_int_equal(out(nat, 120 * TIME_S, "10.0.0.4:5000", "203.0.113.1:1").port, 65534);
    nat_free(nat);
}

static void test_nat_parity_is_kept_while_it_can_be(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.ports = NAT_PORTS_RANDOM;
    config.port_min = 3000;
    config.port_max = 3003;
    struct nat *nat = nat_of(&config);
    assert_int_equal(out(nat, 0, "10.0.0.2:5001", "203.0.113.1:1").port % 2, 1);
    assert_int_equal(out(nat, 0, "10.0.0.2:5003", "203.0.113.1:1").port % 2, 1);
    assert_int_equal(out(nat, 0, "10.0.0.2:5005", "203.0.113.1:1").port % 2, 0); // none odd left
    assert_int_equal(out(nat, 0, "10.0.0.2:5007", "203.0.113.1:1").port % 2, 0);
    assert_int_equal(out_refused(nat, 0, "10.0.0.2:5009", "203.0.113.1:1"), NAT_NO_PORT);
    nat_free(nat);
}

static void test_nat_every_port_of_the_range_can_be_given(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.ports = NAT_PORTS_RANDOM;
    config.port_parity = false;
    config.port_max = 65535;
    config.port_min = 65535 - 200;
    struct nat *nat = nat_of(&config);
    bool seen[201] = {false};
    for (int i = 0; i < 201; i++) {
        char from[32];
        snprintf(from, sizeof from, "10.0.0.2:%d", 2000 + i);
        uint16_t port = out(nat, 0, from, "203.0.113.1:1").port;
        assert_true(port >= config.port_min);
        assert_false(seen[port - config.port_min]);
        seen[port - config.port_min] = true;
    }
    assert_int_equal(out_refused(nat, 0, "10.0.0.2:1000", "203.0.113.1:1"), NAT_NO_PORT);
    nat_free(nat);
}

static void test_nat_pooling_paired_keeps_a_host_on_one_address(void **state)
{
    (void)state;
    for (int paired = 0; paired < 2; paired++) {
        struct nat_config config = plain();
        config.pooling_paired = paired;
        for (uint8_t i = 0; i < 8; i++)
            config.external[i] = ip_v4(198, 51, 100, i + 1u);
        config.external_count = 8;
        struct nat *nat = nat_of(&config);
        unsigned hosts_seen = 0, ports_seen = 0; // sets of external addresses
        for (int i = 0; i < 32; i++) {
            char from[32];
            snprintf(from, sizeof from, "10.0.0.2:%d", 5000 + i);
            ports_seen |= 1u << out(nat, 0, from, "203.0.113.1:1").ip.at[3];
            snprintf(from, sizeof from, "10.0.1.%d:5000", i);
            hosts_seen |= 1u << out(nat, 0, from, "203.0.113.1:1").ip.at[3];
        }
        bool one = (ports_seen & (ports_seen - 1)) == 0;
        assert_int_equal(one, paired);
        assert_true((hosts_seen & (hosts_seen - 1)) != 0); // hosts are spread
        nat_free(nat);
    }
}

// --------------------------------------------------------------------------------------- hairpins

static void test_nat_hairpin_shows_the_source_its_mode_says(void **state)
{
    (void)state;
    static const struct {
        enum nat_hairpin mode;
        enum nat_outcome outcome;
        const char *source, *destination;
    } rows[] = {
        {NAT_HAIRPIN_OFF, NAT_HAIRPIN_REFUSED, "10.0.0.3:6000", "198.51.100.1:5000"},
        {NAT_HAIRPIN_EXTERNAL, NAT_HAIRPINNED, "198.51.100.1:6000", "10.0.0.2:5000"},
        {NAT_HAIRPIN_INTERNAL, NAT_HAIRPINNED, "10.0.0.3:6000", "10.0.0.2:5000"},
    };
    for (size_t i = 0; i < 3; i++) {
        struct nat_config config = plain();
        config.filtering = EIM;
        config.hairpin = rows[i].mode;
        struct nat *nat = nat_of(&config);
        out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
        struct addr src = at("10.0.0.3:6000"), dst = at("198.51.100.1:5000");
        assert_int_equal(nat_out(nat, 0, &src, &dst), rows[i].outcome);
        is(&src, rows[i].source);
        is(&dst, rows[i].destination);
        nat_free(nat);
    }
}

static void test_nat_hairpin_is_filtered_like_any_packet(void **state)
{
    (void)state;
    struct nat_config config = plain();
    struct nat *nat = nat_of(&config);
    assert_int_equal(out_refused(nat, 0, "10.0.0.3:6000", "198.51.100.1:5000"), NAT_NO_MAPPING);
    out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    assert_int_equal(out_refused(nat, 0, "10.0.0.3:6000", "198.51.100.1:5000"), NAT_FILTERED);
    // Once the other has sent to our external endpoint, both ways are open.
    struct addr src = at("10.0.0.2:5000"), dst = at("198.51.100.1:6000");
    assert_int_equal(nat_out(nat, 0, &src, &dst), NAT_HAIRPINNED);
    is(&dst, "10.0.0.3:6000");
    assert_int_equal(out_refused(nat, 0, "10.0.0.3:6000", "198.51.100.1:5000"), NAT_HAIRPINNED);
    nat_free(nat);
}

// -------------------------------------------------------------------------------------- lifetimes

static void test_nat_mapping_expires_when_idle_for_its_lifetime(void **state)
{
    (void)state;
    struct nat_config config = plain();
    struct nat *nat = nat_of(&config);
    struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    assert_int_equal(in(nat, 120 * TIME_S - 1, "203.0.113.1:1", &mapped), NAT_PASS);
    assert_int_equal(in(nat, 120 * TIME_S, "203.0.113.1:1", &mapped), NAT_NO_MAPPING);
    struct nat_stats stats = nat_stats(nat);
    assert_int_equal(stats.created, 1);
    assert_int_equal(stats.expired, 1);
    assert_int_equal(stats.live, 0);
    nat_free(nat);
}

// RFC 4787 4.3: packets at 0 and 100 s; is the mapping alive at 150 s?
static void test_nat_refreshes_in_the_directions_it_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct nat_config config = plain();
        config.refresh_out = i & 1;
        config.refresh_in = i & 2;
        struct nat *by_out = nat_of(&config), *by_in = nat_of(&config);
        struct addr mapped = out(by_out, 0, "10.0.0.2:5000", "203.0.113.1:1");
        out(by_out, 100 * TIME_S, "10.0.0.2:5000", "203.0.113.1:1");
        assert_int_equal(in(by_out, 150 * TIME_S, "203.0.113.1:1", &mapped),
                         config.refresh_out ? NAT_PASS : NAT_NO_MAPPING);
        out(by_in, 0, "10.0.0.2:5000", "203.0.113.1:1");
        assert_int_equal(in(by_in, 100 * TIME_S, "203.0.113.1:1", &mapped), NAT_PASS);
        assert_int_equal(in(by_in, 150 * TIME_S, "203.0.113.1:1", &mapped),
                         config.refresh_in ? NAT_PASS : NAT_NO_MAPPING);
        nat_free(by_out);
        nat_free(by_in);
    }
}

static void test_nat_filtered_packets_refresh_nothing(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.refresh_in = true;
    struct nat *nat = nat_of(&config);
    struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    assert_int_equal(in(nat, 100 * TIME_S, "203.0.113.9:1", &mapped), NAT_FILTERED);
    assert_int_equal(in(nat, 120 * TIME_S, "203.0.113.1:1", &mapped), NAT_NO_MAPPING);
    nat_free(nat);
}

static void test_nat_filter_entries_age_on_their_own(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.filter_lifetime = 30 * TIME_S;
    struct nat *nat = nat_of(&config);
    struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    out(nat, 20 * TIME_S, "10.0.0.2:5000", "203.0.113.2:1");
    assert_int_equal(in(nat, 29 * TIME_S, "203.0.113.1:1", &mapped), NAT_PASS);
    assert_int_equal(in(nat, 30 * TIME_S, "203.0.113.1:1", &mapped), NAT_FILTERED);
    assert_int_equal(in(nat, 30 * TIME_S, "203.0.113.2:1", &mapped), NAT_PASS);
    // Sent to again, the remote may answer again, by the same mapping.
    struct addr again = out(nat, 60 * TIME_S, "10.0.0.2:5000", "203.0.113.1:1");
    assert_true(addr_equal(&again, &mapped));
    assert_int_equal(in(nat, 61 * TIME_S, "203.0.113.1:1", &mapped), NAT_PASS);
    nat_free(nat);
}

static void test_nat_lifetime_changes_for_what_is_there(void **state)
{
    (void)state;
    struct nat_config config = plain();
    struct nat *nat = nat_of(&config);
    struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    nat_set_lifetime(nat, 10 * TIME_S, 0);
    assert_int_equal(in(nat, 9 * TIME_S, "203.0.113.1:1", &mapped), NAT_PASS);
    assert_int_equal(in(nat, 10 * TIME_S, "203.0.113.1:1", &mapped), NAT_NO_MAPPING);
    nat_free(nat);
}

// ------------------------------------------------------------------------------------------- full

static void test_nat_full_table_refuses(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.mappings_max = 1;
    struct nat *nat = nat_of(&config);
    struct addr first = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    assert_int_equal(out_refused(nat, 0, "10.0.0.3:5000", "203.0.113.1:1"), NAT_TABLE_FULL);
    assert_int_equal(in(nat, 0, "203.0.113.1:1", &first), NAT_PASS);
    out(nat, 120 * TIME_S, "10.0.0.3:5000", "203.0.113.1:1"); // the first has expired
    nat_free(nat);
}

static void test_nat_full_table_evicts_the_mapping_idle_longest(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.mappings_max = 2;
    config.mappings_evict = true;
    struct nat *nat = nat_of(&config);
    struct addr a = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    struct addr b = out(nat, 1, "10.0.0.3:5001", "203.0.113.1:1");
    out(nat, 2, "10.0.0.2:5000", "203.0.113.1:1"); // now b is idle longest
    struct addr c = out(nat, 3, "10.0.0.4:5002", "203.0.113.1:1");
    assert_int_equal(in(nat, 4, "203.0.113.1:1", &a), NAT_PASS);
    assert_int_equal(in(nat, 4, "203.0.113.1:1", &b), NAT_NO_MAPPING);
    assert_int_equal(in(nat, 4, "203.0.113.1:1", &c), NAT_PASS);
    assert_int_equal(nat_stats(nat).evicted, 1);
    assert_int_equal(nat_stats(nat).live, 2);
    nat_free(nat);
}

// One host that sends to ever more remotes cannot fill the memory with filter entries.
static void test_nat_filters_are_bounded(void **state)
{
    (void)state;
    for (int evict = 0; evict < 2; evict++) {
        struct nat_config config = plain();
        config.mappings_max = 1;
        config.mappings_evict = evict;
        struct nat *nat = nat_of(&config);
        struct addr src = at("10.0.0.2:5000"), dst = at("203.0.113.1:1"), mapped = src;
        unsigned passed = 0;
        for (unsigned i = 1; i <= 2000; i++) {
            src = at("10.0.0.2:5000");
            dst.port = (uint16_t)i;
            passed += nat_out(nat, 0, &src, &dst) == NAT_PASS;
            if (i == 1)
                mapped = src;
        }
        assert_int_equal(passed, evict ? 2000 : 1024);
        assert_int_equal(in(nat, 0, "203.0.113.1:1", &mapped), evict ? NAT_FILTERED : NAT_PASS);
        assert_int_equal(in(nat, 0, "203.0.113.1:2000", &mapped), evict ? NAT_PASS : NAT_FILTERED);
        nat_free(nat);
    }
}

static void test_nat_without_an_address_has_no_port(void **state)
{
    (void)state;
    struct nat_config config = nat_config_default();
    struct nat *nat = nat_of(&config);
    assert_int_equal(out_refused(nat, 0, "10.0.0.2:5000", "203.0.113.1:1"), NAT_NO_PORT);
    nat_free(nat);
}

// ---------------------------------------------------------------------------------------- changes

static void test_nat_reboot_forgets_every_mapping(void **state)
{
    (void)state;
    struct nat_config config = plain();
    struct nat *nat = nat_of(&config);
    struct addr mapped = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    nat_reboot(nat);
    assert_int_equal(in(nat, 0, "203.0.113.1:1", &mapped), NAT_NO_MAPPING);
    assert_int_equal(nat_stats(nat).live, 0);
    struct addr again = out(nat, 0, "10.0.0.3:5000", "203.0.113.1:1");
    is(&again, "198.51.100.1:5000"); // the port is free again
    nat_free(nat);
}

static void test_nat_rebind_moves_to_the_new_address(void **state)
{
    (void)state;
    struct nat_config config = plain();
    struct nat *nat = nat_of(&config);
    struct addr before = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    struct ip to = ip_v4(198, 51, 100, 77);
    nat_rebind(nat, &to);
    struct addr after = out(nat, 0, "10.0.0.2:5000", "203.0.113.1:1");
    is(&after, "198.51.100.77:5000");
    assert_int_equal(in(nat, 0, "203.0.113.1:1", &before), NAT_NO_MAPPING);
    reaches(nat, 0, "203.0.113.1:1", &after, "10.0.0.2:5000");
    nat_free(nat);
}

// ---------------------------------------------------------------------------------------- a model

// A slow and simple NAT of the same kind (endpoint-independent mapping, address-and-port-dependent
// filter): a list of permissions with their ages, to hold against ten thousand random steps.
struct model {
    struct {
        nanotime used;
        bool there;
    } mapping[16], filter[16][16];
    struct addr external[16];
};

static void model_age(struct model *model, nanotime now, nanotime lifetime)
{
    for (int h = 0; h < 16; h++) {
        model->mapping[h].there &= now - model->mapping[h].used < lifetime;
        for (int r = 0; r < 16; r++)
            model->filter[h][r].there &=
                model->mapping[h].there && now - model->filter[h][r].used < lifetime;
    }
}

static void test_nat_agrees_with_a_simple_model(void **state)
{
    (void)state;
    struct nat_config config = plain();
    config.refresh_in = true;
    config.lifetime = 40;
    struct nat *nat = nat_of(&config);
    struct rng rng = rng_seed(3, "model");
    struct model model = {0};
    nanotime now = 0;
    for (int step = 0; step < 10000; step++) {
        now += (nanotime)rng_below(&rng, 4);
        model_age(&model, now, config.lifetime);
        unsigned h = (unsigned)rng_below(&rng, 16), r = (unsigned)rng_below(&rng, 16);
        struct addr inside = {ip_v4(10, 0, 0, (uint8_t)h), 5000};
        struct addr remote = {ip_v4(203, 0, 113, (uint8_t)(r / 4)), (uint16_t)(1000 + r % 4)};
        if (rng_below(&rng, 2)) {
            struct addr src = inside, dst = remote;
            assert_int_equal(nat_out(nat, now, &src, &dst), NAT_PASS);
            if (model.mapping[h].there)
                assert_true(addr_equal(&src, &model.external[h]));
            model.external[h] = src;
        } else {
            if (model.external[h].port == 0)
                continue;
            // An endpoint given away after expiry is somebody else's now.
            bool taken = false;
            for (unsigned i = 0; i < 16; i++)
                taken |= i != h && model.mapping[i].there &&
                         addr_equal(&model.external[i], &model.external[h]);
            if (taken)
                continue;
            struct addr dst = model.external[h];
            enum nat_outcome expected = !model.mapping[h].there     ? NAT_NO_MAPPING
                                        : !model.filter[h][r].there ? NAT_FILTERED
                                                                    : NAT_PASS;
            assert_int_equal(nat_in(nat, now, &remote, &dst), expected);
            if (expected != NAT_PASS)
                continue;
            assert_true(addr_equal(&dst, &inside));
        }
        model.mapping[h].there = model.filter[h][r].there = true;
        model.mapping[h].used = model.filter[h][r].used = now;
    }
    nat_free(nat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nat_mapping_is_reused_as_its_dependence_says),
        cmocka_unit_test(test_nat_filter_admits_as_its_dependence_says),
        cmocka_unit_test(test_nat_presets_are_the_four_classic_types),
        cmocka_unit_test(test_nat_preserves_the_port_while_it_is_free),
        cmocka_unit_test(test_nat_symmetric_second_mapping_cannot_have_the_same_port),
        cmocka_unit_test(test_nat_overload_tells_hosts_apart_by_the_remote),
        cmocka_unit_test(test_nat_overload_keeps_the_port_until_its_last_host_is_gone),
        cmocka_unit_test(test_nat_overload_answer_outlives_the_host_it_was_taken_from),
        cmocka_unit_test(test_nat_sequential_gives_the_next_free_port),
        cmocka_unit_test(test_nat_sequential_begins_again_after_the_last_port),
        cmocka_unit_test(test_nat_parity_is_kept_while_it_can_be),
        cmocka_unit_test(test_nat_every_port_of_the_range_can_be_given),
        cmocka_unit_test(test_nat_pooling_paired_keeps_a_host_on_one_address),
        cmocka_unit_test(test_nat_hairpin_shows_the_source_its_mode_says),
        cmocka_unit_test(test_nat_hairpin_is_filtered_like_any_packet),
        cmocka_unit_test(test_nat_mapping_expires_when_idle_for_its_lifetime),
        cmocka_unit_test(test_nat_refreshes_in_the_directions_it_is_told),
        cmocka_unit_test(test_nat_filtered_packets_refresh_nothing),
        cmocka_unit_test(test_nat_filter_entries_age_on_their_own),
        cmocka_unit_test(test_nat_lifetime_changes_for_what_is_there),
        cmocka_unit_test(test_nat_full_table_refuses),
        cmocka_unit_test(test_nat_full_table_evicts_the_mapping_idle_longest),
        cmocka_unit_test(test_nat_filters_are_bounded),
        cmocka_unit_test(test_nat_without_an_address_has_no_port),
        cmocka_unit_test(test_nat_reboot_forgets_every_mapping),
        cmocka_unit_test(test_nat_rebind_moves_to_the_new_address),
        cmocka_unit_test(test_nat_agrees_with_a_simple_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
