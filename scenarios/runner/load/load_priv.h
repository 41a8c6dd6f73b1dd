// What the files of the loader share: tables of fields, typed decoding, names.
//
// A mapping of the file is decoded by one table: key, kind, where it goes, limits. What needs more
// than a table is kept as a node (FIELD_NODE) and decoded by the caller.
#ifndef SCENARIOS_LOAD_PRIV_H
#define SCENARIOS_LOAD_PRIV_H

#include "scenarios/runner/load/names.h"
#include "scenarios/runner/load/scenario.h"
#include "scenarios/runner/load/yaml.h"

struct load_range {
    uint32_t next, last; // IPv4 addresses in host order
};

enum named_kind { NAMED_LAN, NAMED_SERVER, NAMED_PEER };

struct load {
    struct arena *arena;
    struct err *err;
    struct scenario_set *set;  // whose clips are shared
    struct scenario *scenario; // being filled
    struct names names;        // of LANs, servers and peers: kind and index
    struct names labels;       // of channels
    struct names tracks;       // labels of them
    struct names used;         // addresses, by segment
    struct names in_session;   // peers, by name
    // The arrays of the scenario, while they may still be written.
    struct scenario_lan *lans;
    struct scenario_server *servers;
    struct scenario_peer *peers;
    const struct yaml_node *lans_node, *servers_node, *peers_node;
    struct load_range *lan_ranges; // addresses of each LAN that are left
    struct load_range gateway_range, more_range;
    // Where to complain: the value of `behind`, `at` or `prefix` of each LAN, else its key.
    struct err_mark *lan_marks;
};

// ---------------------------------------------------------------------------------------- fields

enum field_kind {
    FIELD_NODE,     // const struct yaml_node *, for the caller
    FIELD_BOOL,     // bool
    FIELD_NOT,      // bool, the other way round
    FIELD_U16,      // min to max
    FIELD_U32,      // min to max
    FIELD_UNSIGNED, // min to max
    FIELD_U64,      // min to max
    FIELD_TIME,     // nanotime, min to max
    FIELD_SECONDS,  // uint32_t, whole seconds, min to max
    FIELD_PERCENT,  // uint32_t per billion
    FIELD_SIZE,     // uint32_t bytes, min to max
    FIELD_SIZE_U64, // uint64_t bytes, min to max
    FIELD_SIZE_T,   // size_t bytes, min to max
    FIELD_RATE,     // uint64_t bits a second
    FIELD_TEXT,     // const char *, not empty
    FIELD_BYTES,    // struct bytes, at most max
    FIELD_WORD,     // an enum: one of words
    FIELD_IP,       // struct ip, IPv4
    FIELD_PREFIX,   // struct ip_prefix, IPv4
};

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
    uint64_t min, max;        // max 0: as the type allows
    const char *const *words; // FIELD_WORD: the number of a word is the enum's value; NULL-ended
};
#define FIELDS_MAX 48

// Decode `node`, a mapping or nothing, into *target. `what` is "a link", for messages. `set`, if
// not NULL, gets a bit for each field given. Fields that are not given stay as they are.
bool load_fields(struct load *load, const struct yaml_node *node, const char *what,
                 const struct field *fields, void *target, uint64_t *set);
// One value by its field.
bool load_value(struct load *load, const struct yaml_node *node, const struct field *field,
                void *target);
// A whole field copied from one struct to another.
void load_field_copy(const struct field *field, void *to, const void *from);
bool load_field_equal(const struct field *field, const void *a, const void *b);

// "expected `what`, got ...", at the node. Always false.
bool load_expected(struct load *load, const struct yaml_node *node, const char *what);
// The same, with the nearest of `words`.
bool load_expected_word(struct load *load, const struct yaml_node *node, const char *what,
                        const char *const *words);
// A sequence of at most `max`, or nothing.
bool load_is_list(struct load *load, const struct yaml_node *node, const char *what, unsigned max);
// A mapping of at most `max`, or nothing.
bool load_is_mapping(struct load *load, const struct yaml_node *node, const char *what,
                     unsigned max);
