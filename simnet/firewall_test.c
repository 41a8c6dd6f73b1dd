#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "simnet/firewall.h"

#define UDP 17
#define TCP 6

static struct addr at(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

static const uint8_t media[] = {0x80}, stun[] = {0x00, 0x01}, dtls[] = {22};

struct flow {
    uint8_t protocol;
    const char *inside, *outside;
    struct bytes payload;
};

static enum firewall_outcome check(struct firewall *firewall, nanotime now,
                                   enum firewall_direction direction, struct flow flow)
{
    struct addr inside = at(flow.inside), outside = at(flow.outside);
    return firewall_check(firewall, now, direction, flow.protocol, &inside, &outside, flow.payload);
}

static struct flow udp(const char *inside, const char *outside)
{
    return (struct flow){UDP, inside, outside, bytes_of(media, sizeof media)};
}

static struct flow tcp(const char *inside, const char *outside)
{
    return (struct flow){TCP, inside, outside, {0}};
}

static struct firewall *preset(const char *name)
{
    struct firewall_config config = {0};
    assert_true(firewall_preset(&config, bytes_text(name)));
    return firewall_new(&config);
}

static void test_firewall_home_lets_out_and_answers_in(void **state)
{
    (void)state;
    struct firewall *firewall = preset("home");
    struct flow flow = udp("198.51.100.1:5000", "203.0.113.1:1000");
    assert_int_equal(check(firewall, 0, FIREWALL_IN, flow), FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, flow), FIREWALL_PASS);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, flow), FIREWALL_PASS);
    // Neither another port, nor another protocol, is that flow.
    assert_int_equal(check(firewall, 0, FIREWALL_IN, udp("198.51.100.1:5000", "203.0.113.1:1001")),
                     FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, tcp("198.51.100.1:5000", "203.0.113.1:1000")),
                     FIREWALL_REFUSED);
    firewall_free(firewall);
}

static void test_firewall_udp_blocked_leaves_tcp(void **state)
{
    (void)state;
    struct firewall *firewall = preset("udp-blocked");
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, udp("10.0.0.1:1", "203.0.113.1:443")),
                     FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, udp("10.0.0.1:1", "203.0.113.1:443")),
                     FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, tcp("10.0.0.1:1", "203.0.113.1:9")),
                     FIREWALL_PASS);
    firewall_free(firewall);
}

static void test_firewall_corporate_lets_out_web_alone(void **state)
{
    (void)state;
    struct firewall *firewall = preset("corporate");
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, udp("10.0.0.1:1", "203.0.113.1:443")),
                     FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, tcp("10.0.0.1:1", "203.0.113.1:3478")),
                     FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, tcp("10.0.0.1:1", "203.0.113.1:443")),
                     FIREWALL_PASS);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, tcp("10.0.0.1:2", "203.0.113.1:80")),
                     FIREWALL_PASS);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, tcp("10.0.0.1:1", "203.0.113.1:443")),
                     FIREWALL_PASS);
    firewall_free(firewall);
    struct firewall_config config;
    assert_false(firewall_preset(&config, bytes_text("castle")));
}

static void test_firewall_first_rule_that_matches_decides(void **state)
{
    (void)state;
    struct firewall_config config = {.allow_out = true};
    struct ip_prefix net;
    assert_true(ip_prefix_parse(bytes_text("203.0.113.0/24"), &net));
    config.rules[0] = (struct firewall_rule){
        .action = FIREWALL_ALLOW, .remote = net, .port_min = 3478, .port_max = 3479};
    config.rules[1] = (struct firewall_rule){.action = FIREWALL_DENY, .remote = net};
    config.rules_count = 2;
    struct firewall *firewall = firewall_new(&config);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, udp("10.0.0.1:1", "203.0.113.1:3479")),
                     FIREWALL_PASS);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, udp("10.0.0.1:1", "203.0.113.1:3480")),
                     FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, udp("10.0.0.1:1", "192.0.2.1:3480")),
                     FIREWALL_PASS);
    // The rules are about the way out: in, nothing matches.
    assert_int_equal(check(firewall, 0, FIREWALL_IN, udp("10.0.0.1:9", "203.0.113.1:3479")),
                     FIREWALL_REFUSED);
    firewall_free(firewall);
}

