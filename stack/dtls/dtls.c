// One association: OpenSSL's SSL object behind input, poll and deadline.
//
// What it says comes out as a queue of events in the order in which they happened: datagrams, state
// changes, application data. OpenSSL reads from a BIO that holds at most the one datagram of the
// current dtls_input, and writes into the queue. It tells the BIO when its retransmission timer is
// due, so that nothing is polled for.
//
//     NEW -start/first datagram-> CONNECTING -handshake done, fingerprint good-> CONNECTED
//     CONNECTING -alert, fingerprint, 12 timeouts-> FAILED
//     any -dtls_close, close_notify-> CLOSED
#include "stack/dtls/dtls_priv.h"

#include "base/arena.h"
#include "base/libenv.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define QUEUE_START 2048
#define QUEUE_MAX ((size_t)1 << 20)
#define UDP_IP_OVERHEAD 28 // OpenSSL counts a link's MTU; we, the payload
// Nonce and tag, which OpenSSL forgets when it adds the Finished message to a flight.
#define AEAD_OVERHEAD 24

struct dtls {
    SSL *ssl;
    struct rng *rng;
    struct trace trace;
    enum dtls_role role;
    enum dtls_state state;
    nanotime deadline;    // of OpenSSL's timer
    struct bytes arrived; // the datagram that OpenSSL may read now; empty: none
    size_t data_max;
    size_t mtu;
    struct {
        uint8_t *at;
        size_t head, len, max;
    } queue; // events: kind, length, bytes
    struct dtls_stats stats;
    char *failure; // NULL: none
    struct dtls_fingerprint *remote;
    unsigned remote_count;
};

struct event_head {
    uint32_t len;
    enum dtls_output_kind kind;
};

static const char *const state_names[] = {"new", "connecting", "connected", "closed", "failed"};
static const char *const drop_names[] = {"kept",       "not-dtls",    "too-large",   "not-started",
                                         "queue-full", "after-close", "short-record"};

const char *dtls_state_name(enum dtls_state state)
{
    return state_names[state];
}

const char *dtls_drop_name(enum dtls_drop drop)
{
    return drop_names[drop];
}

// ------------------------------------------------------------------------------------------ queue

static bool queue_has_room(const struct dtls *dtls, size_t more)
{
    return dtls->queue.len + more + sizeof(struct event_head) <= QUEUE_MAX;
}

static void queue_push(struct dtls *dtls, enum dtls_output_kind kind, struct bytes bytes)
{
    struct event_head head = {(uint32_t)bytes.len, kind};
    size_t need = dtls->queue.len + sizeof head + bytes.len;
    if (need > dtls->queue.max) {
        size_t max = dtls->queue.max ? dtls->queue.max : QUEUE_START;
        while (max < need)
            max *= 2;
        dtls->queue.at = mem_grow(dtls->queue.at, max);
        dtls->queue.max = max;
    }
    memcpy(dtls->queue.at + dtls->queue.len, &head, sizeof head);
    if (bytes.len)
        memcpy(dtls->queue.at + dtls->queue.len + sizeof head, bytes.at, bytes.len);
    dtls->queue.len = need;
}

static bool queue_pop(struct dtls *dtls, struct dtls_output *out)
{
    if (dtls->queue.head == dtls->queue.len) {
        dtls->queue.head = dtls->queue.len = 0;
        return false;
    }
    struct event_head head;
    memcpy(&head, dtls->queue.at + dtls->queue.head, sizeof head);
    *out = (struct dtls_output){
        .kind = head.kind,
        .bytes = {dtls->queue.at + dtls->queue.head + sizeof head, head.len},
    };
    dtls->queue.head += sizeof head + head.len;
    return true;
}

// ------------------------------------------------------------------------- what OpenSSL calls back

int dtls_bio_write(BIO *bio, const char *from, int len)
{
    struct dtls *dtls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    assert((size_t)len <= dtls->mtu);
    queue_push(dtls, DTLS_SEND, bytes_of(from, (size_t)len));
    dtls->stats.datagrams_sent++;
    return len;
}

int dtls_bio_read(BIO *bio, char *to, int len)
{
    struct dtls *dtls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (dtls->arrived.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = dtls->arrived.len < (size_t)len ? dtls->arrived.len : (size_t)len;
    memcpy(to, dtls->arrived.at, n);
    dtls->arrived.len = 0;
    return (int)n;
}

static nanotime deadline_of(const struct timeval *tv)
{
    if (tv->tv_sec == 0 && tv->tv_usec == 0)
        return TIME_NEVER;
    return ((nanotime)tv->tv_sec - TIME_EPOCH_S) * TIME_S + (nanotime)tv->tv_usec * TIME_US;
}

long dtls_bio_control(BIO *bio, int command, long number, void *at)
{
    (void)number;
    struct dtls *dtls = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_PENDING:
        return (long)dtls->arrived.len;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
        return UDP_IP_OVERHEAD;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return (long)dtls->mtu;
    case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:
        dtls->deadline = deadline_of(at);
        return 1;
    default:
        return 0;
    }
}

