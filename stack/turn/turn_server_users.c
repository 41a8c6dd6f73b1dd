// Who may use the server: accounts, the long-term credential checks, nonces.
#include "stack/turn/turn_server_priv.h"

#include "base/arena.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define FEATURES STUN_FEATURE_PASSWORD_ALGORITHMS

// PASSWORD-ALGORITHMS in order of preference: SHA-256, then MD5, neither with parameters.
static const uint8_t algorithms[] = {0, STUN_SHA256, 0, 0, 0, STUN_MD5, 0, 0};

static char *text_copy(const char *from)
{
    size_t size = strlen(from) + 1;
    return memcpy(mem_alloc(size), from, size);
}

static int compare_names(const void *a, const void *b)
{
    const struct turn_account *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static int compare_hashes(const void *a, const void *b)
{
    const struct turn_account *const *left = a, *const *right = b;
    return memcmp((*left)->hash, (*right)->hash, STUN_USERHASH_LEN);
}

void turn_users_init(struct turn_users *users, const struct turn_server_config *config)
{
    *users = (struct turn_users){.count = config->users_count,
                                 .realm = text_copy(config->realm ? config->realm : "simrtc")};
    users->accounts = mem_zero(users->count, sizeof *users->accounts);
    users->by_hash = mem_zero(users->count, sizeof *users->by_hash);
    for (unsigned i = 0; i < users->count; i++) {
        struct turn_account *account = &users->accounts[i];
        account->name = text_copy(config->users[i].name);
        account->password = text_copy(config->users[i].password);
        stun_userhash(bytes_text(account->name), bytes_text(users->realm), account->hash);
    }
    qsort(users->accounts, users->count, sizeof *users->accounts, compare_names);
    for (unsigned i = 0; i < users->count; i++)
        users->by_hash[i] = &users->accounts[i];
    qsort(users->by_hash, users->count, sizeof(struct turn_account *), compare_hashes);
}

void turn_users_fini(struct turn_users *users)
{
    for (unsigned i = 0; i < users->count; i++) {
        struct turn_account *account = &users->accounts[i];
        OPENSSL_cleanse(account->password, strlen(account->password));
        free(account->name);
        free(account->password);
        stun_key_free(account->md5);
        stun_key_free(account->sha256);
    }
    free(users->accounts);
    free(users->by_hash);
    free(users->realm);
}

static struct turn_account *account_of(const struct turn_users *users, const struct stun_msg *msg)
{
    if (stun_has(msg, STUN_USERHASH)) {
        struct turn_account wanted, *key = &wanted;
        memcpy(wanted.hash, msg->userhash.at, sizeof wanted.hash);
        struct turn_account **found =
            bsearch(&key, users->by_hash, users->count, sizeof key, compare_hashes);
        return found ? *found : NULL;
    }
    char name[STUN_TEXT_MAX + 1];
    struct bytes username = msg->username;
    if ((username.len && memchr(username.at, 0, username.len)) ||
        !bytes_copy_text(username, name, sizeof name))
        return NULL;
    struct turn_account wanted = {.name = name};
    return bsearch(&wanted, users->accounts, users->count, sizeof wanted, compare_names);
}

static struct stun_key *key_of(const struct turn_users *users, struct turn_account *account,
                               enum stun_password_algorithm algorithm)
{
    struct stun_key **key = algorithm == STUN_MD5 ? &account->md5 : &account->sha256;
    if (!*key)
        *key = stun_key_new_long_term(bytes_text(account->name), bytes_text(users->realm),
                                      bytes_text(account->password), algorithm);
    return *key;
}

// RFC 8489 9.2.4: neither attribute stands for MD5; else the list must be ours and the choice one
// of it.
static bool read_algorithm(const struct stun_msg *msg, enum stun_password_algorithm *out)
{
    bool list = stun_has(msg, STUN_PASSWORD_ALGORITHMS);
    bool choice = stun_has(msg, STUN_PASSWORD_ALGORITHM);
    *out = STUN_MD5;
    if (!list && !choice)
        return true;
    if (!list || !choice ||
        !bytes_equal(msg->password_algorithms, bytes_of(algorithms, sizeof algorithms)) ||
        !stun_algorithms_has(msg->password_algorithms, msg->password_algorithm))
        return false;
    *out = (enum stun_password_algorithm)msg->password_algorithm;
    return true;
}

unsigned turn_server_authenticate(struct turn_server *server, nanotime now,
                                  const struct datagram *request, const struct stun_msg *msg,
                                  struct turn_login *out)
{
    *out = (struct turn_login){0};
    bool sha1 = stun_has(msg, STUN_MESSAGE_INTEGRITY);
    bool sha256 = stun_has(msg, STUN_MESSAGE_INTEGRITY_SHA256);
    if (!sha1 && !sha256)
        return STUN_UNAUTHENTICATED;
    bool named = stun_has(msg, STUN_USERNAME) || stun_has(msg, STUN_USERHASH);
    if (!named || !stun_has(msg, STUN_REALM) || !stun_has(msg, STUN_NONCE))
        return STUN_BAD_REQUEST;
    enum stun_password_algorithm algorithm;
    if (!read_algorithm(msg, &algorithm))
        return STUN_BAD_REQUEST;
    struct turn_account *account = account_of(&server->users, msg);
    if (!account || !bytes_is(msg->realm, server->users.realm))
        return STUN_UNAUTHENTICATED;
    struct stun_key *key = key_of(&server->users, account, algorithm);
    if (sha256 ? !stun_check_integrity256(msg, key) : !stun_check_integrity(msg, key))
        return STUN_UNAUTHENTICATED;

    nanotime made_at;
    nanotime lifetime = server->config.nonce_lifetime_s * TIME_S;
    if (!stun_nonce_check(server->secret, FEATURES, &request->from, msg->nonce, &made_at) ||
        now - made_at >= lifetime) {
        server->stats.stale_nonces++;
        return STUN_STALE_NONCE;
    }
    // RFC 8489 9.2.4: SHA-256 signs the answer, unless the request knew nothing of algorithms.
    bool knows = stun_has(msg, STUN_PASSWORD_ALGORITHMS);
    *out = (struct turn_login){.account = account, .key = key, .sha256 = knows};
    return 0;
}

void turn_server_add_challenge(struct turn_server *server, nanotime now, const struct addr *client,
                               struct stun_writer *s)
{
    char nonce[STUN_NONCE_LEN];
    stun_nonce_make(server->secret, FEATURES, now, client, nonce);
    stun_add_bytes(s, STUN_REALM, bytes_text(server->users.realm));
    stun_add_bytes(s, STUN_NONCE, bytes_of(nonce, sizeof nonce));
    stun_add_bytes(s, STUN_PASSWORD_ALGORITHMS, bytes_of(algorithms, sizeof algorithms));
}
