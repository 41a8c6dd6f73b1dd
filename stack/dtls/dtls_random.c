// OpenSSL's provider, replaced: its own algorithms, less the key types and decoders that no
// certificate of WebRTC needs, and one RAND algorithm, which draws from base/libenv.h. No
// deprecated call, nothing of the system's entropy. Not here for others: decoding keys and
// certificates from files (PEM, private keys) needs decoders that are left out.
#include "stack/dtls/dtls_priv.h"

#include "base/libenv.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

static struct providers {
    OSSL_LIB_CTX *inner;              // holds OpenSSL's own algorithms
    OSSL_PROVIDER *defaults, *random; // in the inner context
    OSSL_PROVIDER *outer;             // in the default one, which libssl asks
} providers;

// The algorithm has no state of its own: every context is this one.
static char context;

static void *rand_new(void *provider, void *parent, const OSSL_DISPATCH *calls)
{
    (void)provider, (void)parent, (void)calls;
    return &context;
}

static void rand_free(void *v)
{
    (void)v;
}

static int rand_instantiate(void *v, unsigned strength, int resist, const unsigned char *text,
                            size_t len, const OSSL_PARAM params[])
{
    (void)v, (void)strength, (void)resist, (void)text, (void)len, (void)params;
    return 1;
}

static int rand_uninstantiate(void *v)
{
    (void)v;
    return 1;
}

static int rand_generate(void *v, unsigned char *to, size_t len, unsigned strength, int resist,
                         const unsigned char *extra, size_t extra_len)
{
    (void)v, (void)strength, (void)resist, (void)extra, (void)extra_len;
    libenv_random(to, len);
    return 1;
}

static int rand_reseed(void *v, int resist, const unsigned char *entropy, size_t len,
                       const unsigned char *extra, size_t extra_len)
{
    (void)v, (void)resist, (void)entropy, (void)len, (void)extra, (void)extra_len;
    return 1;
}

static int rand_lock(void *v) // also "enable locking": one thread
{
    (void)v;
    return 1;
}

static void rand_unlock(void *v)
{
    (void)v;
}

static const OSSL_PARAM *rand_gettable(void *v, void *provider)
{
    (void)v, (void)provider;
    static const OSSL_PARAM known[] = {OSSL_PARAM_int(OSSL_RAND_PARAM_STATE, NULL),
                                       OSSL_PARAM_uint(OSSL_RAND_PARAM_STRENGTH, NULL),
                                       OSSL_PARAM_size_t(OSSL_RAND_PARAM_MAX_REQUEST, NULL),
                                       OSSL_PARAM_END};
    return known;
}

static int rand_get(void *v, OSSL_PARAM params[])
{
    (void)v;
    OSSL_PARAM *state = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STATE);
    OSSL_PARAM *strength = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STRENGTH);
    OSSL_PARAM *request = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_MAX_REQUEST);
    return (!state || OSSL_PARAM_set_int(state, EVP_RAND_STATE_READY)) &&
           (!strength || OSSL_PARAM_set_uint(strength, 256)) &&
           (!request || OSSL_PARAM_set_size_t(request, 1u << 20));
}

// OpenSSL's tables hold every function as `void (*)(void)`.
static const OSSL_DISPATCH rand_calls[] = {
    {OSSL_FUNC_RAND_NEWCTX, (void (*)(void))rand_new},
    {OSSL_FUNC_RAND_FREECTX, (void (*)(void))rand_free},
    {OSSL_FUNC_RAND_INSTANTIATE, (void (*)(void))rand_instantiate},
    {OSSL_FUNC_RAND_UNINSTANTIATE, (void (*)(void))rand_uninstantiate},
    {OSSL_FUNC_RAND_GENERATE, (void (*)(void))rand_generate},
    {OSSL_FUNC_RAND_RESEED, (void (*)(void))rand_reseed},
    {OSSL_FUNC_RAND_ENABLE_LOCKING, (void (*)(void))rand_lock},
    {OSSL_FUNC_RAND_LOCK, (void (*)(void))rand_lock},
    {OSSL_FUNC_RAND_UNLOCK, (void (*)(void))rand_unlock},
    {OSSL_FUNC_RAND_GETTABLE_CTX_PARAMS, (void (*)(void))rand_gettable},
    {OSSL_FUNC_RAND_GET_CTX_PARAMS, (void (*)(void))rand_get},
    {0, NULL},
};

static const OSSL_ALGORITHM algorithms[] = {
    {"SIMRTC-RAND", "provider=simrtc", rand_calls, NULL},
    {NULL, NULL, NULL, NULL},
};

// ------------------------------------------------------------------------------------- provider