static void failure_set(struct dtls *dtls, const char *text)
{
    if (dtls->failure)
        return;
    size_t size = strlen(text) + 1;
    dtls->failure = mem_alloc(size);
    memcpy(dtls->failure, text, size);
}

// RFC 8827 5.1: self-signed is what is expected; the fingerprint from the signaling is what counts,
// and it counts here, inside the handshake, before either side is connected.
int dtls_verify(X509_STORE_CTX *store, void *unused)
{
    (void)unused;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct dtls *dtls = SSL_get_app_data(ssl);
    char why[DTLS_FAILURE_MAX];
    if (dtls_fingerprint_check(X509_STORE_CTX_get0_cert(store), dtls->remote, dtls->remote_count,
                               why))
        return 1;
    failure_set(dtls, why);
    // RFC 8122 6.2: terminate with bad_certificate.
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

// ------------------------------------------------------------------------------------- life

static void state_set(struct dtls *dtls, nanotime now, enum dtls_state state)
{
    if (dtls->state == state)
        return;
    dtls->state = state;
    if (state == DTLS_CONNECTED) {
        dtls->stats.connected_at = now;
        dtls->data_max = DTLS_get_data_mtu(dtls->ssl) + AEAD_OVERHEAD;
        trace(&dtls->trace, now, "connected: %s, %s", SSL_get_version(dtls->ssl),
              SSL_get_cipher_name(dtls->ssl));
    } else {
        trace(&dtls->trace, now, "%s%s%s", dtls_state_name(state), dtls->failure ? ": " : "",
              dtls_failure(dtls));
    }
    if (state == DTLS_CLOSED || state == DTLS_FAILED)
        dtls->deadline = TIME_NEVER;
    queue_push(dtls, DTLS_STATE_CHANGED, bytes_of("", 0));
}

// Say what OpenSSL's error queue says: an alert by its number and name, else the reason.
static void fail(struct dtls *dtls, nanotime now)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    char text[DTLS_FAILURE_MAX];
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET) {
        int alert = reason - SSL_AD_REASON_OFFSET;
        int len =
            snprintf(text, sizeof text, "alert %d %s", alert, SSL_alert_desc_string_long(alert));
        for (int i = 9; i < len; i++)
            text[i] = text[i] == ' ' ? '_' : text[i];
    } else {
        const char *words = ERR_reason_error_string(error);
        snprintf(text, sizeof text, "%s", words ? words : "connection lost");
    }
    failure_set(dtls, text);
    ERR_clear_error();
    state_set(dtls, now, DTLS_FAILED);
}

