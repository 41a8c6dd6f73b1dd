// The simulated NATs as an RFC 5780 client sees them: a probe through the network must find exactly
// the behaviour that was configured. Neither side knows the other's code.
#include "base/arena.h"
#include "simnet/world.h"
#include "stack/stun/stun_client.h"
#include "stack/stun/stun_server.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

struct lab {
    struct world *world;
    struct host *client, *server;
    struct addr local;
    struct stun_server_config config;
};

static struct lab lab_new(const struct nat_config *nat)
{
    static const struct link_config wire = {.delay = 5 * TIME_MS};
    struct lab lab = {0};
    struct world_config config = {.seed = 1, .wakers = 1};
    struct segment_config wan = {.prefix = {{.ip = ip_v4(0, 0, 0, 0)}}};
    struct segment_config lan = {.prefix = {{.ip = ip_v4(192, 168, 1, 0), .bits = 24}}};
    struct gateway_config gateway = {
        .inside_ip = ip_v4(192, 168, 1, 1), .has_nat = true, .nat = *nat};

    lab.world = world_new(&config);
    gateway.outside = world_add_segment(lab.world, "wan", &wan);
    gateway.inside = world_add_segment(lab.world, "lan", &lan);
    gateway.nat.external[0] = ip_v4(198, 18, 0, 1);
    gateway.nat.external_count = 1;
    assert_non_null(world_add_gateway(lab.world, "nat", &gateway));

    lab.client = world_add_host(lab.world, "client");
    lab.local = (struct addr){ip_v4(192, 168, 1, 2), 5000};
    assert_true(host_attach(lab.client, gateway.inside, &lab.local.ip, &wire, &wire));

    lab.server = world_add_host(lab.world, "server");
    lab.config = (struct stun_server_config){.listen = {ip_v4(203, 0, 113, 1), 3478},
                                             .other = {ip_v4(203, 0, 113, 2), 3479}};
    const struct addr *a = &lab.config.listen, *b = &lab.config.other;
    assert_true(host_attach(lab.server, gateway.outside, &a->ip, &wire, &wire));
    assert_true(host_attach(lab.server, gateway.outside, &b->ip, &wire, &wire));
    struct addr sockets[] = {*a, *b, {a->ip, b->port}, {b->ip, a->port}};
    for (int i = 0; i < 4; i++)
        assert_true(host_bind(lab.server, &sockets[i]));
    return lab;
}

// One request from `port` of the client; the answer, or STUN_CLIENT_TIMED_OUT.
static struct stun_client_result ask(struct lab *lab, uint16_t port, const struct addr *server,
                                     bool change_ip, bool change_port)
{
    struct addr local = {lab->local.ip, port};
    struct stun_client_config config = {.local = local,
                                        .server = *server,
                                        .change_ip = change_ip,
                                        .change_port = change_port,
                                        .rng = rng_seed(port, "probe")};
    struct stun_client *client = stun_client_new(&config, world_now(lab->world));
    struct datagram datagram;
    struct world_event event;
    uint8_t buffer[STUN_MESSAGE_MAX];
    host_bind(lab->client, &local); // may be bound by an earlier question
    nanotime limit = world_now(lab->world) + 60 * TIME_S;

    while (stun_client_result(client).state == STUN_CLIENT_ASKING) {
        while (stun_client_poll(client, world_now(lab->world), &datagram))
            host_send(lab->client, &datagram.from, &datagram.to, datagram.bytes);
        world_wake_at(lab->world, 0, stun_client_deadline(client));
        if (!world_next(lab->world, limit, &event))
            break;
        struct stun_msg msg;
        if (event.kind == WORLD_DATAGRAM && event.host == lab->client)
            stun_client_input(client, world_now(lab->world), &event.datagram);
        else if (event.kind == WORLD_DATAGRAM &&
                 stun_decode(event.datagram.bytes, &msg) == STUN_OK &&
                 stun_server_answer(&lab->config, &event.datagram, &msg, buffer, sizeof buffer,
                                    &datagram))
            host_send(lab->server, &datagram.from, &datagram.to, datagram.bytes);
    }
    struct stun_client_result result = stun_client_result(client);
    stun_client_free(client);
    return result;
}

// RFC 5780 4.3: the same socket asks the server's two addresses, then its two ports.
static enum nat_dependence probe_mapping(struct lab *lab, uint16_t port)
{
    struct addr other_ip = {lab->config.other.ip, lab->config.listen.port};
    struct stun_client_result one = ask(lab, port, &lab->config.listen, false, false);
    struct stun_client_result two = ask(lab, port, &other_ip, false, false);
    assert_int_equal(one.state, STUN_CLIENT_ANSWERED);
    assert_int_equal(two.state, STUN_CLIENT_ANSWERED);
    if (addr_equal(&one.mapped, &two.mapped))
        return NAT_ENDPOINT_INDEPENDENT;
    struct stun_client_result three = ask(lab, port, &lab->config.other, false, false);
    assert_int_equal(three.state, STUN_CLIENT_ANSWERED);
    return addr_equal(&two.mapped, &three.mapped) ? NAT_ADDRESS_DEPENDENT
                                                  : NAT_ADDRESS_AND_PORT_DEPENDENT;
}