// The number of a word in a NULL-ended list, or -1.
int load_word_find(struct bytes word, const char *const *words);
// "0.5" times `unit`, exactly. False: no number, finer than one, or above `max`.
bool load_decimal(struct bytes text, uint64_t unit, uint64_t max, uint64_t *out);
const char *load_text(struct load *load, struct bytes text);

// ------------------------------------------------------------------------------------------ names

uint32_t load_named(enum named_kind kind, uint32_t index);
// The index of a name of one kind. `what` is "a LAN", "a peer", "a server".
bool load_name(struct load *load, const struct yaml_node *node, enum named_kind kind,
               const char *what, unsigned *index);
// A LAN's index, or SCENARIO_WAN for "wan".
bool load_place(struct load *load, const struct yaml_node *node, int *lan);
// All names of a kind, NULL-ended, in the order of the file; with "wan" first when `wan`.
const char *const *load_names_of(struct load *load, enum named_kind kind, bool wan);

// ------------------------------------------------------------------------------------- the parts

extern const struct field load_link_fields[]; // of struct link_config
bool load_link(struct load *load, const struct yaml_node *node, struct link_config *link);
bool load_link_equal(const struct link_config *a, const struct link_config *b);
bool load_uplink(struct load *load, const struct yaml_node *node, struct scenario_uplink *uplink,
                 uint64_t *set_up, uint64_t *set_down);
bool load_nat(struct load *load, const struct yaml_node *node, bool *has_nat,
              struct nat_config *nat);
bool load_firewall(struct load *load, const struct yaml_node *node, bool *has_firewall,
                   struct firewall_config *firewall);

// Names of one section, each once, none of another section's.
bool load_collect(struct load *load, const struct yaml_node *node, enum named_kind kind,
                  const char *what, unsigned max);
// "3478" or "1024-65535".
bool load_ports(struct load *load, const struct yaml_node *node, uint16_t *min, uint16_t *max);

bool load_network(struct load *load, const struct yaml_node *network); // after the names
bool load_servers(struct load *load);
bool load_peers(struct load *load);
bool load_addresses(struct load *load); // after servers and peers are placed
// RFC 1122 3.2.1.3: not of "this" network, loopback, multicast, reserved or broadcast.
bool load_is_host(const struct ip *ip);
// A moment of the run, which ends at its limit.
bool load_moment(struct load *load, const struct yaml_node *node, nanotime at);
// The new address of a rebind: checked when the file gives it, else a fresh one.
bool load_rebind_address(struct load *load, struct scenario_action *action, struct err_mark mark);
bool load_sessions(struct load *load, const struct yaml_node *one, const struct yaml_node *many);
// A channel's keys, also those of `more`: open-channel's own.
bool load_channel(struct load *load, const struct yaml_node *node, unsigned from,
                  const struct scenario_session *session, struct scenario_channel *channel);
// Audio and video of a session (load_media.c).
struct load_media_nodes {
    const struct yaml_node *audio, *video, *tracks, *bandwidth;
};
bool load_media(struct load *load, const struct load_media_nodes *nodes,
                struct scenario_session *session);
bool load_media_command(struct load *load, const struct yaml_node *node,
                        enum media_command_kind kind, struct scenario_action *action);
bool load_clock_skew(struct load *load, const struct yaml_node *node, int64_t *ppb);
bool load_timeline(struct load *load, const struct yaml_node *node);

// One cell: decode the tree into a scenario of the set.
struct load_cell {
    const char *file;
    const char *cell; // "" without a matrix
    enum scenario_outcome outcome;
    const char *reason;
    const char *pair[2]; // see struct scenario, also the next
    const struct scenario_limit *limits;
    unsigned limits_count;
};
bool load_scenario(struct scenario_set *set, const struct yaml_node *root,
                   const struct load_cell *cell, struct err *err);
// Every cell of the file (matrix.c).
bool load_matrix(struct scenario_set *set, const struct yaml_node *root, const char *file,
                 struct err *err);

#endif