// Return false once the association is over.
static bool result_check(struct dtls *dtls, nanotime now, int result)
{
    switch (SSL_get_error(dtls->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return true;
    case SSL_ERROR_ZERO_RETURN:
        SSL_shutdown(dtls->ssl); // RFC 5246 7.2.1: answer close_notify with our own
        state_set(dtls, now, DTLS_CLOSED);
        return false;
    default:
        fail(dtls, now);
        return false;
    }
}

// Let OpenSSL do what it can: more of the handshake, then every record that has come.
static void drive(struct dtls *dtls, nanotime now)
{
    static uint8_t record[SSL3_RT_MAX_PLAIN_LENGTH]; // one thread; copied into the queue at once
    if (dtls->state == DTLS_CONNECTING) {
        int result = SSL_do_handshake(dtls->ssl);
        if (!result_check(dtls, now, result) || result != 1)
            return;
        state_set(dtls, now, DTLS_CONNECTED);
    }
    for (;;) {
        int len = SSL_read(dtls->ssl, record, sizeof record);
        if (len <= 0) {
            result_check(dtls, now, len);
            return;
        }
        queue_push(dtls, DTLS_DATA, bytes_of(record, (size_t)len));
    }
}

struct dtls *dtls_new(const struct dtls_config *config)
{
    assert(config->mtu >= DTLS_MTU_MIN);
    struct libenv env = libenv_enter(libenv_now(), config->rng);
    struct dtls *dtls = mem_zero(1, sizeof *dtls);
    *dtls = (struct dtls){
        .ssl = SSL_new(dtls_identity_context(config->identity)),
        .rng = config->rng,
        .trace = config->trace,
        .role = config->role,
        .deadline = TIME_NEVER,
        .mtu = config->mtu,
        .stats.connected_at = TIME_NEVER,
        .remote_count =
            config->remote_count < DTLS_FINGERPRINTS ? config->remote_count : DTLS_FINGERPRINTS,
    };
    BIO *bio = BIO_new(dtls_bio_method());
    assert(dtls->ssl && bio);
    dtls->remote = mem_zero(dtls->remote_count, sizeof *dtls->remote);
    if (dtls->remote_count)
        memcpy(dtls->remote, config->remote, dtls->remote_count * sizeof *dtls->remote);
    BIO_set_data(bio, dtls);
    BIO_set_init(bio, 1);
    SSL_set_bio(dtls->ssl, bio, bio);
    SSL_set_app_data(dtls->ssl, dtls);
    DTLS_set_link_mtu(dtls->ssl, (long)config->mtu + UDP_IP_OVERHEAD - AEAD_OVERHEAD);
    if (config->srtp_profiles) {
        int wrong = SSL_set_tlsext_use_srtp(dtls->ssl, config->srtp_profiles);
        assert(!wrong);
    }
    if (config->role == DTLS_CLIENT)
        SSL_set_connect_state(dtls->ssl);
    else
        SSL_set_accept_state(dtls->ssl);
    libenv_leave(env);
    return dtls;
}

void dtls_free(struct dtls *dtls)
{
    if (!dtls)
        return;
    struct libenv env = libenv_enter(libenv_now(), dtls->rng);
    SSL_free(dtls->ssl);
    libenv_leave(env);
    free(dtls->remote);
    free(dtls->failure);
    free(dtls->queue.at);
    free(dtls);
}

void dtls_start(struct dtls *dtls, nanotime now)
{
    if (dtls->state != DTLS_NEW)
        return;
    struct libenv env = libenv_enter(now, dtls->rng);
    state_set(dtls, now, DTLS_CONNECTING);
    if (dtls->role == DTLS_CLIENT) {
        drive(dtls, now);
        // RFC 6347 4.2.4.1: the first timeout is 1 s. Were it another, OpenSSL would be reading
        // some clock that is not ours.
        assert(dtls->state != DTLS_CONNECTING ||
               dtls->deadline == now / TIME_US * TIME_US + TIME_S);
    }
    libenv_leave(env);
}

#define DTLS_RECORD_HEADER 13

// A sealed record holds a tag and, with GCM, an explicit nonce (RFC 5288 3; RFC 7905 2 has none).
// One that is shorter is to be discarded (RFC 6347 4.1.2.7), but ends the association in OpenSSL up
// to 3.0.20: anybody's 33 bytes would do.
static bool has_short_record(const struct dtls *dtls, struct bytes datagram)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(dtls->ssl);
    bool chacha = cipher && SSL_CIPHER_get_cipher_nid(cipher) == NID_chacha20_poly1305;
    size_t least = chacha ? 16 : 8 + 16;
    struct reader r = reader_of(datagram);
    while (r.len >= DTLS_RECORD_HEADER) {
        read_skip(&r, 3);
        unsigned epoch = read_u16(&r);
        read_skip(&r, 6);
        size_t len = read_u16(&r);
        if (epoch > 0 && len < least)
            return true;
        read_skip(&r, len);
    }
    return false;
}

static enum dtls_drop input_check(const struct dtls *dtls, struct bytes datagram)
{
    if (dtls->state == DTLS_CLOSED || dtls->state == DTLS_FAILED)
        return DTLS_AFTER_CLOSE;
    if (datagram.len == 0 || datagram.at[0] < 20 || datagram.at[0] > 63) // RFC 7983 7
        return DTLS_NOT_DTLS;
    if (datagram.len > DTLS_DATAGRAM_MAX)
        return DTLS_TOO_LARGE;
    if (dtls->state == DTLS_NEW && dtls->role == DTLS_CLIENT)
        return DTLS_NOT_STARTED;
    // What one datagram can bring forth: its data, or a flight of the handshake.
    if (!queue_has_room(dtls, datagram.len + DTLS_DATAGRAM_MAX))
        return DTLS_QUEUE_FULL;
    if (has_short_record(dtls, datagram))
        return DTLS_SHORT_RECORD;
    return DTLS_KEPT;
}

enum dtls_drop dtls_input(struct dtls *dtls, nanotime now, struct bytes datagram)
{
    enum dtls_drop drop = input_check(dtls, datagram);
    if (drop != DTLS_KEPT) {
        trace(&dtls->trace, now, "dropped %zu bytes: %s", datagram.len, dtls_drop_name(drop));
        return drop;
    }
    struct libenv env = libenv_enter(now, dtls->rng);
    ERR_clear_error();
    state_set(dtls, now, dtls->state == DTLS_NEW ? DTLS_CONNECTING : dtls->state);
    dtls->stats.datagrams_received++;
    dtls->arrived = datagram;
    drive(dtls, now);
    dtls->arrived.len = 0;
    libenv_leave(env);
    return DTLS_KEPT;
}