static void test_firewall_allowed_in_may_be_answered(void **state)
{
    (void)state;
    struct firewall_config config = {.allow_in = true};
    struct firewall *firewall = firewall_new(&config);
    struct flow flow = udp("10.0.0.1:1", "203.0.113.1:1");
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, flow), FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, flow), FIREWALL_PASS);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, flow), FIREWALL_PASS);
    firewall_free(firewall);
}

// RFC 7983 7: 0 to 3 is STUN, 20 to 63 is DTLS.
static void test_firewall_inspects_every_packet_of_a_flow(void **state)
{
    (void)state;
    struct firewall_config config = {.allow_out = true};
    config.rules[0] = (struct firewall_rule){
        .direction = FIREWALL_BOTH, .action = FIREWALL_DENY, .payload = FIREWALL_DTLS};
    config.rules_count = 1;
    struct firewall *firewall = firewall_new(&config);
    struct flow flow = udp("10.0.0.1:1", "203.0.113.1:1");
    flow.payload = bytes_of(stun, sizeof stun);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, flow), FIREWALL_PASS);
    flow.payload = bytes_of(dtls, sizeof dtls);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, flow), FIREWALL_REFUSED);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, flow), FIREWALL_REFUSED);
    flow.payload = bytes_of(media, sizeof media);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, flow), FIREWALL_PASS);
    flow.payload = (struct bytes){0};
    assert_int_equal(check(firewall, 0, FIREWALL_IN, flow), FIREWALL_PASS);
    firewall_free(firewall);
}

static void test_firewall_stun_alone_can_be_denied(void **state)
{
    (void)state;
    struct firewall_config config = {.allow_out = true};
    config.rules[0] = (struct firewall_rule){.action = FIREWALL_DENY, .payload = FIREWALL_STUN};
    config.rules_count = 1;
    struct firewall *firewall = firewall_new(&config);
    struct flow flow = udp("10.0.0.1:1", "203.0.113.1:1");
    flow.payload = bytes_of(stun, sizeof stun);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, flow), FIREWALL_REFUSED);
    flow.payload = bytes_of(dtls, sizeof dtls);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, flow), FIREWALL_PASS);
    firewall_free(firewall);
}

static void test_firewall_flow_is_forgotten_when_idle(void **state)
{
    (void)state;
    struct firewall *firewall = preset("home"); // 60 s
    struct flow flow = udp("10.0.0.1:1", "203.0.113.1:1");
    check(firewall, 0, FIREWALL_OUT, flow);
    assert_int_equal(check(firewall, 59 * TIME_S, FIREWALL_IN, flow), FIREWALL_PASS);
    assert_int_equal(check(firewall, 119 * TIME_S - 1, FIREWALL_IN, flow), FIREWALL_PASS);
    assert_int_equal(check(firewall, 180 * TIME_S, FIREWALL_IN, flow), FIREWALL_REFUSED);
    firewall_free(firewall);
}

static void test_firewall_full_refuses_new_flows(void **state)
{
    (void)state;
    struct firewall_config config = {.allow_out = true, .flows_max = 1};
    struct firewall *firewall = firewall_new(&config);
    struct flow first = udp("10.0.0.1:1", "203.0.113.1:1"),
                second = udp("10.0.0.1:2", "203.0.113.1:1");
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, first), FIREWALL_PASS);
    assert_int_equal(check(firewall, 0, FIREWALL_OUT, second), FIREWALL_FULL);
    assert_int_equal(check(firewall, 0, FIREWALL_IN, first), FIREWALL_PASS);
    assert_int_equal(check(firewall, 60 * TIME_S, FIREWALL_OUT, second), FIREWALL_PASS);
    firewall_free(firewall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_firewall_home_lets_out_and_answers_in),
        cmocka_unit_test(test_firewall_udp_blocked_leaves_tcp),
        cmocka_unit_test(test_firewall_corporate_lets_out_web_alone),
        cmocka_unit_test(test_firewall_first_rule_that_matches_decides),
        cmocka_unit_test(test_firewall_allowed_in_may_be_answered),
        cmocka_unit_test(test_firewall_inspects_every_packet_of_a_flow),
        cmocka_unit_test(test_firewall_stun_alone_can_be_denied),
        cmocka_unit_test(test_firewall_flow_is_forgotten_when_idle),
        cmocka_unit_test(test_firewall_full_refuses_new_flows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