// RFC 5780 4.4: a fresh socket, which has sent to the primary address alone, asks for answers from
// elsewhere.
static enum nat_dependence probe_filtering(struct lab *lab, uint16_t port)
{
    assert_int_equal(ask(lab, port, &lab->config.listen, false, false).state, STUN_CLIENT_ANSWERED);
    if (ask(lab, port, &lab->config.listen, true, true).state == STUN_CLIENT_ANSWERED)
        return NAT_ENDPOINT_INDEPENDENT;
    if (ask(lab, port, &lab->config.listen, false, true).state == STUN_CLIENT_ANSWERED)
        return NAT_ADDRESS_DEPENDENT;
    return NAT_ADDRESS_AND_PORT_DEPENDENT;
}

static void test_nat_probe_finds_what_was_configured(void **state)
{
    (void)state;
    static const enum nat_ports ports[] = {NAT_PORTS_PRESERVE, NAT_PORTS_SEQUENTIAL,
                                           NAT_PORTS_RANDOM};
    for (unsigned i = 0; i < 27; i++) {
        struct nat_config config = nat_config_default();
        config.mapping = (enum nat_dependence)(i % 3);
        config.filtering = (enum nat_dependence)(i / 3 % 3);
        config.ports = ports[i / 9];
        struct lab lab = lab_new(&config);
        enum nat_dependence mapping = probe_mapping(&lab, 5000);
        enum nat_dependence filtering = probe_filtering(&lab, 6000);
        if (mapping != config.mapping || filtering != config.filtering)
            fail_msg("configured %s/%s, the probe found %s/%s", nat_dependence_name(config.mapping),
                     nat_dependence_name(config.filtering), nat_dependence_name(mapping),
                     nat_dependence_name(filtering));
        world_free(lab.world);
    }
}

static void test_nat_probe_of_the_classic_types(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum nat_dependence mapping, filtering;
    } classic[] = {
        {"full-cone", NAT_ENDPOINT_INDEPENDENT, NAT_ENDPOINT_INDEPENDENT},
        {"restricted-cone", NAT_ENDPOINT_INDEPENDENT, NAT_ADDRESS_DEPENDENT},
        {"port-restricted", NAT_ENDPOINT_INDEPENDENT, NAT_ADDRESS_AND_PORT_DEPENDENT},
        {"symmetric", NAT_ADDRESS_AND_PORT_DEPENDENT, NAT_ADDRESS_AND_PORT_DEPENDENT},
    };
    for (size_t i = 0; i < sizeof classic / sizeof classic[0]; i++) {
        struct nat_config config = nat_config_default();
        assert_true(nat_preset(&config, bytes_text(classic[i].name)));
        struct lab lab = lab_new(&config);
        assert_int_equal(probe_mapping(&lab, 5000), classic[i].mapping);
        assert_int_equal(probe_filtering(&lab, 6000), classic[i].filtering);
        world_free(lab.world);
    }
}

static void let_pass(struct lab *lab, nanotime span)
{
    struct world_event event;
    nanotime until = world_now(lab->world) + span;
    while (world_next(lab->world, until, &event))
        ;
}

// A mapping that ran out is a new one: the probe of RFC 5780 4.6 in its simplest form.
static void test_nat_probe_lifetime(void **state)
{
    (void)state;
    struct nat_config config = nat_config_default();
    config.lifetime = 30 * TIME_S;
    config.ports = NAT_PORTS_SEQUENTIAL;
    struct lab lab = lab_new(&config);
    struct stun_client_result first = ask(&lab, 5000, &lab.config.listen, false, false);
    let_pass(&lab, 29 * TIME_S);
    struct stun_client_result kept = ask(&lab, 5000, &lab.config.listen, false, false);
    let_pass(&lab, 31 * TIME_S);
    struct stun_client_result renewed = ask(&lab, 5000, &lab.config.listen, false, false);
    assert_true(addr_equal(&first.mapped, &kept.mapped));
    assert_false(addr_equal(&first.mapped, &renewed.mapped));
    world_free(lab.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nat_probe_finds_what_was_configured),
        cmocka_unit_test(test_nat_probe_of_the_classic_types),
        cmocka_unit_test(test_nat_probe_lifetime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