static void timer_fire(struct dtls *dtls, nanotime now)
{
    struct libenv env = libenv_enter(now, dtls->rng);
    ERR_clear_error();
    dtls->deadline = TIME_NEVER; // OpenSSL names the next one, if it goes on
    unsigned sent_before = dtls->stats.datagrams_sent;
    long result = DTLSv1_handle_timeout(dtls->ssl);
    if (dtls->stats.datagrams_sent > sent_before) {
        dtls->stats.timeouts++;
        trace(&dtls->trace, now, "no answer: flight sent again (%u)", dtls->stats.timeouts);
    }
    if (result < 0)
        fail(dtls, now);
    libenv_leave(env);
}

bool dtls_poll(struct dtls *dtls, nanotime now, struct dtls_output *out)
{
    if (now >= dtls->deadline)
        timer_fire(dtls, now);
    return queue_pop(dtls, out);
}

nanotime dtls_deadline(const struct dtls *dtls)
{
    return dtls->queue.head < dtls->queue.len ? 0 : dtls->deadline;
}

bool dtls_send(struct dtls *dtls, nanotime now, struct bytes data)
{
    if (dtls->state != DTLS_CONNECTED || data.len == 0 || data.len > dtls->data_max ||
        !queue_has_room(dtls, dtls->mtu))
        return false;
    struct libenv env = libenv_enter(now, dtls->rng);
    ERR_clear_error();
    int result = SSL_write(dtls->ssl, data.at, (int)data.len);
    if (result <= 0)
        result_check(dtls, now, result);
    libenv_leave(env);
    return result > 0;
}

void dtls_close(struct dtls *dtls, nanotime now)
{
    if (dtls->state == DTLS_CLOSED || dtls->state == DTLS_FAILED)
        return;
    struct libenv env = libenv_enter(now, dtls->rng);
    ERR_clear_error();
    if (dtls->state == DTLS_CONNECTED)
        SSL_shutdown(dtls->ssl); // close_notify
    state_set(dtls, now, DTLS_CLOSED);
    libenv_leave(env);
}

// ------------------------------------------------------------------------------------- questions

enum dtls_state dtls_state(const struct dtls *dtls)
{
    return dtls->state;
}

const char *dtls_failure(const struct dtls *dtls)
{
    return dtls->failure ? dtls->failure : "";
}

enum dtls_role dtls_role(const struct dtls *dtls)
{
    return dtls->role;
}

size_t dtls_data_max(const struct dtls *dtls)
{
    return dtls->data_max;
}

struct dtls_stats dtls_stats(const struct dtls *dtls)
{
    return dtls->stats;
}

static char *hex_write(char *to, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        *to++ = "0123456789abcdef"[from[i] >> 4];
        *to++ = "0123456789abcdef"[from[i] & 15];
    }
    *to = 0;
    return to;
}

const char *dtls_cipher(const struct dtls *dtls)
{
    const SSL_CIPHER *cipher =
        dtls->stats.connected_at == TIME_NEVER ? NULL : SSL_get_current_cipher(dtls->ssl);
    return cipher ? SSL_CIPHER_standard_name(cipher) : NULL;
}

uint16_t dtls_srtp_profile(const struct dtls *dtls)
{
    const SRTP_PROTECTION_PROFILE *profile =
        dtls->stats.connected_at == TIME_NEVER ? NULL : SSL_get_selected_srtp_profile(dtls->ssl);
    return profile ? (uint16_t)profile->id : 0;
}

bool dtls_srtp_material(const struct dtls *dtls, uint8_t *to, size_t len)
{
    static const char label[] = "EXTRACTOR-dtls_srtp"; // RFC 5764 4.2
    return dtls->stats.connected_at != TIME_NEVER &&
           SSL_export_keying_material(dtls->ssl, to, len, label, sizeof label - 1, NULL, 0, 0) == 1;
}

const char *dtls_key_log(const struct dtls *dtls, char *to)
{
    uint8_t random[SSL3_RANDOM_SIZE], master[SSL_MAX_MASTER_KEY_LENGTH];
    *to = 0;
    const SSL_SESSION *session = SSL_get_session(dtls->ssl);
    if (!session || dtls->stats.connected_at == TIME_NEVER)
        return to;
    size_t random_len = SSL_get_client_random(dtls->ssl, random, sizeof random);
    size_t master_len = SSL_SESSION_get_master_key(session, master, sizeof master);
    char *at = to + snprintf(to, DTLS_KEY_LOG_MAX, "CLIENT_RANDOM ");
    at = hex_write(at, random, random_len);
    *at++ = ' ';
    hex_write(at, master, master_len);
    return to;
}