// Every certificate that arrives is decoded by walking through all decoders and key types that are
// there, some hundred. Of those, these are the ones that a certificate of WebRTC can need; without
// the others a handshake takes a fifth less time.
static const char *const key_types[] = {"EC",   "RSA",  "RSA-PSS", "X25519",
                                        "HMAC", "HKDF", "TLS1-PRF"};
#define KEPT_MAX 32
static OSSL_ALGORITHM keys_kept[KEPT_MAX], decoders_kept[KEPT_MAX];

// The algorithm's first name is one of ours: names are separated by colons.
static bool type_is_kept(const char *names)
{
    size_t len = strcspn(names, ":");
    for (size_t i = 0; i < sizeof key_types / sizeof key_types[0]; i++) {
        if (strlen(key_types[i]) == len && strncmp(names, key_types[i], len) == 0)
            return true;
    }
    return false;
}

static void keep(const OSSL_ALGORITHM *from, const char *property, OSSL_ALGORITHM *to)
{
    size_t kept = 0;
    for (; from && from->algorithm_names; from++) {
        if (type_is_kept(from->algorithm_names) && kept < KEPT_MAX - 1 &&
            strstr(from->property_definition, property))
            to[kept++] = *from;
    }
    to[kept] = (OSSL_ALGORITHM){0};
}

static const OSSL_ALGORITHM *provider_query(void *v, int operation, int *no_cache)
{
    (void)v;
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_RAND:
        return algorithms;
    case OSSL_OP_KEYMGMT:
        return keys_kept;
    case OSSL_OP_DECODER:
        return decoders_kept;
    default:
        return OSSL_PROVIDER_query_operation(providers.defaults, operation, no_cache);
    }
}

static int provider_capabilities(void *v, const char *capability, OSSL_CALLBACK *call, void *of)
{
    (void)v;
    return OSSL_PROVIDER_get_capabilities(providers.defaults, capability, call, of);
}

static const OSSL_DISPATCH provider_calls[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))provider_query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))provider_capabilities},
    {0, NULL},
};

// In the default context: OpenSSL's own algorithms, less what was left out, and our randomness.
static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **of_provider)
{
    (void)handle, (void)in;
    *out = provider_calls;
    *of_provider = OSSL_PROVIDER_get0_provider_ctx(providers.defaults);
    return 1;
}

static const OSSL_ALGORITHM *random_query(void *v, int operation, int *no_cache)
{
    (void)v;
    *no_cache = 0;
    return operation == OSSL_OP_RAND ? algorithms : NULL;
}

static const OSSL_DISPATCH random_calls[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))random_query},
    {0, NULL},
};

// In the inner context, where OpenSSL's algorithms live and draw.
static int random_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **of_provider)
{
    (void)handle, (void)in;
    *out = random_calls;
    *of_provider = &context;
    return 1;
}

bool dtls_random_install(struct err *err)
{
    providers.inner = OSSL_LIB_CTX_new();
    if (!providers.inner || !OSSL_PROVIDER_add_builtin(providers.inner, "simrtc", random_init) ||
        !OSSL_PROVIDER_add_builtin(NULL, "simrtc", provider_init))
        return err_set(err, "OpenSSL did not accept the provider");
    // Loading any provider by name turns the automatic default one off.
    providers.defaults = OSSL_PROVIDER_load(providers.inner, "default");
    providers.random = OSSL_PROVIDER_load(providers.inner, "simrtc");
    if (!providers.defaults || !providers.random)
        return err_set(err, "OpenSSL did not load its default provider");
    int no_cache;
    keep(OSSL_PROVIDER_query_operation(providers.defaults, OSSL_OP_KEYMGMT, &no_cache), "",
         keys_kept);
    keep(OSSL_PROVIDER_query_operation(providers.defaults, OSSL_OP_DECODER, &no_cache),
         "input=der,structure=SubjectPublicKeyInfo", decoders_kept);
    providers.outer = OSSL_PROVIDER_load(NULL, "simrtc");
    if (!providers.outer)
        return err_set(err, "OpenSSL did not load our provider");
    if (!RAND_set_DRBG_type(providers.inner, "SIMRTC-RAND", "provider=simrtc", NULL, NULL) ||
        !RAND_set_DRBG_type(NULL, "SIMRTC-RAND", "provider=simrtc", NULL, NULL))
        return err_set(err, "OpenSSL's randomness was used before it could be taken over");
    return true;
}

void dtls_random_remove(void)
{
    OSSL_PROVIDER_unload(providers.outer);
    OSSL_PROVIDER_unload(providers.random);
    OSSL_PROVIDER_unload(providers.defaults);
    OSSL_LIB_CTX_free(providers.inner);
    providers = (struct providers){0};
}
